// How live the data are, what changed since the last reading, and when they are read again: a part of the head.

import { count, make, said, visible } from "./dom.js";
import { liveness, since } from "./liveness.js";
import { menu } from "./menus.js";

const INTERVALS = [[0, "by hand"], [10, "every 10 s"], [30, "every 30 s"], [60, "every minute"], [300, "every 5 min"]];
const CHANGES = ["new", "started", "finished", "reassigned"];
const CHANGES_SHOWN = 50;

// The tasks that changed, in a menu that says how many.
function changes({ open, clock }) {
  const { node, summary, popup } = menu("", [], { kind: "calypso-news" });
  const item = ({ id, title, agent, change }) => make("li", {},
    make("button", { type: "button", class: "calypso-open", onclick: () => open(id) }, `#${id} `, said(title ?? "")),
    " ", make("b", {}, change), agent == null ? "" : make("span", {}, change === "reassigned" ? " to " : " · ", said(agent)));
  let told = null;
  const tell = ({ changes: all = [], since: from }) => {
    const telling = JSON.stringify([from, all, clock.local()]);
    if (told === telling) return;
    told = telling;
    node.hidden = !all.length;
    const groups = CHANGES.map((kind) => [kind, all.filter(({ change }) => change === kind)]).filter(([, tasks]) => tasks.length);
    summary.textContent = all.length === 1 ? "1 change" : `${count(all.length)} changes`;
    const words = groups.map(([kind, tasks]) => `${count(tasks.length)} ${kind}`).join(" · ");
    const left = (tasks) => tasks.length > CHANGES_SHOWN && make("li", {}, `… and ${count(tasks.length - CHANGES_SHOWN)} more`);
    popup.replaceChildren(make("p", {}, from ? `Since ${clock(from)}: ${words}` : words), make("ul", { role: "status" },
      ...groups.flatMap(([, tasks]) => [...tasks.slice(0, CHANGES_SHOWN).map(item), left(tasks)].filter(Boolean))));
  };
  return { node, tell };
}

// From where the data are, and of when.
function factsOf({ meta: { endpoint, counted_at }, rows: { comments } }, from, { since: before, changes: all }, clock) {
  const [total, counted] = [comments.length, comments.filter((number) => number != null).length];
  const when = counted_at ? `, at ${clock(counted_at)}` : "";
  return [
    [`${count(total)} tasks from `, said(endpoint), `, read at ${clock(from)}, ${since(Date.parse(from))} ago`],
    [counted ? `Comments and links counted${counted < total ? ` for ${count(counted)} of ${count(total)} tasks` : ""}${when}` : "Comments and links are not counted"],
    before && !all?.length ? [`Since ${clock(before)} nothing was new, started, finished or reassigned`] : [],
  ].filter((words) => words.length).map((words) => make("p", {}, ...words));
}

export function refresh(host, { view, live, open, clock }) {
  const again = make("button", { type: "button", class: "calypso-refresh", "aria-label": "Refresh", title: "Read the tasks again", onclick: () => live.refresh(false) }, "↻");
  const every = make("select", { "aria-label": "Auto-refresh interval", onchange: () => live.setEvery(Number(every.value)) });
  const bar = make("progress", { "aria-label": "Reading tasks", hidden: true });
  const text = make("span", { dir: "auto" });
  const facts = make("div", { class: "calypso-source" });
  const lives = menu(text, [facts], { kind: "calypso-liveness" });
  const news = changes({ open, clock });
  const alert = make("div");
  host.append(lives.node, every, again, bar, news.node, alert);

  let [timer, next, told, heard] = [null, null, null, Date.now()];
  // From when the numbers are: a look that finds the same makes them newer.
  const read = () => [view.payload.meta.generated_at, live.news().liveness?.known ?? ""].reduce((a, b) => (Date.parse(b) > Date.parse(a) ? b : a));
  const warn = (error) => {
    if (!error) return alert.replaceChildren();
    if (!alert.firstChild) alert.replaceChildren(make("div", { class: "calypso-error", role: "alert", dir: "auto" }));
    const words = visible(error);
    if (alert.firstChild.textContent !== words) Object.assign(alert.firstChild, { textContent: words, title: words });
  };
  const tick = () => {
    const [state, from] = [live.news(), read()];
    const how = liveness(state, Date.parse(from), heard, next, clock);
    if (text.textContent !== visible(how.text)) text.textContent = visible(how.text);
    lives.node.dataset.state = how.state;
    facts.replaceChildren(...factsOf(view.payload, from, state, clock));
    warn(state.error || state.liveness?.why);
  };
  // Counted from the end of the last reading, so that two never run at once, and an outage is tried again.
  const plan = () => {
    clearTimeout(timer);
    [timer, next] = [null, null];
    const { busy, about, error } = live.news();
    if (!(live.every() > 0) || busy || (about === "kernel" && error)) return;
    next = Date.now() + live.every() * 1000;
    timer = setTimeout(() => { next = null; live.refresh(true); }, live.every() * 1000);
  };
  const tell = () => {
    const state = live.news();
    if (state.liveness !== told) [told, heard] = [state.liveness, Date.now()];
    again.disabled = Boolean(state.busy);
    bar.hidden = !state.busy && !state.total;
    if (state.total) Object.assign(bar, { max: state.total, value: state.done });
    else bar.removeAttribute("value");
    every.hidden = Boolean(state.liveness);
    const known = INTERVALS.some(([seconds]) => seconds === live.every());
    const offered = known ? INTERVALS : [...INTERVALS, [live.every(), `every ${live.every()} s`]];
    if (Number(every.value) !== live.every() || !every.options.length) {
      every.replaceChildren(...offered.map(([seconds, words]) => make("option", { value: seconds, selected: seconds === live.every() }, words)));
    }
    news.tell(state);
    plan();
    tick();
  };
  const ticking = setInterval(tick, 1000);
  const destroy = () => {
    clearTimeout(timer);
    clearInterval(ticking);
  };
  return { load: tell, tell, destroy };
}
