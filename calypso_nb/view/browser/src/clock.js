// Moments in words: in UTC, or in the reader's own zone if they choose so.

import { make } from "./dom.js";

const own = () => Intl.DateTimeFormat().resolvedOptions().timeZone;
// Whether a reader's clock shows something else than UTC, at this time of the year or ever.
const away = (zone) => !["UTC", "Etc/UTC", "Etc/GMT", "GMT"].includes(zone);

function partsIn(zone) {
  const format = new Intl.DateTimeFormat("en-GB", { timeZone: zone, hourCycle: "h23", timeZoneName: "short", year: "numeric",
    month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit" });
  return (iso) => Object.fromEntries(format.formatToParts(new Date(iso)).map(({ type, value }) => [type, value]));
}

// `changed` is called when the reader chooses another zone. The clock is a function of a moment as in ISO 8601: `2026-11-30 09:34 UTC`.
export function clock(changed) {
  const zones = { utc: partsIn("UTC"), local: partsIn(own()) };
  let chosen = "utc";
  const day = ({ year, month, day: date }) => `${year}-${month}-${date}`;
  const whole = (iso, zone) => {
    const parts = zones[zone](iso);
    return `${day(parts)} ${parts.hour}:${parts.minute} ${parts.timeZoneName}`;
  };
  const say = (iso) => (iso ? whole(iso, chosen) : "–");
  const said = Object.assign(say, {
    // The time of the day, with its date if that is not the one of `today`; the zone's name stands elsewhere, or `named`.
    short: (iso, today) => {
      if (!iso) return "–";
      const parts = zones[chosen](iso);
      const date = today && day(zones[chosen](today)) === day(parts) ? "" : `${day(parts).slice(5)} `;
      return `${date}${parts.hour}:${parts.minute}`;
    },
    named: (iso, today) => `${said.short(iso, today)} ${said.zone(iso)}`,
    // The same moment in the other zone, and with seconds.
    title: (iso) => (iso && away(own()) ? whole(iso, chosen === "utc" ? "local" : "utc") : iso || null),
    zone: (iso) => zones[chosen](iso ?? Date.now()).timeZoneName,
    // A reader who lives in UTC has nothing to choose.
    offered: () => away(own()),
    local: () => chosen === "local",
    turn: () => { chosen = chosen === "utc" ? "local" : "utc"; changed(); },
  });
  return said;
}

// The choice, in the head.
export function zone(host, { clock: shown }) {
  const button = make("button", { type: "button", class: "calypso-zone", onclick: () => shown.turn() });
  host.append(button);
  const show = () => {
    host.hidden = !shown.offered();
    button.textContent = shown.zone();
    button.setAttribute("aria-pressed", String(shown.local()));
    button.title = shown.local() ? "Times are yours. Show them in UTC" : "Times are in UTC. Show them in yours";
    button.setAttribute("aria-label", `Local time: times are in ${shown.zone()}`);
  };
  return { show };
}
