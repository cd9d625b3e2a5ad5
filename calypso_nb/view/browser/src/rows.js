// The rows of the payload, and the words that stand in them.

export const UNASSIGNED = "(unassigned)";
export const STATUSES = ["idle", "working", "complete"];

export function rowsOf({ rows }) {
  const names = Object.keys(rows);
  return rows.id.map((_, i) => Object.fromEntries(names.map((name) => [name, rows[name][i]])));
}
