// The rows of the payload, what a view counts of each, and the words that stand in them.

import { placesBefore } from "./delta.js";

export const UNASSIGNED = "(unassigned)";
export const STATUSES = ["idle", "working", "complete"];
const HOUR = 3_600_000_000;

// How many tasks an agent may have in progress.
export const limitOf = ({ limit, limits }, agent) => (Object.hasOwn(limits, agent) ? limits[agent] : limit);

// A time span in the largest unit that keeps it readable, as `readable_hours` has it in Python.
export function readableHours(hours) {
  if (hours == null) return null;
  if (hours < 1) return `${Math.round(Math.max(hours, 0) * 60)} min`;
  return hours < 48 ? `${hours.toFixed(1)} h` : `${(hours / 24).toFixed(1)} d`;
}

// A time in microseconds, as exact as Python has it: a task at the edge of an age bucket is in the same one here.
const micros = (time) => Date.parse(time) * 1000 + Number((/\.\d{3}(\d{1,3})/.exec(time)?.[1] ?? "").padEnd(3, "0"));

// What a server said of a task, and its ages at the moment of the last reading: that time passes makes no new row.
class Row {
  #reading;
  #times = {};
  constructor(columns, i, reading) {
    for (const name in columns) this[name] = columns[name][i];
    this.is_open = this.status !== "complete";
    this.#reading = reading;
  }
  #since(name) {
    if (this[name] == null) return null;
    if (this.#times[name]?.[0] !== this[name]) this.#times[name] = [this[name], micros(this[name])];
    return (this.#reading.now - this.#times[name][1]) / HOUR;
  }
  get age_hours() { return this.#since("created_at"); }
  get hours_since_update() { return this.#since("updated_at"); }
  get age() { return readableHours(this.age_hours); }
  get last_edit() { return readableHours(this.hours_since_update); }
  get age_bucket() {
    const hours = this.age_hours;
    return hours == null ? "unknown" : this.#reading.ages.find(([, edge]) => edge == null || hours < edge)[0];
  }
}

// The rows of a payload. With those of before and what has changed since (delta.js), only changed ones are made anew.
export function rowsOf({ rows, ages, meta }, reading, before, change) {
  Object.assign(reading, { now: micros(meta.generated_at), ages });
  if (!change) return rows.id.map((_, i) => new Row(rows, i, reading));
  // What an action has put into a row (hands.js) is replaced by what is known now.
  const ahead = ({ offered }) => offered !== undefined;
  const told = change.tables.rows;
  if (!told && !before.some(ahead)) return before;
  const places = told ? placesBefore(told) : before.map((_, i) => i);
  const changed = new Set(Object.values(told?.changed ?? {}).flatMap(([at]) => at));
  return places.map((place, i) => (place == null || changed.has(i) || ahead(before[place]) ? new Row(rows, i, reading) : before[place]));
}
