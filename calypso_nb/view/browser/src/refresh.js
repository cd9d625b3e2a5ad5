// From when the data are, what changed since, and when they are read again.

import { count, make, said } from "./dom.js";

const INTERVALS = [[0, "off"], [10, "every 10 s"], [30, "every 30 s"], [60, "every minute"], [300, "every 5 min"]];
const CHANGES = ["new", "started", "finished", "reassigned"];
const CHANGES_SHOWN = 50;

function readableSeconds(seconds) {
  if (seconds < 60) return `${Math.max(0, Math.round(seconds))} s`;
  if (seconds < 3600) return `${Math.round(seconds / 60)} min`;
  return seconds < 172800 ? `${(seconds / 3600).toFixed(1)} h` : `${Math.round(seconds / 86400)} days`;
}

export function refresh(host, { view, live, open }) {
  const again = make("button", { type: "button", class: "calypso-refresh", onclick: () => live.refresh(false) }, "↻ Refresh");
  const every = make("select", { "aria-label": "Auto-refresh interval", onchange: () => live.setEvery(Number(every.value)) });
  const bar = make("progress", { "aria-label": "Reading tasks", hidden: true });
  const source = make("span", { class: "calypso-source" });
  const news = make("div", { class: "calypso-news", role: "status" });
  const alert = make("div");
  host.append(make("div", { class: "calypso-bar" }, again, make("label", {}, "Auto-refresh ", every), bar, source), news, alert);

  let [timer, ticking] = [null, null];
  const age = () => (Date.now() - Date.parse(view.payload.meta.generated_at)) / 1000;
  const time = (iso) => `${iso.slice(11, 19)} UTC`;
  const tick = () => {
    const { endpoint, generated_at, counted_at } = view.payload.meta;
    const state = live.news();
    source.replaceChildren(`${count(view.rows.length)} tasks from `, said(endpoint), ` at ${time(generated_at)}, ${readableSeconds(age())} ago`,
      counted_at ? `; comments and links counted at ${time(counted_at)}` : "");
    source.title = generated_at;
    const about = state.about === "data" ? `The numbers below are from ${time(generated_at)}, ${readableSeconds(age())} old.` : "";
    if (!state.error) alert.replaceChildren();
    else if (alert.firstChild) alert.firstChild.lastChild.textContent = about;
    else alert.replaceChildren(make("div", { class: "calypso-error", role: "alert" }, make("span", { dir: "auto" }), make("span")));
    if (state.error) {
      if (alert.firstChild.firstChild.textContent !== state.error) alert.firstChild.firstChild.textContent = state.error;
      alert.firstChild.lastChild.textContent = about;
    }
  };
  // Counted from the end of the last reading, so that two never run at once, and an outage is tried again.
  const plan = () => {
    clearTimeout(timer);
    timer = null;
    if (live.every() > 0 && !live.news().busy) timer = setTimeout(() => { timer = null; live.refresh(true); }, live.every() * 1000);
  };
  const changed = ({ changes = [], since }) => {
    const groups = CHANGES.map((kind) => [kind, changes.filter(({ change }) => change === kind)]).filter(([, tasks]) => tasks.length);
    if (!since) return [];
    if (!groups.length) return [`Since ${time(since)} nothing was new, started, finished or reassigned`];
    const listed = groups.flatMap(([kind, tasks]) => tasks.slice(0, CHANGES_SHOWN).map((task) => make("li", {},
      make("button", { type: "button", class: "calypso-open", onclick: () => open(task.id) }, `#${task.id} `, said(task.title ?? "")),
      " ", make("b", {}, kind), task.agent == null ? "" : make("span", {}, kind === "reassigned" ? " to " : " · ", said(task.agent)))));
    const summary = `Since ${time(since)}: ${groups.map(([kind, tasks]) => `${count(tasks.length)} ${kind}`).join(", ")}`;
    return [make("details", {}, make("summary", {}, summary), make("ul", {}, ...listed))];
  };
  const tell = () => {
    const state = live.news();
    again.disabled = Boolean(state.busy);
    bar.hidden = !state.busy;
    if (state.total) Object.assign(bar, { max: state.total, value: state.done });
    else bar.removeAttribute("value");
    const known = INTERVALS.some(([seconds]) => seconds === live.every());
    const offered = known ? INTERVALS : [...INTERVALS, [live.every(), `every ${live.every()} s`]];
    every.replaceChildren(...offered.map(([seconds, text]) => make("option", { value: seconds, selected: seconds === live.every() }, text)));
    const told = JSON.stringify([state.since, state.changes]);
    if (news.told !== told) news.replaceChildren(...changed(state));
    news.told = told;
    tick();
    plan();
  };
  ticking = setInterval(tick, 5000);
  return { load: tell, tell, destroy: () => { clearTimeout(timer); clearInterval(ticking); } };
}
