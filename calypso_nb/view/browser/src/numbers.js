// The numbers at the top of the first screen, of the tasks that the filter lets through. Each opens what it counts.

import { factsOf, lastWeek } from "./agent_facts.js";
import { count, make } from "./dom.js";

const OPEN = ["idle", "working"];
const DAY = 24;
const ids = (rows) => rows.map(({ id }) => id);

// A number, in words: what it counts is opened by `change`, the change of the filter, in the tab `tab`.
const number = (rows, text, change, tab = "tasks", title = undefined) => ({ text: text(count(rows.length)), change: rows.length > 0 && change, tab, title });

function openTile(open, { view: { filter } }) {
  const statuses = OPEN.filter((status) => !filter.statuses.length || filter.statuses.includes(status));
  const fresh = open.filter(({ age_hours }) => age_hours != null && age_hours <= DAY);
  return ["open", "Open", [number(open, (n) => n, { statuses }), number(fresh, (n) => `${n} new in 24 h`, { ids: ids(fresh) })]];
}

function blockedTile(open, { view }) {
  if (open.some(({ blocked }) => blocked == null)) return ["blocked", "Blocked", [{ text: "–" }, { text: "unknown", title: "This server doesn’t report what is blocked" }]];
  const blocked = open.filter((row) => row.blocked);
  const { stuck } = factsOf(view);
  const [never, wait] = [blocked.filter(({ id }) => stuck.has(id)), blocked.filter(({ id }) => !stuck.has(id))];
  return ["blocked", "Blocked", [number(blocked, (n) => n, { blocked: [true] }),
    never.length > 0 && wait.length > 0 && number(wait, (n) => `${n} wait`, { ids: ids(wait) }),
    never.length > 0 && { ...number(never, (n) => `${n} never end${never.length === 1 ? "s" : ""}`, { ids: ids(never) }), kind: "stuck",
      title: "Behind an archived task, or in a circle" }]];
}

function unassignedTile(open, { view }) {
  const free = open.filter(({ agent }) => agent == null);
  const flagged = new Set(view.payload.attention.filter(({ reasons }) => reasons.includes("urgent_unassigned")).map(({ id }) => id));
  const urgent = free.filter(({ id }) => flagged.has(id));
  return ["unassigned", "Unassigned", [number(free, (n) => n, { agents: [null], statuses: OPEN }),
    urgent.length > 0 && { ...number(urgent, (n) => `${n} urgent`, { ids: ids(urgent) }), kind: "slow" }]];
}

function workingTile(open, { view }) {
  const { of } = factsOf(view);
  const working = open.filter(({ status }) => status === "working");
  const agents = [...new Set(working.map(({ agent }) => agent))].filter((agent) => agent != null);
  const above = agents.filter((agent) => of(agent).above);
  return ["working", "In progress", [number(working, (n) => n, { statuses: ["working"] }),
    agents.length > 0 && number(agents, (n) => `${n} agent${agents.length === 1 ? "" : "s"}`, { agents }, "agents"),
    above.length > 0 && { ...number(above, (n) => `${n} above limit`, { agents: above }, "agents"), kind: "slow", title: "More tasks in progress than their limits allow" }]];
}

// Whether the backlog grew is certain if more came than can have been finished and archived. That it shrank never is,
// as of what was finished there is no more than a bound.
const TOLERANCE = 0.05;
function trend(came, went, archived) {
  const least = came.length - went.length - archived;
  const most = came.filter(({ status }) => status !== "complete").length;
  const even = TOLERANCE * Math.max(came.length, went.length);
  if (least > even) return { text: "⚠ grows", kind: "slow" };
  return most > 0 && Math.max(-least, most) <= even && { text: "about even" };
}

// Of all tasks whatever their status, as is the chart of the backlog.
function weekTile({ view, without }) {
  const { came, went } = lastWeek(without("statuses", "ids").map((i) => view.rows[i]));
  const all = { statuses: [] };
  return ["week", "Last 7 days", [number(came, (n) => `+${n} new`, { ...all, ids: ids(came) }),
    number(went, (n) => `≤ ${n} finished`, { ...all, ids: ids(went) }, "tasks", "At most: a task was finished at its last edit or before. Archived tasks are not counted"),
    trend(came, went, view.payload.archived_in_week)]];
}

// A button that stays the same one while its number changes.
function piece({ go }) {
  let [tab, change] = [null, null];
  const node = make("button", { type: "button", onclick: () => go(tab, change) });
  const show = (said) => {
    node.hidden = !said;
    if (!said) return;
    ({ tab, change } = said);
    if (node.textContent !== said.text) node.textContent = said.text;
    node.disabled = !change;
    node.dataset.kind = said.kind ?? "";
    node.title = said.title ?? "";
  };
  return { node, show };
}

function tile(context, name) {
  const label = make("dt");
  const [main, ...notes] = [piece(context), piece(context), piece(context)];
  const node = make("div", { "data-number": name }, label, make("dd", {}, main.node, make("small", {}, ...notes.map((note) => note.node))));
  const show = (text, pieces) => {
    label.textContent = text;
    [main, ...notes].forEach((part, i) => part.show(pieces[i]));
  };
  return { node, show };
}

const NAMES = ["open", "blocked", "unassigned", "working", "week"];

export function numbers(host, context) {
  const tiles = new Map(NAMES.map((name) => [name, tile(context, name)]));
  host.append(make("dl", {}, ...[...tiles.values()].map(({ node }) => node)));
  const show = (indices) => {
    const open = indices.map((i) => context.view.rows[i]).filter((row) => row.is_open);
    const counted = [...[openTile, blockedTile, unassignedTile, workingTile].map((of) => of(open, context)), weekTile(context)];
    for (const [name, label, pieces] of counted) tiles.get(name).show(label, pieces);
  };
  return { show };
}
