// One agent's page: what it has in progress and for how long, what it takes next, whom it waits for and who waits for it.

import { cut, factsOf, hoursSince, inTurn, lastWeek, newestSignFirst, problemOf, QUIET, quietFor, readiness, signOf, workOf } from "./agent_facts.js";
import { agentHistory } from "./agent_history.js";
import { agentRuns } from "./agent_runs.js";
import { count, make, said, visible } from "./dom.js";
import { keyed, refill } from "./keyed.js";
import { readableHours, UNASSIGNED } from "./rows.js";
import { taskLine } from "./task_line.js";

const NEXT_AT_MOST = 50;
const TREE_AT_MOST = 30;
const FINISHED_AT_MOST = 5;

// A list of tasks under a heading, with a bound.
function listing(kind, title, context, most, extras) {
  const [heading, list, more] = [make("h4"), make("ul", { class: `calypso-task-lines ${kind}` }), make("p", { class: "calypso-why" })];
  const node = make("section", {}, heading, list, more);
  let lines = [];
  const draw = keyed(list, ({ id }) => id, () => {
    const line = taskLine(context, extras);
    lines.push(line);
    return line;
  });
  const show = (rows, nothing) => {
    heading.textContent = rows.length ? `${title}: ${count(rows.length)}` : `${title}: ${nothing}`;
    draw(rows.slice(0, most));
    lines = lines.filter((line) => line.node.isConnected);
    more.textContent = rows.length > most ? `… and ${count(rows.length - most)} more` : "";
  };
  return { node, show, selected: () => lines.forEach((line) => line.selected()) };
}

// Time in progress: solid what is certain, since the last edit, and hatched what is possible, since creation.
function progress(row, longest) {
  if (row.age_hours == null || row.hours_since_update == null) return make("span", {}, "–");
  const width = (hours) => `width: ${(100 * Math.max(0, hours)) / longest}%`;
  const words = `in progress for at least ${row.last_edit}, at most ${row.age}`;
  return make("span", { class: "calypso-progress", title: words }, make("span", { class: "calypso-spans", role: "img", "aria-label": words },
    make("span", { class: "calypso-certain", style: width(row.hours_since_update) }),
    make("span", { class: "calypso-possible", style: width(row.age_hours - row.hours_since_update) })), make("small", {}, `for ≤ ${row.age}`));
}

export function agentPage(host, context, leave) {
  const { view, without, go, row: rowOf, known, selection, hands } = context;
  const open = (id) => context.open(id, () => mine);
  const back = make("button", { type: "button", onclick: leave }, "‹ all agents");
  const name = make("h3", { tabindex: -1 });
  const about = make("span", { class: "calypso-agent-about" });
  const actions = make("span", { class: "calypso-agent-actions", role: "group", "aria-label": "Actions" });
  const note = make("p", { class: "calypso-why", role: "status" });
  const tiles = make("dl", { class: "calypso-agent-tiles" });
  let [facts, longest] = [null, 1];
  const holds = ({ id }) => facts.holdsUp.get(id) ?? 0;
  const holding = (row) => holds(row) > 0 && make("small", { title: "Open tasks that wait for it, or behind it" }, `holds up ${count(holds(row))}`);
  const sign = (row) => make("small", { class: "calypso-quiet", title: "Since its last edit or other sign" }, `no sign for ${readableHours(hoursSince(signOf(row), view)) ?? "an unknown time"}`);
  const blocker = ({ id, blocked, blocked_by }) => blocked && [blocked_by, rowOf(blocked_by)?.agent, facts.stuck.has(id)];
  const now = listing("calypso-lines-now", "Now", { selection, open }, NEXT_AT_MOST, {
    says: (row) => [row.age, row.last_edit, row.age_hours / longest, signOf(row), holds(row), blocker(row)],
    nodes: (row) => [progress(row, longest), sign(row), make("span", {}, holding(row)), row.blocked && waits(row)],
  });
  const next = listing("calypso-lines-next", "Next, in the order in which it would take them", { selection, open }, NEXT_AT_MOST, {
    says: (row) => [row.age, holds(row), blocker(row)],
    nodes: (row) => [make("small", { title: "Since creation" }, row.age ?? "–"), row.blocked ? waits(row) : make("span"), make("span", {}, holding(row))],
  });
  const waiting = make("section");
  const done = make("section");
  const history = agentHistory(context);
  const runs = agentRuns(context);
  host.append(make("div", { class: "calypso-agent-head" }, back, name, about, actions), note, tiles,
    make("div", { class: "calypso-agent-columns" }, make("div", {}, now.node, next.node), make("div", {}, waiting, done, runs.node, history.node)));

  const opening = (id) => make("button", { type: "button", class: "calypso-open", title: `Open task #${id}`, onclick: () => open(id) }, `#${id}`);
  const named = (id) => [opening(id), " ", make("bdi", {}, cut(known(id)?.title))];
  const waits = (row) => make("span", { class: "calypso-waits", title: "Waits for this task" }, "⊘ ", opening(row.blocked_by), " ",
    rowOf(row.blocked_by) ? said(cut(rowOf(row.blocked_by).agent ?? UNASSIGNED)) : "", facts.stuck.has(row.id) ? " never ends" : "");

  // What waits for this agent's tasks, from the tree in which each task stands below the one that it waits for.
  const waitedFor = (agent) => {
    const { id, depth } = view.payload.blocking;
    const lines = [];
    let from = null;
    for (let i = 0; i < id.length && lines.length <= TREE_AT_MOST; i += 1) {
      if (from != null && depth[i] <= from) from = null;
      if (from == null && rowOf(id[i])?.agent === agent && depth[i + 1] > depth[i]) from = depth[i];
      if (from != null) lines.push([id[i], depth[i] - from]);
    }
    return lines;
  };
  const tree = (agent, blockers) => {
    const lines = waitedFor(agent);
    const who = (id) => [id, rowOf(id)?.agent, known(id)?.title, known(id)?.archived_at];
    refill(waiting, [lines.map(([id, deep]) => [who(id), deep]), blockers.map(who)], () => [
      make("h4", {}, lines.length ? "Is waited for" : "Nothing waits for it"),
      make("ul", { class: "calypso-tree" }, ...lines.slice(0, TREE_AT_MOST).map(([id, deep]) => make("li", { style: `padding-left: ${Math.min(deep, 12) * 16}px` },
        deep > 0 && "└ ", ...named(id), " ", rowOf(id)?.agent !== agent && make("small", {}, said(cut(rowOf(id)?.agent ?? UNASSIGNED)))))),
      lines.length > TREE_AT_MOST && make("button", { type: "button", class: "calypso-open", onclick: () => go("blocking") }, "… more in Blocking"),
      make("h4", {}, blockers.length ? "Waits for" : "Waits for nothing"),
      make("ul", { class: "calypso-tree" }, ...blockers.slice(0, TREE_AT_MOST).map((id) => make("li", {}, ...named(id), " ",
        make("small", {}, rowOf(id) ? said(cut(rowOf(id).agent ?? UNASSIGNED)) : known(id)?.archived_at ? "archived" : "")))),
    ]);
  };
  const finished = (agent, rows) => {
    const newest = rows.filter(({ status }) => status === "complete").sort((a, b) => (b.updated_at ?? "").localeCompare(a.updated_at ?? "") || b.id - a.id);
    const shown = newest.slice(0, FINISHED_AT_MOST);
    refill(done, [newest.length, shown.map(({ id, title, last_edit }) => [id, title, last_edit])], () => [
      make("h4", { title: "A task was finished at its last edit or before" }, newest.length ? "Recently finished" : "Nothing finished"),
      make("ul", { class: "calypso-tree" }, ...shown.map(({ id, last_edit }) => make("li", {}, ...named(id), " ", make("small", {}, last_edit == null ? "" : `≥ ${last_edit} ago`)))),
      newest.length > shown.length && make("button", { type: "button", class: "calypso-open", onclick: () => go("tasks", { agents: [agent], statuses: ["complete"], ids: [] }) }, `all ${count(newest.length)} ▸`),
    ]);
  };
  const tile = (label, value, detail, change) => make("div", {}, make("dt", {}, label), make("dd", {},
    make("button", { type: "button", disabled: !change, onclick: () => go("tasks", { ids: [], ...change }) }, value), detail && make("small", {}, detail)));
  const listed = (rows) => rows.length > 0 && { ids: rows.map(({ id }) => id), statuses: [], agents: [] };
  const showTiles = (agent, { working, idle, rows }, { limit, held, above }) => {
    const { ready, waiting: behind } = readiness(idle);
    const { came, went } = lastWeek(rows);
    const parents = working.filter(({ id }) => facts.parents.has(id)).length;
    const of = (some, change) => some?.length > 0 && { agents: [agent], ...change };
    const ids = (some) => some?.map(({ id }) => id);
    refill(tiles, [agent, limit, above, parents, ...[working, ready, behind, came, went].map(ids), [...held]], () => [
      tile("In progress", count(working.length), `${above ? "⚠ " : ""}limit ${limit}${parents ? `, ${parents} ${parents > 1 ? "are parents" : "is a parent"}` : ""}`, of(working, { statuses: ["working"] })),
      tile("Ready", ready ? count(ready.length) : "–", "", of(ready, { statuses: ["idle"], blocked: [false] })),
      tile("Blocked", behind ? count(behind.length) : "–", "", of(behind, { statuses: ["idle"], blocked: [true] })),
      tile("Holds up others", count(held.size), "", held.size > 0 && { ids: [...held], statuses: [], agents: [] }),
      tile("New, 7 days", count(came.length), "", listed(came)),
      tile("Finished, 7 days", `≤ ${count(went.length)}`, "at most", listed(went)),
    ]);
  };

  // The tasks on the page in their order, and those that are selected, else the one in a line.
  let mine = [];
  const chosenOf = (line) => {
    const chosen = mine.filter((id) => selection.has(id));
    return chosen.length || !line ? chosen : [Number(line.dataset.id)];
  };
  const act = () => {
    if (!hands) return;
    const chosen = chosenOf(null);
    const working = mine.filter((id) => rowOf(id)?.status === "working");
    const ids = chosen.length ? chosen : working;
    refill(actions, ids.map((id) => [id, rowOf(id)?.status]), () => (ids.length ? [make("small", {}, chosen.length ? `${count(ids.length)} selected` : `${count(ids.length)} in progress`),
      ...hands.buttons(["comment", "reassign", "set_idle"], ids)] : []));
  };
  const show = (agent) => {
    facts = factsOf(view);
    const of = facts.of(agent);
    const work = workOf(view.rows, without("agents", "statuses", "ids")).get(agent) ?? { rows: [], working: [], idle: [], open: 0 };
    const words = cut(agent);
    if (name.textContent !== words) name.replaceChildren(make("bdi", {}, words));
    const problem = problemOf(of);
    refill(about, [of.quiet, of.limit, problem], () => [
      make("span", { title: QUIET }, of.sign == null ? "no sign known" : `● last sign ${quietFor(of)} ago`), ` · limit ${of.limit}`,
      problem && make("span", { class: "calypso-problem", "data-urgency": problem.urgency, title: visible(problem.text) }, ` ⚠ ${problem.word}`)]);
    note.textContent = work.open < of.open ? `The filter lets ${count(work.open)} of its ${count(of.open)} open tasks through` : "";
    showTiles(agent, work, of);
    const working = [...work.working].sort(newestSignFirst);
    longest = Math.max(1, ...working.slice(0, NEXT_AT_MOST).map(({ age_hours }) => age_hours ?? 0));
    const idle = [...work.idle].sort(inTurn);
    mine = [...working, ...idle].map(({ id }) => id);
    now.show(working, work.open ? "nothing in progress" : "nothing left");
    next.show(idle, "nothing");
    tree(agent, [...new Set(work.rows.filter(({ is_open, blocked, blocked_by }) => is_open && blocked && blocked_by != null).map(({ blocked_by }) => blocked_by))]);
    finished(agent, work.rows);
    act();
    runs.show(agent);
    history.show(agent);
  };
  // The keys: which task has the focus, and what is done with it.
  const lines = () => [...host.querySelectorAll(".calypso-task-lines li")];
  const here = () => host.querySelector(".calypso-task-lines li:focus-within");
  const move = (step) => (lines()[Math.max(0, lines().indexOf(here()) + step)] ?? here())?.querySelector("button").focus();
  return {
    show, move, focus: () => name.focus({ preventScroll: true }), selected: () => { now.selected(); next.selected(); act(); },
    openCurrent: () => here()?.querySelector("button").click(),
    toggleCurrent: () => here()?.querySelector("input").click(),
    act: (action) => hands?.act(action, chosenOf(here()), here() ?? actions),
  };
}
