// Named views: some that everybody has, and those that somebody has saved.

import { ownsPage } from "./address.js";
import { make, said } from "./dom.js";
import { NO_FILTER } from "./filter.js";
import { menu } from "./menus.js";
import { FIRST, textOf } from "./state.js";
import { stored } from "./stored.js";

const LONGEST_NAME = 60;
const WEEK_HOURS = 168;
const OPEN = ["idle", "working"];

// The views that everybody has: a name, and what each filters by; null for one that has no task.
const BUILT_IN = [
  ["Unassigned", () => ({ statuses: OPEN, agents: [null] })],
  ["Blocked", () => ({ statuses: OPEN, blocked: [true] })],
  ["Urgent: priority ≥ 9", () => ({ statuses: OPEN, priority: [9, null] })],
  // A task was finished at its last edit at the latest.
  ["Finished in the last 7 days, at most", (rows) => {
    const ids = rows.filter((row) => !row.is_open && row.hours_since_update <= WEEK_HOURS && row.hours_since_update != null).map(({ id }) => id);
    return ids.length ? { ids } : null;
  }],
];

export function views(host, context) {
  const { view, parts } = context;
  const store = stored(() => view.payload.meta.endpoint);
  const show = (text) => {
    node.open = false;
    if (!parts().address.apply(text)) parts().toasts.say("This view can't be shown");
    summary.focus();
  };
  // On a page each is a link too, to be copied or opened in another window.
  const entry = (name, text) => (ownsPage(context)
    ? make("a", { class: "calypso-item", href: `#${text}`, onclick: (event) => { if (event.ctrlKey || event.metaKey || event.shiftKey) return; event.preventDefault(); show(text); } }, said(name))
    : make("button", { type: "button", class: "calypso-item", onclick: () => show(text) }, said(name)));
  const builtIn = ([name, filterOf]) => {
    const filter = filterOf(view.rows);
    const text = filter && textOf({ ...FIRST, tab: "tasks", filter: { ...NO_FILTER, ...filter } }, view.payload.filter);
    return text == null ? make("span", { class: "calypso-item calypso-zero" }, `${name}: ${filter ? "too many" : "none"}`) : entry(name, text);
  };
  const forget = (name) => make("button", { type: "button", class: "calypso-remove", "aria-label": `Delete the view ${name}`, title: "Delete this view",
    onclick: () => { store.remove(name); fill(); input.focus(); } }, "×");
  const own = ([name, text]) => make("div", { class: "calypso-choice" }, entry(name, text), forget(name));
  const list = make("div", { class: "calypso-choices" });
  const input = make("input", { type: "text", maxlength: LONGEST_NAME, required: true, placeholder: "Name for what is shown now", "aria-label": "Name of the view", autocomplete: "off", dir: "auto" });
  const problem = make("p", { role: "status" });
  const save = () => {
    const [name, text] = [input.value.trim(), parts().address.text()];
    problem.textContent = text == null ? "Too many tasks are chosen to save this" : "";
    if (!name || text == null) return;
    store.set(name, text);
    input.value = "";
    fill();
  };
  const form = make("form", { onsubmit: (event) => { event.preventDefault(); save(); } }, input, make("button", { type: "submit" }, "Save"));
  const fill = () => {
    problem.textContent = "";
    list.replaceChildren(entry("Default", ""), ...BUILT_IN.map(builtIn), ...[...store.all()].map(own));
  };
  const { node, summary } = menu("Views", [list, form, problem], { kind: "calypso-saved-views", opened: fill });
  host.append(node);
  return {};
}
