// What is selected in the table, and what can be done with it.

import { count, make } from "./dom.js";

// The box of the head, which stands for all that the filter lets through: `ids` lists them.
export function everything({ selection }, ids) {
  const box = make("input", { type: "checkbox", "aria-label": "Select all tasks that the filter lets through", title: "Select all that the filter lets through",
    onclick: () => selection.set(box.checked ? ids() : []) });
  const show = () => {
    const listed = selection.ids().length ? ids() : [];
    const having = listed.filter(selection.has).length;
    box.checked = having > 0 && having === listed.length;
    box.indeterminate = having > 0 && having < listed.length;
  };
  return { box, show };
}

// The bar below the table while something is selected: what can be done with it, and without a kernel only saved.
export function selectionBar({ selection, hands, view, row }, { save, left }) {
  const text = make("span", { role: "status" });
  const acts = hands?.bar();
  const clear = () => { selection.clear(); left(); };
  const node = make("div", { class: "calypso-selection", role: acts ? "group" : "toolbar", "aria-label": "Selected tasks", hidden: true }, acts, text,
    make("button", { type: "button", title: "Save the selected tasks as CSV", onclick: () => save(selection.ids().map(row)) }, "CSV"),
    !acts && make("button", { type: "button", onclick: clear }, "Clear"));
  const show = () => {
    const ids = selection.ids();
    node.hidden = !ids.length;
    if (!ids.length) return;
    const shown = new Set((view.shown ?? []).map((at) => view.rows[at].id));
    const hidden = ids.filter((id) => !shown.has(id)).length;
    text.textContent = [!acts && `${count(ids.length)} selected`, hidden > 0 && `${count(hidden)} of them hidden by the filter`].filter(Boolean).join(", ");
  };
  return { node, show };
}
