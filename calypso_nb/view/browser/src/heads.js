// The heads of the table, by which it is sorted, and the menu that chooses among its columns.

import { COLUMNS } from "./columns.js";
import { make } from "./dom.js";
import { menu } from "./menus.js";

const SIGNS = { ascending: " ↑", descending: " ↓" };

// `changed` is called for another order, and for other columns.
export function heads({ view }, all, changed) {
  const hidden = new Set(COLUMNS.filter((column) => column.hidden).map(({ key }) => key));
  const shown = () => COLUMNS.filter(({ key }) => !hidden.has(key));
  const sortBy = ({ key, numeric }) => {
    view.sort = { key, down: view.sort.key === key ? !view.sort.down : Boolean(numeric) };
    changed("order");
  };
  const cell = (column) => {
    const { key, head, numeric, width } = column;
    const sorted = view.sort.key === key ? (view.sort.down ? "descending" : "ascending") : "none";
    return make("th", { scope: "col", class: `calypso-${key} ${numeric ? "calypso-numeric" : ""}`, "aria-sort": sorted, style: width && `width: ${width}px` },
      make("button", { type: "button", class: "calypso-open", title: `Sort by ${key === "id" ? "number" : head.toLowerCase()}`, onclick: () => sortBy(column) },
        head, make("span", { "aria-hidden": "true" }, SIGNS[sorted] ?? "")));
  };
  const node = make("thead");
  const draw = () => {
    const focused = [...node.querySelectorAll("button")].indexOf(document.activeElement);
    node.replaceChildren(make("tr", { "aria-rowindex": 1 }, make("th", { scope: "col", class: "calypso-check" }, all), ...shown().map(cell)));
    if (focused >= 0) node.querySelectorAll("button")[focused]?.focus();
  };
  const toggle = (key) => {
    if (!hidden.delete(key)) hidden.add(key);
    changed("columns");
  };
  const choices = COLUMNS.map(({ key, head }) => {
    const box = make("input", { type: "checkbox", onchange: () => toggle(key) });
    box.checked = !hidden.has(key);
    return make("label", {}, box, key === "id" ? "# (number)" : head);
  });
  const picker = menu("Columns", [make("div", { class: "calypso-choices", role: "group", "aria-label": "Columns" }, ...choices)], { kind: "calypso-columns" });
  return { node, draw, shown, picker: picker.node };
}
