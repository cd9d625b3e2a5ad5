// The tabs of a view.

import { make } from "./dom.js";
import { TABS } from "./parts.js";

export function tabs(host, { view, go, live, parts }) {
  const choose = (name) => {
    if (name === "agents") parts().agents.open(null);  // All of them, whose page was looked at last.
    return go(name);
  };
  const buttons = Object.entries(TABS).map(([name, label]) =>
    make("button", { type: "button", role: "tab", "data-tab": name, onclick: () => choose(name) }, label));
  const bar = make("div", { class: "calypso-tabbar", role: "tablist", "aria-label": "What to show" }, ...buttons);
  host.append(bar);
  const tab = (name) => {
    for (const button of buttons) {
      const chosen = button.dataset.tab === name;
      button.setAttribute("aria-selected", String(chosen));
      button.tabIndex = chosen ? 0 : -1;
      // On a narrow screen the bar scrolls sideways.
      if (chosen) bar.scrollLeft = button.offsetLeft - (bar.clientWidth - button.offsetWidth) / 2;
    }
  };
  bar.addEventListener("keydown", ({ key }) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[key];
    if (!step) return;
    const offered = buttons.filter((button) => !button.hidden);
    const other = offered.at((offered.findIndex((button) => button.dataset.tab === view.tab) + step) % offered.length);
    other.focus();
    choose(other.dataset.tab);
  });
  const load = () => {
    const { audit, flow } = view.payload;
    const empty = { audit: !audit, flow: !live && !flow.charts };
    for (const button of buttons) button.hidden = empty[button.dataset.tab] ?? false;
    tab(view.tab);
  };
  return { load, tab };
}
