// Who is alive, in short: an agent per line, on the first screen. A line narrows everything down to its agent.

import { cut, factsOf, first, inProgressFor, newestSignFirst, problemOf, QUIET, quietFor, workOf } from "./agent_facts.js";
import { count, make, visible } from "./dom.js";
import { picked } from "./filter.js";
import { keyed, refill } from "./keyed.js";
import { UNASSIGNED } from "./rows.js";

const SHOWN_AT_MOST = 200;
const byName = new Intl.Collator("en", { numeric: true }).compare;

const silence = (a, b) => (b.facts.quiet ?? -1) - (a.facts.quiet ?? -1);
const name = (a, b) => (a.agent == null) - (b.agent == null) || byName(a.agent ?? "", b.agent ?? "");
const ORDERS = {
  problem: (a, b) => b.facts.urgency - a.facts.urgency || silence(a, b),
  silence, name,
  left: (a, b) => b.open - a.open,
  "in progress": (a, b) => b.working.length - a.working.length,
};

// Those who have open work that passes, and those who have none at all any more.
function linesOf({ view, without }) {
  const { of } = factsOf(view);
  const work = workOf(view.rows, without("agents", "statuses"));
  return [...work.values()].map((one) => ({ ...one, facts: of(one.agent) })).filter(({ agent, open, facts }) => open || (agent != null && !facts.open));
}

function line({ view, choose, go, open, parts }) {
  let shown = null;
  const named = make("button", { type: "button", class: "calypso-open", onclick: () => opened(shown.agent) });
  const now = make("td", { class: "calypso-team-now" });
  const quiet = make("td", { class: "calypso-team-quiet", title: QUIET });
  const bar = make("span", { class: "calypso-team-bar" });
  const left = make("span");
  const filtering = make("button", { type: "button", class: "calypso-team-left", onclick: (event) => filter(event) }, make("span", {}, bar), left);
  const node = make("tr", {}, make("th", { scope: "row" }, named), now, quiet, make("td", {}, filtering));
  // A click anywhere in the line does what its button does.
  node.addEventListener("click", (event) => { if (!event.target.closest("button")) filter(event); });
  const filter = (event) => choose({ agents: picked(view.filter.agents, shown.agent, event.ctrlKey || event.shiftKey || event.metaKey) });
  const opened = (agent) => (agent == null ? go("tasks", { agents: [null], statuses: ["idle", "working"] }) : parts().agents.open(agent));
  const show = (one, longest) => {
    shown = one;
    const { agent, facts } = one;
    const words = cut(agent ?? UNASSIGNED);
    refill(named, words, () => [agent == null ? make("em", {}, words) : make("bdi", {}, words)]);
    named.title = agent == null ? "Open these tasks" : `Open the page of ${words}`;
    showNow(now, one, open);
    quiet.textContent = agent == null ? "" : quietFor(facts);
    left.textContent = count(one.open);
    bar.style.width = `${(100 * one.open) / longest}%`;
    filtering.setAttribute("aria-label", `${words}: ${count(one.open)} left. Show only these`);
    const chosen = view.filter.agents.includes(agent);
    filtering.setAttribute("aria-pressed", String(chosen));
    node.toggleAttribute("data-dimmed", view.filter.agents.length > 0 && !chosen);
  };
  return { node, show };
}

// What an agent does now: the task in progress that gave the newest sign, and how many there are besides.
function showNow(cell, { agent, working, open: left, facts }, open) {
  const problem = problemOf(facts);
  const task = first(working, newestSignFirst);
  const more = working.length - 1;
  refill(cell, [problem, task?.id, task?.title, working.length, left, task && inProgressFor(task)], () => [
    problem && make("span", { class: "calypso-problem", "data-urgency": problem.urgency, title: visible(problem.text) }, `⚠ ${problem.word}`), problem && " ",
    task && make("button", { type: "button", class: "calypso-open", title: `Open task #${task.id}`, onclick: () => open(task.id) }, `#${task.id}`), " ",
    task && make("bdi", { title: `${cut(task.title)}\nin progress ${inProgressFor(task)}` }, cut(task.title)),
    !task && agent != null && make("span", { class: "calypso-nothing-said" }, left ? "nothing in progress" : "idle, nothing left"),
    more > 0 && make("small", { title: `${count(working.length)} are in progress; named is the one that gave the newest sign` }, ` +${count(more)}`),
  ]);
}

export function team(host, context) {
  const { view, go } = context;
  let order = "problem";
  const heading = make("h3");
  const sort = make("select", { "aria-label": "Sort agents by", onchange: () => { order = sort.value; fill(); } }, ...Object.keys(ORDERS).map((by) => make("option", {}, by)));
  const body = make("tbody");
  const more = make("button", { type: "button", class: "calypso-open", onclick: () => go("agents") });
  host.append(make("div", { class: "calypso-pane-head" }, heading, make("label", {}, "sort: ", sort)),
    make("div", { class: "calypso-pane-body" }, make("table", { "aria-label": "Agents" },
      make("thead", {}, make("tr", {}, ...["agent", "now", "quiet", "left"].map((head) => make("th", { scope: "col", title: head === "quiet" && QUIET }, head)))), body), more));
  let lines = [];
  let longest = 1;
  const draw = keyed(body, ({ agent }) => agent, () => {
    const made = line(context);
    return { node: made.node, show: (one) => made.show(one, longest) };
  });
  const fill = () => {
    const shown = [...lines].sort((a, b) => ORDERS[order](a, b) || name(a, b)).slice(0, SHOWN_AT_MOST);
    longest = Math.max(1, ...shown.map(({ open }) => open));
    draw(shown);
    more.hidden = lines.length <= SHOWN_AT_MOST;
    more.textContent = `… ${count(lines.length - SHOWN_AT_MOST)} more`;
  };
  const show = () => {
    lines = linesOf(context);
    const agents = lines.filter(({ agent }) => agent != null).length;
    heading.textContent = agents ? `Agents: ${count(agents)}` : view.rows.length ? "No agent has a task here" : "No agents";
    fill();
  };
  return { show };
}
