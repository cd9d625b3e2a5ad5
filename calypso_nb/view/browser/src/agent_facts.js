// What is known of each agent: its work that passes a filter, and what holds whatever the filter says.

import { count, visible } from "./dom.js";
import { limitOf, readableHours } from "./rows.js";

// What a line shows of a title or a name.
const MOST_LETTERS = 200;
export const cut = (text) => visible((text ?? "").slice(0, MOST_LETTERS));

const DAY = 24;
const WEEK = 7 * DAY;

// What is wrong with an agent or its tasks, in a word or two, by the reason of the line.
const WORDS = {
  archived_blocker: "never ends", blocking_cycle: "never ends", unserved_queue: "not served", urgent_unassigned: "urgent",
  waiting_on_human: "asks", run_lost: "run lost", retries_used_up: "failed", working_unassigned: "nobody’s", working_blocked: "blocked",
  nothing_working: "not started", parked: "parked", complete_parent: "parent done", archived_parent: "parent archived",
};

// Times are texts of one form, all UTC: they sort as they are.
export const signOf = ({ last_sign_at, updated_at }) => ((last_sign_at ?? "") > (updated_at ?? "") ? last_sign_at : updated_at);
const later = (a, b) => ((b ?? "") > (a ?? "") ? b : a);
export const hoursSince = (time, { payload }) => (time == null ? null : (Date.parse(payload.meta.generated_at) - Date.parse(time)) / 3_600_000);

// In progress since some moment between creation and last edit.
export function inProgressFor({ age, age_hours, last_edit, hours_since_update }) {
  if (age_hours == null || hours_since_update == null) return "since when is unknown";
  return age === last_edit ? `for ${age}` : `for at least ${last_edit}, at most ${age}`;
}
export const inProgressBetween = ({ age, last_edit }) => (age === last_edit ? age ?? "–" : `${last_edit ?? "?"} – ${age ?? "?"}`);

// The order in which TinyTask gives an agent its idle tasks: see its `signup_for_task`.
export const inTurn = (a, b) => (b.priority ?? -Infinity) - (a.priority ?? -Infinity) || order(a.created_at, b.created_at) || a.id - b.id;
export const newestSignFirst = (a, b) => order(signOf(b) ?? "", signOf(a) ?? "") || a.id - b.id;
const order = (a, b) => (a === b ? 0 : a < b ? -1 : 1);
export const first = (rows, compare) => rows.reduce((a, b) => (a && compare(a, b) <= 0 ? a : b), null);

const created = ({ age_hours }) => age_hours != null && age_hours <= WEEK;
const finished = ({ status, hours_since_update }) => status === "complete" && hours_since_update != null && hours_since_update <= WEEK;
// The tasks that came in the last 7 days, and those that may have been finished then: a task was finished at its last
// edit or before, so no others were.
export const lastWeek = (rows) => ({ came: rows.filter(created), went: rows.filter(finished) });

// The rows that pass, by agent; null stands for unassigned tasks.
export function workOf(rows, indices) {
  const work = new Map();
  for (const i of indices) {
    const row = rows[i];
    const one = work.get(row.agent) ?? { agent: row.agent, rows: [], working: [], idle: [], open: 0 };
    work.set(row.agent, one);
    one.rows.push(row);
    if (!row.is_open) continue;
    one.open += 1;
    (row.status === "working" ? one.working : one.idle).push(row);
  }
  return work;
}

// The idle tasks that can be started and those that wait; null if the server doesn't tell.
export function readiness(idle) {
  if (idle.some(({ blocked }) => blocked == null)) return { ready: null, waiting: null };
  return { ready: idle.filter(({ blocked }) => !blocked), waiting: idle.filter(({ blocked }) => blocked) };
}

const known = new WeakMap();
// What holds whatever the filter says, counted once for all that the view was sent.
export function factsOf(view) {
  if (!known.has(view.payload)) known.set(view.payload, counted(view));
  return known.get(view.payload);
}

function counted(view) {
  const { rows, payload } = view;
  const parents = new Set(rows.map(({ parent }) => parent));
  const agents = new Map();
  const of = (agent) => {
    if (!agents.has(agent)) agents.set(agent, { limit: limitOf(payload, agent), sign: null, open: 0, hand: 0, run: null, problems: [], held: new Set() });
    return agents.get(agent);
  };
  for (const row of rows) {
    const one = of(row.agent);
    one.sign = later(one.sign, signOf(row));
    if (row.is_open) one.open += 1;
    if (row.status !== "working") continue;
    one.run = later(one.run, row.run_until);
    // A parent is no work of its own, and a scheduler keeps limits of its own.
    if (!parents.has(row.id) && !((row.run_until ?? "") > payload.meta.generated_at)) one.hand += 1;
  }
  for (const line of payload.attention) {
    if (line.urgency < 2) continue;
    for (const agent of concerned(line, view)) of(agent).problems.push(line);
  }
  holdUps(view, (agent, id) => of(agent).held.add(id));
  for (const [agent, one] of agents) {
    one.problems.sort((a, b) => b.urgency - a.urgency);
    one.urgency = one.problems[0]?.urgency ?? 0;
    one.above = one.hand > one.limit;
    one.quiet = agent == null ? null : hoursSince(one.sign, view);
  }
  return { of, parents, stuck: stuck(view), holdsUp: new Map(payload.blocking.id.map((id, i) => [id, payload.blocking.holds_up[i]])) };
}

const concerned = ({ about, agent, tasks }, { rows, places }) =>
  (about === "agent" ? [agent] : new Set(tasks.filter((id) => places.has(id)).map((id) => rows[places.get(id)].agent)));

// Calls `held(agent, id)` for each task of others that waits for one of an agent's, or behind it. The tree has each
// task below the one that it waits for; of a longer chain than this, no more is counted.
const NEAREST = 100;
function holdUps({ rows, places, payload: { blocking } }, held) {
  const path = [];
  blocking.id.forEach((id, i) => {
    const agent = rows[places.get(id)]?.agent;
    path.length = blocking.depth[i];
    for (const above of new Set(path.slice(-NEAREST))) if (above != null && above !== agent) held(above, id);
    path.push(agent);
  });
}

// The tasks that wait for one that is archived, or for themselves in a circle, or behind such a task.
function stuck({ rows, places, payload: { others } }) {
  const ends = new Map();
  for (const row of rows) {
    const path = [];
    let task = row;
    while (task?.is_open && task.blocked && !ends.has(task.id)) {
      path.push(task);
      ends.set(task.id, false); // Who comes here again has gone round in a circle.
      task = rows[places.get(task.blocked_by)];
    }
    const last = path.at(-1);
    const end = task ? ends.get(task.id) ?? true : others[last?.blocked_by]?.archived_at == null;
    for (const { id } of path) ends.set(id, end);
  }
  return new Set([...ends].filter(([, end]) => !end).map(([id]) => id));
}

// What is wrong with an agent, in short and in full, and how urgent it is: 3 never ends by itself, 2 has stopped.
export function problemOf({ problems, hand, urgency }) {
  if (!problems.length) return null;
  const [{ reasons, causes }] = problems;
  const numbered = { too_many_working: `${hand} at once`, silent: `${count(causes[0][1].length)} silent` };
  const word = numbered[reasons[0]] ?? WORDS[reasons[0]] ?? "see list";
  return { urgency, word, text: problems.slice(0, 8).map(({ evidence }) => evidence.slice(0, 300)).join("\n") };
}

export const quietFor = ({ quiet }) => readableHours(quiet) ?? "–";
export const QUIET = "Since the last edit or other sign of any of its tasks, finished ones too";
