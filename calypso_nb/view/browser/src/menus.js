// Menus: a button that opens a small window below itself, and all that closes one.

import { make } from "./dom.js";

const MARGIN = 8;

// Keeps an open window within its view, whose right edge may cut it off.
function place(popup) {
  popup.style.translate = "";
  const { left, right } = popup.getBoundingClientRect();
  const { left: start, right: end } = popup.closest(".calypso-parts").getBoundingClientRect();
  if (right > end - MARGIN) popup.style.translate = `${Math.max(end - MARGIN - right, start - left)}px`;
}

// `opened` is called each time that it opens, before it is seen.
export function menu(label, content, { kind = "", opened = () => {} } = {}) {
  const summary = make("summary", { onclick: () => { if (!node.open) opened(); } }, label);
  const popup = make("div", { class: "calypso-popup" }, ...content);
  const node = make("details", { class: `calypso-drop ${kind}`, ontoggle: () => node.open && place(popup) }, summary, popup);
  const open = () => {
    opened();
    node.open = true;
    (popup.querySelector(":is(input, button, select):not([hidden])") ?? summary).focus();
  };
  return { node, summary, popup, open };
}

// Closes the menus of a view: with Escape, with a click beside them, or if the focus goes elsewhere.
export function closing(root) {
  const shut = (target) => {
    for (const node of root.querySelectorAll(".calypso-drop[open]")) if (!node.contains(target)) node.open = false;
  };
  const beside = ({ target }) => shut(target);
  const escaped = (event) => {
    const open = event.key === "Escape" && event.target.closest(".calypso-drop[open]");
    if (!open) return;
    event.stopPropagation();
    open.querySelector("summary").focus();
    open.open = false;
  };
  document.addEventListener("pointerdown", beside);
  root.addEventListener("focusin", beside);
  root.addEventListener("keydown", escaped);
  return () => document.removeEventListener("pointerdown", beside);
}
