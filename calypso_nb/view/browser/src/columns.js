// The columns of the table: their words, what they are ordered by, and what stands in a spreadsheet.

import { make, visible } from "./dom.js";
import { picked } from "./filter.js";
import { STATUSES, UNASSIGNED } from "./rows.js";

const IN_A_CELL = 400;
const IN_A_TITLE = 4000;
const MOST_TAGS = 20;
const cut = (text, most) => visible(text.length > most ? `${text.slice(0, most)}…` : text);
// The beginning of a text, and more of it for whoever points at it.
const line = (text) => make("span", { dir: "auto", title: cut(text, IN_A_TITLE) }, cut(text, IN_A_CELL));
const press = (content, does, attributes = {}) => make("button", { type: "button", class: "calypso-open", onclick: does, ...attributes }, content);
const number = (value) => (value == null ? "–" : String(value));
const since = (field, time) => (row) => (row[field] == null ? "–" : make("span", { title: row[time] }, row[field]));
const rounded = (hours) => (hours == null ? null : Math.round(hours * 100) / 100);

// What a click in a cell does; `listed` returns the tasks that the drawer goes on to.
export function clicks({ view, row, choose, go, open, parts }, listed) {
  const only = (key, value, { ctrlKey, metaKey, shiftKey }) => choose({ [key]: picked(view.filter[key], value, ctrlKey || metaKey || shiftKey) });
  const other = (id) => view.payload.others[id];
  return {
    task: ({ id, title }) => press(title ? line(title) : "(no title)", () => open(id, listed), { "data-task": id }),
    number: (id) => press(`#${id}`, () => open(id), { title: cut(row(id)?.title ?? other(id)?.title ?? "", IN_A_TITLE) }),
    ended: (id) => Boolean(other(id)?.archived_at),
    agent: (name) => press(line(name), () => { go("agents"); parts().agents.open?.(name); }, { "aria-description": "Show this agent" }),
    only: (key, value) => press(line(value), (event) => only(key, value, event), { "aria-description": "Show only these" }),
  };
}

const sign = (text, title) => make("span", { role: "img", title, "aria-label": title }, text);
const blocker = ({ blocked_by: id, blocked }, does) => make("span", {}, does.number(id),
  does.ended(id) ? sign(" ⚠", "archived: it never ends") : blocked === false ? sign(" ✓", "no longer in the way") : "");

// `by` is what rows are ordered by, and what a CSV holds unless `saved` says otherwise.
export const COLUMNS = [
  { key: "id", head: "#", width: 54, numeric: true, by: ({ id }) => id, cell: ({ id }) => String(id) },
  { key: "title", head: "Title", by: ({ title }) => title, cell: (row, does) => does.task(row) },
  { key: "status", head: "Status", width: 88, by: ({ status }) => STATUSES.indexOf(status), saved: ({ status }) => status,
    cell: ({ status }) => make("span", { "data-status": status }, make("span", { class: "calypso-swatch" }), status) },
  { key: "agent", head: "Agent", width: 124, by: ({ agent }) => agent, cell: ({ agent }, does) => (agent == null ? make("em", {}, UNASSIGNED) : does.agent(agent)) },
  { key: "priority", head: "Priority", width: 84, numeric: true, by: ({ priority }) => priority, cell: ({ priority }) => number(priority) },
  { key: "age_hours", head: "Age", width: 66, numeric: true, by: (row) => row.age_hours, saved: (row) => rounded(row.age_hours), cell: since("age", "created_at") },
  { key: "hours_since_update", head: "Last edit", width: 94, numeric: true, by: (row) => row.hours_since_update, saved: (row) => rounded(row.hours_since_update), cell: since("last_edit", "updated_at") },
  { key: "queue", head: "Queue", width: 84, by: ({ queue }) => queue, cell: ({ queue }, does) => (queue == null ? "" : does.only("queues", queue)) },
  { key: "tags", head: "Tags", width: 118, by: ({ tags }) => tags.join(", ") || null, saved: ({ tags }) => tags,
    cell: ({ tags }, does) => make("span", { class: "calypso-several", title: cut(tags.join(", "), IN_A_TITLE) }, ...tags.slice(0, MOST_TAGS).map((tag) => does.only("tags", tag))) },
  { key: "blocked_by", head: "Blocked by", width: 108, numeric: true, by: (row) => row.blocked_by, cell: (row, does) => (row.blocked_by == null ? "" : blocker(row, does)) },
  { key: "parent", head: "Parent", width: 78, numeric: true, hidden: true, by: ({ parent }) => parent, cell: ({ parent }, does) => (parent == null ? "" : does.number(parent)) },
  { key: "comments", head: "Comments", width: 106, numeric: true, by: ({ comments }) => comments, cell: ({ comments }) => number(comments) },
  { key: "links", head: "Links", width: 68, numeric: true, by: ({ links }) => links, cell: ({ links }) => number(links) },
];
