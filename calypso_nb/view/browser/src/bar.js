// What can be done with all that is selected; nothing is shown while nothing is.

import { can, hintOf } from "./actions.js";
import { count, make } from "./dom.js";

const NAMES = { reassign: "Reassign …", comment: "Ask …", priority: "Priority …", set_idle: "Set idle", release: "Release", queue: "Queue …", archive: "Archive …" };

// knownOf(ids) are the tasks as they are shown, act(name, ids, button) does something to them.
export function bar(selection, knownOf, act) {
  const words = make("b", {});
  const doing = Object.entries(NAMES).map(([name, label]) => make("button", { type: "button", class: "calypso-hand", "data-act": name, title: hintOf(name),
    onclick: ({ currentTarget }) => act(name, selection.ids(), currentTarget) }, label));
  const node = make("div", { class: "calypso-selected", role: "toolbar", "aria-label": "Selected tasks" }, words, ...doing,
    make("button", { type: "button", onclick: selection.clear }, "Clear"));
  const shown = () => {
    const ids = selection.ids();
    node.hidden = !ids.length;
    if (!ids.length) return;
    words.textContent = `${count(ids.length)} selected:`;
    const tasks = knownOf(ids);
    doing.forEach((button) => { button.disabled = !tasks.some((task) => can(button.dataset.act, task)); });
  };
  selection.follow(shown);
  shown();
  return node;
}
