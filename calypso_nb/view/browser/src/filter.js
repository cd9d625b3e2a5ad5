// The filter: what each field of it lets through. The same stands for Python in calypso_nb/view/rows.py; a test compares.

import { UNASSIGNED } from "./rows.js";

// Of what several values can be chosen: the filter's field, its words for one, for many and for none, and a row's values.
export const CHOICES = [
  ["agents", "Agent", "Agents", UNASSIGNED, (row) => [row.agent]],
  ["queues", "Queue", "Queues", "(no queue)", (row) => [row.queue]],
  ["tags", "Tag", "Tags", "", (row) => row.tags],
  ["ages", "Age", "Ages", "", (row) => (row.is_open ? [row.age_bucket] : [])],
  ["blocked", "Blocked", "Blocked", "unknown", (row) => [row.is_open ? row.blocked : false]],
];
const VALUES = [["statuses", (row) => [row.status]], ["ids", (row) => [row.id]], ...CHOICES.map(([key, , , , valuesOf]) => [key, valuesOf])];

export const NO_FILTER = { ...Object.fromEntries(VALUES.map(([key]) => [key, []])), priority: [null, null], search: "" };
export const normal = (filter) => ({ ...NO_FILTER, ...filter });
export const searched = ({ search }) => search.replace(/^ +| +$/g, "").toLowerCase();

// The number that a search names, as in `#298`.
export const numbered = (text) => (/^#[0-9]{1,15}$/.test(text) ? Number(text.slice(1)) : null);

function saying(text) {
  const number = numbered(text);
  if (number != null) return (row) => row.id === number;
  const has = (value) => value != null && String(value).toLowerCase().includes(text);
  return (row) => has(row.title) || has(row.agent) || has(row.queue) || row.tags.some(has);
}

// The positions of the rows that pass; the fields of the filter in `but` let everything through.
export function selected(rows, filter, but = []) {
  const chosen = VALUES.filter(([key]) => !but.includes(key) && filter[key].length).map(([key, valuesOf]) => [new Set(filter[key]), valuesOf]);
  const [low, high] = but.includes("priority") ? [null, null] : filter.priority;
  const text = but.includes("search") ? "" : searched(filter);
  const says = text && saying(text);
  const matches = (row) => chosen.every(([wanted, valuesOf]) => valuesOf(row).some((value) => wanted.has(value)))
    && (low == null || (row.priority != null && row.priority >= low))
    && (high == null || (row.priority != null && row.priority <= high))
    && (!says || says(row));
  return rows.flatMap((row, i) => (matches(row) ? [i] : []));
}

export const toggled = (list, item) => (list.includes(item) ? list.filter((other) => other !== item) : [...list, item]);

// A click on a bar shows only what the bar counts, and a second click all again; with Ctrl, Shift or the
// Command key it adds and takes away.
export function picked(list, item, adding) {
  if (adding) return toggled(list, item);
  return list.length === 1 && list[0] === item ? [] : [item];
}
