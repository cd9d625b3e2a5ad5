// All agents in a table: what each does now, since when, what it takes next, and how it keeps up.

import { cut, factsOf, first, hoursSince, inProgressBetween, inTurn, lastWeek, newestSignFirst, problemOf, QUIET, quietFor, readiness, workOf } from "./agent_facts.js";
import { count, make, visible } from "./dom.js";
import { keyed, refill } from "./keyed.js";

const SHOWN_AT_MOST = 200;
const byName = new Intl.Collator("en", { numeric: true }).compare;
const classOf = (head) => `calypso-of-${head.replaceAll(" ", "-")}`;

// What a row of the table says of an agent's tasks.
function rowOf(work, facts) {
  const { ready, waiting } = readiness(work.idle);
  const { came, went } = lastWeek(work.rows);
  return { ...work, facts, ready, waiting, came, went, now: first(work.working, newestSignFirst), next: first(work.idle, inTurn), problem: problemOf(facts) };
}

function runOf(run, { view, clock }) {
  if (run == null) return "";
  const moment = clock.short(run, view.payload.meta.generated_at);
  return hoursSince(run, view) <= 0 ? `signed until ${moment}` : `⚠ no sign since ${moment}`;
}

export function agentTable(host, context) {
  const { view, without, go, open, parts } = context;
  const size = (rows) => rows?.length;
  const opening = (task) => task && make("button", { type: "button", class: "calypso-open", title: `Open task #${task.id}`, onclick: () => open(task.id) }, `#${task.id}`);
  const titled = (task) => task && [opening(task), " ", make("bdi", { title: cut(task.title) }, cut(task.title))];
  const counting = (rows, agent, change, bound = "") => (rows == null ? ["–"] : [make("button",
    { type: "button", class: "calypso-open", disabled: !rows.length, onclick: () => go("tasks", { agents: [agent], ids: [], ...change() }) }, bound + count(rows.length))]);
  const listed = (latest, name) => () => ({ ids: latest()[name].map(({ id }) => id), statuses: [] });
  // Each column: its heading, what it is sorted by, what its cell says of a row, and its nodes if those are not that; they
  // stay while the cell says the same, and ask `latest` for what the row has come to be.
  const COLUMNS = [
    ["agent", ({ agent }) => agent, ({ agent, problem }) => [agent, problem], ({ agent, problem }) => [
      make("button", { type: "button", class: "calypso-open", onclick: () => parts().agents.open(agent) }, make("bdi", {}, cut(agent))),
      problem && make("span", { class: "calypso-problem", "data-urgency": problem.urgency, title: visible(problem.text) }, ` ⚠ ${problem.word}`)]],
    ["limit", ({ facts }) => facts.limit, ({ facts }) => facts.limit],
    ["in progress", ({ working }) => size(working), ({ working }) => size(working), ({ working, agent }) => counting(working, agent, () => ({ statuses: ["working"] }))],
    ["now", ({ now }) => now?.title, ({ now }) => [now?.id, now?.title], ({ now }) => titled(now) ?? ["–"]],
    ["for", ({ now }) => now?.hours_since_update, ({ now }) => (now ? inProgressBetween(now) : "")],
    ["ready", ({ ready }) => size(ready), ({ ready }) => size(ready), ({ ready, agent }) => counting(ready, agent, () => ({ statuses: ["idle"], blocked: [false] }))],
    ["blocked", ({ waiting }) => size(waiting), ({ waiting }) => size(waiting), ({ waiting, agent }) => counting(waiting, agent, () => ({ statuses: ["idle"], blocked: [true] }))],
    ["next", ({ next }) => next?.priority, ({ next }) => [next?.id, next?.title, next?.blocked], ({ next }) => next ? [next.blocked && "⊘ ", ...titled(next)] : ["–"]],
    ["quiet for", ({ facts }) => facts.quiet, ({ facts }) => quietFor(facts)],
    ["run", ({ facts }) => facts.run, ({ facts }) => runOf(facts.run, context)],
    ["holds up", ({ facts }) => facts.held.size, ({ facts }) => facts.held.size, ({ facts }, latest) => [make("button", { type: "button", class: "calypso-open", disabled: !facts.held.size,
      onclick: () => go("tasks", { ids: [...latest().facts.held], agents: [], statuses: [] }) }, count(facts.held.size))]],
    ["new 7 d", ({ came }) => size(came), ({ came }) => size(came), ({ came, agent }, latest) => counting(came, agent, listed(latest, "came"))],
    ["finished 7 d", ({ went }) => size(went), ({ went }) => size(went), ({ went, agent }, latest) => counting(went, agent, listed(latest, "went"), "≤ ")],
  ];
  const TITLES = {
    now: "Of its tasks in progress, the one that gave the newest sign", since: "For how long it has been in progress: at least since its last edit, at most since its creation",
    next: "The idle task that TinyTask would give it next: the highest priority, then the oldest; ⊘ waits for another task",
    "quiet for": QUIET, run: "Until when the lease of its newest run holds", "holds up": "Open tasks of others that wait for one of its tasks, or behind it",
    "finished 7 d": "At most: a task was finished at its last edit or before",
  };

  // Those with a problem first, and of them who has been silent longest.
  let [sorted, descending] = ["problem", true];
  const values = Object.fromEntries(COLUMNS.map(([head, value]) => [head, value]));
  const compare = (a, b) => {
    if (sorted === "problem") return b.facts.urgency - a.facts.urgency || (b.facts.quiet ?? -1) - (a.facts.quiet ?? -1) || byName(a.agent, b.agent);
    const [one, other] = [a, b].map(values[sorted]);
    if (one == null || other == null) return (one == null) - (other == null); // Unknown stays last.
    return (descending ? -1 : 1) * (typeof one === "number" ? one - other : byName(one, other)) || byName(a.agent, b.agent);
  };
  const sortBy = (head) => {
    descending = sorted === head ? !descending : !["agent", "now", "run"].includes(head);
    sorted = head;
    fill();
  };
  const heads = COLUMNS.map(([head]) => make("th", { scope: "col", title: TITLES[head], class: classOf(head) }, make("button", { type: "button", class: "calypso-open", onclick: () => sortBy(head) }, head)));
  const body = make("tbody");
  const heading = make("h3");
  const more = make("button", { type: "button", onclick: () => { most *= 2; fill(); } });
  host.append(heading, make("div", { class: "calypso-agents-body" }, make("table", { "aria-label": "Agents" }, make("thead", {}, make("tr", {}, ...heads)), body)), more);
  let [rows, most] = [[], SHOWN_AT_MOST];
  const draw = keyed(body, ({ agent }) => agent, () => {
    const cells = COLUMNS.map(([head]) => make(head === "agent" ? "th" : "td", { scope: head === "agent" && "row", class: classOf(head) }));
    let row = null;
    const show = (one) => {
      row = one;
      COLUMNS.forEach(([, , text, nodes], i) => refill(cells[i], text(row), () => nodes?.(row, () => row) ?? [text(row)]));
    };
    return { node: make("tr", {}, ...cells), show };
  });
  const fill = () => {
    heads.forEach((head, i) => {
      if (COLUMNS[i][0] === sorted) head.setAttribute("aria-sort", descending ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    });
    host.toggleAttribute("data-runs", rows.some(({ facts }) => facts.run != null));
    draw([...rows].sort(compare).slice(0, most));
    more.hidden = rows.length <= most;
    more.textContent = `Show more of ${count(rows.length)} agents`;
  };
  const show = () => {
    const { of } = factsOf(view);
    const work = workOf(view.rows, without("statuses", "ids"));
    rows = [...work.values()].filter(({ agent }) => agent != null).map((one) => rowOf(one, of(one.agent)));
    heading.textContent = rows.length ? `Agents: ${count(rows.length)}` : view.rows.length ? "No agent has a task here" : "There are no agents";
    fill();
  };
  return { show };
}
