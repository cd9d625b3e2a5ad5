// The keys, and what explains them: they work while the focus is in this view, and on a page of its own if it is nowhere.

import { ownsPage } from "./address.js";
import { make } from "./dom.js";
import { closing } from "./menus.js";

const KEYS = [
  ["/", "search: a text, or #298 and Enter for that task"], ["j  k", "next and previous task in the list"], ["Enter", "open the task"],
  ["x", "select the task; with Shift a click selects a range"], ["a", "assign what is selected, or the task"], ["p", "set its priority"],
  ["r", "refresh"], ["Esc", "close"], ["?", "this help"],
];
// What only a kernel can do.
const ACTING = ["a", "p", "r"];
const SIGNS = [
  ["–", "unknown: the server doesn't say it, or it is not counted yet"], ["≤  ≥", "at most, at least: a bound, as the exact number is not known"],
  ["amber", "slow"], ["red", "stuck: it doesn't end on its own"], ["last edit", "the last change of the task itself; comments don't count"],
];
const FIELDS = 'textarea, select, [contenteditable], input:not([type="checkbox"], [type="radio"])';
// Here Enter has a meaning of its own.
const PRESSED = "button, a, summary, input";

export function keys(host, context) {
  const { root, view, live, parts } = context;
  const listing = (title, pairs) => [make("h3", {}, title), make("dl", {}, ...pairs.flatMap(([name, text]) => [make("dt", {}, name), make("dd", {}, text)]))];
  const help = make("div", { class: "calypso-help", popover: "auto", role: "dialog", "aria-label": "Keys and signs", tabindex: -1 },
    ...listing("Keys", KEYS.filter(([name]) => live || !ACTING.includes(name))), ...listing("Signs", SIGNS));
  const explain = () => {
    help.togglePopover();
    if (help.matches(":popover-open")) help.focus();
  };
  host.append(make("button", { type: "button", "aria-label": "Help: keys and signs", title: "Keys and signs", onclick: explain }, "?"), help);

  // The list of the tab in sight.
  const list = () => parts()[{ now: "attention", agents: "agents", tasks: "table" }[view.tab]];
  const isOpen = () => root.querySelector(".calypso-drawer:popover-open") != null;
  const move = (step) => {
    const [on, open] = [list(), isOpen()];
    on?.move?.(step);
    // The drawer follows the list that stays beside it.
    if (open) on?.openCurrent?.();
  };
  const act = (name) => live && (isOpen() ? parts().task : list())?.act?.(name);
  const acts = {
    "/": () => parts().quick.focus(),
    j: () => move(1),
    k: () => move(-1),
    Enter: () => list()?.openCurrent?.(),
    x: () => list()?.toggleCurrent?.(),
    a: () => act("reassign"),
    p: () => act("priority"),
    r: () => live?.refresh(false),
    "?": explain,
    Escape: () => parts().task.close(),
  };
  // An open drawer hears them too if what had the focus has gone.
  const ours = (target) => root.contains(target) || (target === document.body && (isOpen() || ownsPage(context)));
  const pressed = (event) => {
    const { key, target } = event;
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || !Object.hasOwn(acts, key)) return;
    if (key === "Escape" && !(isOpen() && target === document.body)) return;
    if (!ours(target) || target.closest(FIELDS) || (key === "Enter" && target.closest(PRESSED))) return;
    event.preventDefault();
    acts[key]();
  };
  document.addEventListener("keydown", pressed);
  const end = closing(root);
  return { destroy: () => { document.removeEventListener("keydown", pressed); end(); } };
}
