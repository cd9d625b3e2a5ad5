// What a view shows, as a short text: tab, filter, order, groups, and the agent whose page is open. It stands in the
// address of a page, and is what is kept of a named view.

import { COLUMNS } from "./columns.js";
import { NO_FILTER, normal } from "./filter.js";
import { GROUPS } from "./order.js";
import { TABS } from "./parts.js";
import { STATUSES } from "./rows.js";

export const FIRST = { tab: "now", sort: { key: "priority", down: true }, group: "", page: null };
const LONGEST = 4000;

// Marks that no encoded text holds.
const MARKS = new Map([[null, ":none"], ["", ":empty"], [true, ":yes"], [false, ":no"]]);
const MEANINGS = new Map([...MARKS].map(([value, mark]) => [mark, value]));
const written = (value) => MARKS.get(value) ?? encodeURIComponent(value);
const readable = (text) => (MEANINGS.has(text) ? MEANINGS.get(text) : decodeURIComponent(text));
const list = { encode: (values) => values.map(written).join(), decode: (text) => (text ? text.split(",").map(readable) : []) };
const texts = { ...list, decode: (text) => list.decode(text).filter((value) => value == null || typeof value === "string") };

// Numbers that follow each other as `3-7`.
const numbers = {
  encode: (ids) => {
    const runs = [];
    for (const id of [...ids].sort((a, b) => a - b)) {
      if (runs.at(-1)?.[1] === id - 1) runs.at(-1)[1] = id;
      else runs.push([id, id]);
    }
    return runs.map(([from, to]) => (from === to ? from : `${from}-${to}`)).join();
  },
  decode: (text) => text.split(",").flatMap((run) => {
    const [, from, to = from] = /^(\d{1,15})(?:-(\d{1,15}))?$/.exec(run) ?? [];
    const length = Math.min(Number(to) - Number(from) + 1, 100_000);
    return from == null || length < 1 ? [] : Array.from({ length }, (_, i) => Number(from) + i);
  }),
};
const edge = (text) => (/^-?\d{1,15}(\.\d+)?$/.test(text) ? Number(text) : null);
const range = {
  encode: ([low, high]) => `${low ?? ""}..${high ?? ""}`,
  decode: (text) => {
    const [low = "", high = ""] = text.split("..");
    return [edge(low), edge(high)];
  },
};
const FIELDS = new Map([
  ["statuses", ["status", { ...list, decode: (text) => list.decode(text).filter((status) => STATUSES.includes(status)) }]],
  ["agents", ["agent", texts]], ["queues", ["queue", texts]], ["tags", ["tag", texts]], ["ages", ["age", texts]],
  ["blocked", ["blocked", { ...list, decode: (text) => list.decode(text).filter((value) => value == null || typeof value === "boolean") }]],
  ["ids", ["ids", numbers]], ["priority", ["priority", range]],
  ["search", ["search", { encode: encodeURIComponent, decode: decodeURIComponent }]],
]);

// What differs from how the view begins: `defaults` is its filter. A text that is too long for an address is null.
export function textOf({ tab, filter, sort, group, page }, defaults) {
  const parts = [tab !== FIRST.tab && `tab=${tab}`];
  for (const [key, [name, { encode }]] of FIELDS) {
    if (JSON.stringify(filter[key]) !== JSON.stringify(normal(defaults)[key])) parts.push(`${name}=${encode(filter[key])}`);
  }
  if (sort.key !== FIRST.sort.key || !sort.down) parts.push(`sort=${sort.down ? "-" : ""}${sort.key}`);
  if (group) parts.push(`group=${group}`);
  if (page != null) parts.push(`page=${written(page)}`);
  const text = parts.filter(Boolean).join("&");
  return text.length > LONGEST ? null : text;
}

// What a text says, and null if it is not about a view: an address may have been made by anybody.
export function stateOf(text, defaults) {
  const state = { ...FIRST, filter: { ...NO_FILTER, ...defaults } };
  const fields = new Map([...FIELDS].map(([key, [name, { decode }]]) => [name, (said) => { state.filter[key] = decode(said); }]));
  fields.set("tab", (said) => { if (Object.hasOwn(TABS, said)) state.tab = said; });
  fields.set("group", (said) => { if (GROUPS.has(said)) state.group = said; });
  fields.set("page", (said) => { const page = readable(said); if (typeof page === "string") state.page = page; });
  fields.set("sort", (said) => {
    const key = said.replace(/^-/, "");
    if (COLUMNS.some((column) => column.key === key)) state.sort = { key, down: said !== key };
  });
  const parts = text.slice(0, 2 * LONGEST).split("&").map((part) => [part.split("=", 1)[0], part.slice(part.indexOf("=") + 1)]).filter(([name]) => fields.has(name));
  if (text && !parts.length) return null;
  for (const [name, said] of parts) {
    try {
      fields.get(name)(said);
    } catch {
      // Not encoded as it should be: as if it were not there.
    }
  }
  return state;
}
