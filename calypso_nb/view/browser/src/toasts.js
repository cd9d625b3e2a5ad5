// What was done, for some seconds, and the way back; above all else, as what was done in the drawer is told here too.

import { make, visible } from "./dom.js";

const SHOWN_MS = 15_000;

export function toasts(host) {
  host.setAttribute("role", "status");
  host.setAttribute("popover", "manual");
  let before = null;
  host.addEventListener("focusin", ({ relatedTarget }) => { if (!host.contains(relatedTarget)) before = relatedTarget; });
  const raise = () => {
    if (host.contains(document.activeElement)) return;
    if (host.matches(":popover-open")) host.hidePopover();
    host.showPopover();
  };
  // buttons: name and what it does. It stays while somebody points at it or is in it.
  const say = (text, buttons = [], kind = "") => {
    let timer = null;
    const wait = () => { clearTimeout(timer); timer = setTimeout(close, SHOWN_MS); };
    const stay = () => clearTimeout(timer);
    const close = () => {
      stay();
      const focused = toast.contains(document.activeElement);
      toast.remove();
      if (!host.children.length && host.matches(":popover-open")) host.hidePopover();
      if (focused && before?.isConnected) before.focus({ preventScroll: true });
    };
    const toast = make("div", { class: `calypso-toast ${kind}`, onpointerenter: stay, onpointerleave: wait, onfocusin: stay, onfocusout: wait },
      make("span", { dir: "auto" }, visible(text)),
      ...buttons.map(([name, press]) => make("button", { type: "button", onclick: () => { close(); press(); } }, name)),
      make("button", { type: "button", "aria-label": "Dismiss", onclick: () => close() }, "×"));
    raise();
    host.append(toast);
    wait();
    return close;
  };
  return { say, destroy: () => host.replaceChildren() };
}
