// From when the data are, what changed since, and when they are read again.

import { count, make, said, visible } from "./dom.js";
import { liveness, readableSeconds } from "./liveness.js";

const INTERVALS = [[0, "off"], [10, "every 10 s"], [30, "every 30 s"], [60, "every minute"], [300, "every 5 min"]];
const CHANGES = ["new", "started", "finished", "reassigned"];
const CHANGES_SHOWN = 50;

export function refresh(host, { view, live, open }) {
  const again = make("button", { type: "button", class: "calypso-refresh", onclick: () => live.refresh(false) }, "↻ Refresh");
  const every = make("select", { "aria-label": "Auto-refresh interval", onchange: () => live.setEvery(Number(every.value)) });
  const bar = make("progress", { "aria-label": "Reading tasks", hidden: true });
  const source = make("span", { class: "calypso-source" });
  const lives = make("span", { class: "calypso-liveness", hidden: true });
  const timed = make("label", {}, "Auto-refresh ", every);
  const news = make("div", { class: "calypso-news", role: "status" });
  const alert = make("div");
  host.append(make("div", { class: "calypso-bar" }, again, timed, bar, lives, source), news, alert);

  let [timer, ticking, told, heard] = [null, null, null, Date.now()];
  const age = (iso) => readableSeconds((Date.now() - Date.parse(iso)) / 1000);
  const time = (iso) => `${iso.slice(11, 19)} UTC`;
  // From when the numbers are: a look that finds the same makes them newer.
  const read = () => [view.payload.meta.generated_at, live.news().liveness?.known ?? ""].reduce((a, b) => (Date.parse(b) > Date.parse(a) ? b : a));
  const tick = () => {
    const { endpoint, counted_at } = view.payload.meta;
    const [state, from] = [live.news(), read()];
    const how = state.liveness && liveness(state.liveness, Date.parse(from), heard);
    lives.hidden = !how;
    timed.hidden = Boolean(how);
    if (how && lives.textContent !== visible(how.text)) lives.replaceChildren(said(how.text));
    lives.dataset.state = how?.state;
    source.replaceChildren(`${count(view.rows.length)} tasks from `, said(endpoint), how && how.state !== "polled" ? "" : ` at ${time(from)}, ${age(from)} ago`,
      counted_at ? `; comments and links counted at ${time(counted_at)}` : "");
    source.title = from;
    // The line says already since when the server is away.
    const error = state.error || state.liveness?.why;
    const about = state.about === "data" && !how ? `The numbers below are from ${time(from)}, ${age(from)} old.` : "";
    if (!error) alert.replaceChildren();
    else if (alert.firstChild) alert.firstChild.lastChild.textContent = about;
    else alert.replaceChildren(make("div", { class: "calypso-error", role: "alert" }, make("span", { dir: "auto" }), make("span")));
    if (error) {
      if (alert.firstChild.firstChild.textContent !== error) alert.firstChild.firstChild.textContent = error;
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
    if (state.liveness !== told) [told, heard] = [state.liveness, Date.now()];
    again.disabled = Boolean(state.busy);
    bar.hidden = !state.busy;
    if (state.total) Object.assign(bar, { max: state.total, value: state.done });
    else bar.removeAttribute("value");
    const known = INTERVALS.some(([seconds]) => seconds === live.every());
    const offered = known ? INTERVALS : [...INTERVALS, [live.every(), `every ${live.every()} s`]];
    every.replaceChildren(...offered.map(([seconds, text]) => make("option", { value: seconds, selected: seconds === live.every() }, text)));
    const changes = JSON.stringify([state.since, state.changes]);
    if (news.told !== changes) news.replaceChildren(...changed(state));
    news.told = changes;
    tick();
    plan();
  };
  ticking = setInterval(tick, 5000);
  return { load: tell, tell, destroy: () => { clearTimeout(timer); clearInterval(ticking); } };
}
