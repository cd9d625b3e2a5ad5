// The filter: what each field of it lets through. The same stands for Python in calypso_nb/view/rows.py; a test compares.

export const NO_FILTER = { statuses: [], agents: [], queues: [], tags: [], ages: [], priority: [null, null], search: "" };
export const normal = (filter) => ({ ...NO_FILTER, ...filter });
export const searched = ({ search }) => search.replace(/^ +| +$/g, "").toLowerCase();

export function selected(rows, filter) {
  const has = (chosen) => (chosen.length ? new Set(chosen) : null);
  const [statuses, agents, queues, ages] = [filter.statuses, filter.agents, filter.queues, filter.ages].map(has);
  const [low, high] = filter.priority;
  const [tags, text] = [has(filter.tags), searched(filter)];
  const matches = (row) => (!statuses || statuses.has(row.status))
    && (!agents || agents.has(row.agent))
    && (!queues || queues.has(row.queue))
    && (!tags || row.tags.some((tag) => tags.has(tag)))
    && (!ages || (row.is_open && ages.has(row.age_bucket)))
    && (low == null || (row.priority != null && row.priority >= low))
    && (high == null || (row.priority != null && row.priority <= high))
    && (!text || (row.title ?? "").toLowerCase().includes(text));
  return rows.flatMap((row, i) => (matches(row) ? [i] : []));
}

export const toggled = (list, item) => (list.includes(item) ? list.filter((other) => other !== item) : [...list, item]);

// A click on a bar shows only what the bar counts, and a second click all again; with Ctrl, Shift or the
// Command key it adds and takes away.
export function picked(list, item, adding) {
  if (adding) return toggled(list, item);
  return list.length === 1 && list[0] === item ? [] : [item];
}
