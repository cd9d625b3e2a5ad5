// The order of rows, and their groups.

import { STATUSES, UNASSIGNED } from "./rows.js";

const { compare: asRead } = new Intl.Collator("en", { numeric: true });
const compare = (a, b) => (typeof a === "number" ? a - b : asRead(a, b));

// The place of each row by some value of it; what is unknown comes last, whether the order goes up or down.
function ranks(rows, by, down) {
  const values = rows.map(by);
  const known = [...new Set(values)].filter((value) => value != null).sort(compare);
  if (down) known.reverse();
  const places = new Map(known.map((value, i) => [value, i]));
  return Int32Array.from(values, (value) => places.get(value) ?? known.length);
}

// Most urgent first and oldest first among equals, which also parts the equals of every other order.
function urgent(rows) {
  const [priority, age] = [ranks(rows, (row) => row.priority, true), ranks(rows, (row) => row.age_hours, true)];
  return Int32Array.from(rows.keys()).sort((a, b) => priority[a] - priority[b] || age[a] - age[b] || a - b);
}

// The positions of all rows in an order; made again only for other rows or another order.
export function ordering() {
  let [last, base, positions, places] = [{}, null, null, null];
  return (rows, by, key, down) => {
    if (rows !== last.rows) {
      base = urgent(rows);
      places = new Int32Array(rows.length);
      base.forEach((at, i) => { places[at] = i; });
    }
    if (rows !== last.rows || key !== last.key || down !== last.down) {
      const rank = ranks(rows, by, down);
      positions = base.slice().sort((a, b) => rank[a] - rank[b] || places[a] - places[b]);
      last = { rows, key, down };
    }
    return positions;
  };
}

// What rows can be grouped by: its name, the values of a row, the words for one, and how groups are ordered.
const byName = (a, b) => asRead(a, b);
export const GROUPS = new Map([
  ["agent", ["Agent", (row) => [row.agent], (agent) => agent ?? UNASSIGNED, byName]],
  ["queue", ["Queue", (row) => [row.queue], (queue) => queue ?? "(no queue)", byName]],
  ["tag", ["Tag", (row) => (row.tags.length ? row.tags : [null]), (tag) => tag ?? "(no tag)", byName]],
  ["status", ["Status", (row) => [row.status], (status) => status, (a, b) => STATUSES.indexOf(a) - STATUSES.indexOf(b)]],
  ["priority", ["Priority", (row) => [row.priority], (priority) => (priority == null ? "(no priority)" : `Priority ${priority}`), (a, b) => b - a]],
  ["parent", ["Parent", (row) => [row.parent], (parent) => (parent == null ? "(no parent)" : `#${parent}`), (a, b) => a - b]],
]);

function counts(rows) {
  const open = rows.filter((row) => row.is_open);
  const blocked = open.some((row) => row.blocked == null) ? null : open.filter((row) => row.blocked).length;
  const having = (status) => open.filter((row) => row.status === status).length;
  return { all: rows.length, open: open.length, idle: having("idle"), working: having("working"), blocked };
}

// The lines of a table: rows by their positions, each group of them below its head. `folded` are the values of those
// of which only the head is shown.
export function grouped(positions, rows, grouping, folded) {
  if (!GROUPS.has(grouping)) return positions.map((at) => ({ at }));
  const [, valuesOf, words, order] = GROUPS.get(grouping);
  const groups = new Map();
  for (const at of positions) {
    for (const value of new Set(valuesOf(rows[at]))) {
      if (!groups.has(value)) groups.set(value, []);
      groups.get(value).push(at);
    }
  }
  const inOrder = [...groups].sort(([a], [b]) => (a == null) - (b == null) || (a == null ? 0 : order(a, b)));
  return inOrder.flatMap(([value, members]) => {
    const head = { group: value, name: words(value), folded: folded.has(value), counts: counts(members.map((at) => rows[at])) };
    return head.folded ? [head] : [head, ...members.map((at) => ({ at, group: value }))];
  });
}
