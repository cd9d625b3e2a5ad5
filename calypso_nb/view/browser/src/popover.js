// A small box at a button, for a form, a question or a menu: one at a time, and cut by nothing around it.

import { make } from "./dom.js";

const GAP = 6;

export function popover(root) {
  const node = make("div", { class: "calypso-pop", popover: "manual", role: "dialog", tabindex: -1 });
  let [anchor, back, ended, at, around] = [null, null, null, null, root];
  const isOpen = () => anchor != null;
  // At its button, inside the window; a button that was drawn again meanwhile leaves it where it is.
  const place = () => {
    if (!isOpen()) return;
    if (anchor.isConnected) at = anchor.getBoundingClientRect();
    const [width, height] = [node.offsetWidth, node.offsetHeight];
    const below = at.bottom + GAP + height <= innerHeight || at.top < height + GAP;
    node.style.left = `${Math.max(GAP, Math.min(at.left, innerWidth - width - GAP))}px`;
    node.style.top = `${Math.max(GAP, Math.min(below ? at.bottom + GAP : at.top - GAP - height, innerHeight - height - GAP))}px`;
  };
  const sizing = new ResizeObserver(place);
  sizing.observe(node);
  // The same button after it was drawn again.
  const again = (button) => {
    if (button?.isConnected) return button;
    const { act, tasks, menu } = button?.dataset ?? {};
    const like = [...around.querySelectorAll(act ? "[data-act]" : "[data-menu]")];
    return like.find(({ dataset }) => (act ? dataset.act === act && dataset.tasks === tasks : menu && dataset.menu === menu));
  };
  const outside = ({ target }) => {
    if (node.contains(target) || anchor.contains(target)) return;
    const typed = [...node.querySelectorAll("input, textarea")].some((field) => field.value !== field.defaultValue);
    if (!typed) close(false);
  };
  const follow = (how) => {
    document[how]("pointerdown", outside, true);
    window[how]("scroll", place, true);
    window[how]("resize", place);
  };
  function close(refocus = true) {
    if (!isOpen()) return;
    follow("removeEventListener");
    const [from, end] = [back, ended];
    [anchor, back, ended] = [null, null, null];
    const had = node.contains(document.activeElement);
    node.hidePopover();
    node.replaceChildren();
    if (refocus || had) (again(from) ?? root.querySelector(".calypso-drawer:popover-open h3"))?.focus({ preventScroll: true });
    end?.();
  }
  node.addEventListener("keydown", (event) => {
    event.stopPropagation();  // What is typed here is no key of the list behind it.
    if (event.key !== "Escape") return;
    event.preventDefault();
    close();
  });
  // Shows content at a button; `end` is called when it closes.
  const open = (button, label, content, end) => {
    if (!isOpen()) around = button.closest(".calypso-drawer") ?? root;
    const from = isOpen() ? back : again(button);
    if (isOpen()) close(false);
    if (!node.isConnected) root.append(node);
    [anchor, back, ended, at] = [button, from, end, button.getBoundingClientRect()];
    node.setAttribute("aria-label", label);
    node.replaceChildren(...content);
    node.showPopover();
    place();
    follow("addEventListener");
    (node.querySelector("[autofocus], input, textarea, button") ?? node).focus({ preventScroll: true });
  };
  return { node, open, close, isOpen, destroy: () => { sizing.disconnect(); close(false); node.remove(); } };
}

// Entries of a menu: their names and what they do, null for a line between them.
export function menu(box, at, label, entries) {
  const item = ([name, press, kind]) => make("button", { type: "button", role: "menuitem", class: kind, onclick: () => { box.close(); press(); } }, name);
  const items = entries.map((entry) => (entry ? item(entry) : make("hr", {})));
  const list = make("div", { class: "calypso-menu", role: "menu", "aria-label": label }, ...items);
  const buttons = items.filter((one) => one.tagName === "BUTTON");
  list.addEventListener("keydown", (event) => {
    const here = buttons.indexOf(document.activeElement);
    const to = { ArrowDown: here + 1, ArrowUp: here - 1, Home: 0, End: -1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    buttons.at(to % buttons.length).focus();
  });
  box.open(at, label, [list]);
}
