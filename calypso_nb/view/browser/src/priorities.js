// The filter by priority: one value, or all from a value up, or between two bounds.

import { removable } from "./chooser.js";
import { make } from "./dom.js";
import { counted, weighed } from "./facets.js";
import { menu } from "./menus.js";

const SHOWN_AT_MOST = 200;
const bound = (text) => (text === "" || Number.isNaN(Number(text)) ? null : Number(text));

export function rangeInWords([low, high]) {
  if (low == null) return high == null ? "any" : `≤ ${high}`;
  if (high == null) return `≥ ${low}`;
  return low === high ? `${low}` : `${low} to ${high}`;
}

export function priorities(context) {
  const { view, choose } = context;
  const change = () => choose({ priority: [bound(low.value), bound(high.value)] });
  const box = (label) => make("input", { type: "number", step: 1, "aria-label": label, oninput: change });
  const [low, high] = [box("Lowest priority"), box("Highest priority")];
  const list = make("div", { class: "calypso-choices", role: "group", "aria-label": "Priorities" });
  const set = (range) => choose({ priority: String(range) === String(view.filter.priority) ? [null, null] : range });
  const line = (value) => make("div", { class: "calypso-choice" },
    make("button", { type: "button", "aria-label": `Priority ${value}`, "data-range": `${value},${value}`, onclick: () => set([value, value]) }, String(value)),
    make("button", { type: "button", "aria-label": `Priority ${value} and above`, "data-range": `${value},`, onclick: () => set([value, null]) }, `≥ ${value}`), make("small"));
  let lines = new Map();
  const recount = () => {
    const counts = counted(context, "priority", (row) => (row.priority == null ? [] : [row.priority]));
    const most = Math.max(...counts.values(), 0);
    for (const [value, node] of lines) {
      weighed(node, counts.get(value) ?? 0, most);
      for (const button of node.querySelectorAll("button")) {
        button.setAttribute("aria-pressed", String(button.dataset.range === view.filter.priority.map((edge) => edge ?? "").join()));
      }
    }
  };
  const { node, summary, open } = menu("Priority", [make("span", { class: "calypso-between" }, "from", low, "to", high), list],
    { kind: "calypso-chooser calypso-priorities", opened: recount });
  const field = removable("priority", "priority", node, context);
  const load = () => {
    const known = [...new Set(view.rows.map((row) => row.priority))].filter((priority) => priority != null).sort((a, b) => b - a).slice(0, SHOWN_AT_MOST);
    if (String(known) === String([...lines.keys()])) return;
    lines = new Map(known.map((value) => [value, line(value)]));
    list.replaceChildren(...lines.values());
  };
  const show = () => {
    const range = view.filter.priority;
    field.set(range.some((edge) => edge != null));
    summary.textContent = `Priority: ${rangeInWords(range)}`;
    [low, high].forEach((input, i) => { if (bound(input.value) !== range[i]) input.value = range[i] ?? ""; });
    if (node.open) recount();
  };
  return { key: "priority", name: "Priority", node: field.whole, menu: node, open, load, show, fits: () => lines.size > 1 };
}
