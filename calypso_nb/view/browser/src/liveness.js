// How live the data are, in words: what a history's recorder says, or that nothing is heard of it any more.

// The kernel says something every 20 s (BEAT_SECONDS in history/live.py).
const SILENCE = 60_000;

export function readableSeconds(seconds) {
  if (seconds < 60) return `${Math.max(0, Math.round(seconds))} s`;
  if (seconds < 3600) return `${Math.round(seconds / 60)} min`;
  return seconds < 172800 ? `${(seconds / 3600).toFixed(1)} h` : `${Math.round(seconds / 86400)} days`;
}

function clock(time) {
  const iso = new Date(time).toISOString();
  const today = iso.slice(0, 10) === new Date().toISOString().slice(0, 10);
  return `${today ? "" : `${iso.slice(0, 10)} `}${iso.slice(11, 16)} UTC`;
}

// `read` is the time of the numbers, and `heard` that at which the kernel has said something last. Returns what
// `state` it is in, its `text`, and whether the numbers are as old as they are read: with "live" they are of now.
export function liveness({ how, away, stopped }, read, heard) {
  const old = `numbers ${readableSeconds((Date.now() - read) / 1000)} old`;
  if (Date.now() - heard > SILENCE) return { state: "away", text: `kernel silent since ${clock(heard)}, ${old}` };
  if (stopped) return { state: "away", text: `recorder stopped at ${clock(stopped)}, ${old}` };
  if (away) return { state: "away", text: `away since ${clock(away)}, ${old}` };
  return how === "live" ? { state: "live", text: how } : { state: "polled", text: how };
}
