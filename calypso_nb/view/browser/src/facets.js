// The values of a field of the filter, each with the number of tasks that it would show.

import { count, make, said } from "./dom.js";
import { toggled } from "./filter.js";

const SHOWN_AT_MOST = 200;

// How many tasks have each value, of those that pass the filter but for this field.
export function counted({ view, without }, key, valuesOf) {
  const counts = new Map();
  for (const i of without(key)) {
    const values = valuesOf(view.rows[i]);
    for (const value of values.length > 1 ? new Set(values) : values) counts.set(value, (counts.get(value) ?? 0) + 1);
  }
  return counts;
}

// A line of a menu shows how many tasks its value has, in figures and as a bar.
export function weighed(node, number, most) {
  node.style.setProperty("--share", `${most ? (100 * number) / most : 0}%`);
  node.classList.toggle("calypso-zero", !number);
  node.querySelector("small").textContent = count(number);
  node.querySelector("input, button").setAttribute("aria-description", `${count(number)} tasks`);
}

// The values as checkboxes: `fill` offers those with a text in them, `show` marks what is chosen.
export function checkboxes(key, words, { view, choose }) {
  const node = make("div", { class: "calypso-choices" });
  const lines = new Map();
  const line = (value) => {
    const change = () => choose({ [key]: toggled(view.filter[key], value) });
    const box = make("input", { type: "checkbox", "aria-label": words(value), onchange: change });
    return make("label", { class: value == null && "calypso-none" }, box, said(words(value)), make("small"));
  };
  const fill = (values, text) => {
    // What is chosen stays on offer, also when its last task has gone.
    const offered = [...new Set([...values, ...view.filter[key]])].filter((value) => words(value).toLowerCase().includes(text));
    const shown = offered.slice(0, SHOWN_AT_MOST);
    const left = offered.length - shown.length;
    const same = shown.length === lines.size && shown.every((value) => lines.has(value));
    if (same && lines.size) return;
    const focused = [...lines].find(([, label]) => label.contains(document.activeElement))?.[0];
    lines.clear();
    for (const value of shown) lines.set(value, line(value));
    node.replaceChildren(...lines.values(), ...(left > 0 ? [make("p", {}, `… and ${count(left)} more; search to find them`)] : []),
      ...(offered.length ? [] : [make("p", {}, "No match")]));
    lines.get(focused)?.firstChild.focus();
  };
  const show = (counts) => {
    const most = Math.max(...counts.values(), 0);
    for (const [value, label] of lines) {
      label.firstChild.checked = view.filter[key].includes(value);
      weighed(label, counts.get(value) ?? 0, most);
    }
  };
  return { node, fill, show };
}
