// What a chart's marks say as a table, for whoever does not point at them.

import { count, make, visible } from "./dom.js";

const MOST_ROWS = 200;
const MOST_LETTERS = 300;

// Every mark that stands for data, and nothing of axes and legends.
function* marksIn(mark) {
  for (const item of mark.items) {
    if (mark.marktype === "group") for (const inner of item.items) yield* marksIn(inner);
    else if (mark.role === "mark" && item.datum) yield item;
  }
}

// A mark says its tooltip, and without one what its description says: `age: 5; tasks: 3`.
function saidBy({ tooltip, description }) {
  if (tooltip && typeof tooltip === "object") return Object.entries(tooltip);
  return String(description ?? "").split("; ").map((part) => part.split(": ")).filter((pair) => pair.length === 2);
}

// Marks with the same fields are one table; what two marks say alike stands there once.
function tablesOf(view) {
  const tables = new Map();
  for (const item of marksIn(view.scenegraph().root)) {
    const said = saidBy(item);
    if (!said.length) continue;
    const heads = JSON.stringify(said.map(([head]) => head));
    if (!tables.has(heads)) tables.set(heads, new Map());
    const rows = tables.get(heads);
    const key = JSON.stringify(said);
    if (!rows.has(key)) rows.set(key, { cells: said.map(([, value]) => String(value ?? "–")), datum: item.datum });
  }
  return [...tables].map(([heads, rows]) => [JSON.parse(heads), [...rows.values()]]);
}

// `marks` is what a mark opens: `opens(datum)` says whether it does, and `press(datum)` opens it.
export function chartTable(view, label, marks) {
  const body = make("div", { class: "calypso-inner" });
  const cell = (text) => visible(text.length > MOST_LETTERS ? `${text.slice(0, MOST_LETTERS)}…` : text);
  const button = (text, datum) => make("button", { type: "button", class: "calypso-open", dir: "auto", onclick: () => marks.press(datum, false) }, cell(text));
  const row = ({ cells, datum }) => make("tr", {}, ...cells.map((text, i) => make("td", { dir: "auto" },
    i === 0 && marks?.opens(datum) ? button(text, datum) : cell(text))));
  const table = ([heads, rows]) => [
    make("table", { "aria-label": label }, make("thead", {}, make("tr", {}, ...heads.map((head) => make("th", { scope: "col" }, cell(head))))),
      make("tbody", {}, ...rows.slice(0, MOST_ROWS).map(row))),
    rows.length > MOST_ROWS && make("p", { class: "calypso-about-list" }, `… and ${count(rows.length - MOST_ROWS)} more`)];
  const fill = () => node.open && body.replaceChildren(...tablesOf(view).flatMap(table).filter(Boolean));
  const node = make("details", { class: "calypso-as-table", ontoggle: fill }, make("summary", {}, "Show as table"), body);
  return { node, fill };
}
