// How live the data are, in words: what a history's recorder says, or that nothing is heard of it any more.

// The kernel says something every 20 s (BEAT_SECONDS in history/live.py).
const SILENCE = 60_000;

function readableSeconds(seconds) {
  if (seconds < 60) return `${Math.max(0, Math.round(seconds))} s`;
  if (seconds < 3600) return `${Math.round(seconds / 60)} min`;
  return seconds < 172800 ? `${(seconds / 3600).toFixed(1)} h` : `${Math.round(seconds / 86400)} days`;
}

export const since = (time) => readableSeconds((Date.now() - time) / 1000);

// `read` is the time of the numbers, `heard` that at which the kernel has said something last, and `next` that of
// the next look, if it is known. Returns what `state` it is in, and its `text`; what is live is of now.
export function liveness({ liveness: told, error, about, away, busy }, read, heard, next, clock) {
  const at = (time) => clock.named(new Date(time).toISOString(), new Date().toISOString());
  const old = `numbers ${since(read)} old`;
  const gone = (what) => ({ state: "away", text: `${what} · ${old}` });
  if (about === "kernel" && error) return gone("no kernel");
  if (told && Date.now() - heard > SILENCE) return gone(`kernel silent since ${at(heard)}`);
  if (told?.stopped) return gone(`recorder stopped at ${at(told.stopped)}`);
  if (told?.away) return gone(`away since ${at(told.away)}`);
  if (error && about === "data") {
    const again = busy ? " · trying again" : next ? ` · next try ${readableSeconds((next - Date.now()) / 1000)}` : "";
    return { state: "away", text: `away since ${at(away ?? read)} · ${old}${again}` };
  }
  if (told?.how === "live") return { state: "live", text: "live" };
  return { state: "polled", text: `${told ? `${told.how} · ` : ""}read ${since(read)} ago` };
}
