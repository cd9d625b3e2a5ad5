// A task in a line of an agent's page: its box, its number, its title, its priority, and what the list adds: `nodes`
// of a row, made again if what it `says` is something else.

import { cut } from "./agent_facts.js";
import { make } from "./dom.js";
import { refill } from "./keyed.js";

export function taskLine({ open, selection }, extras) {
  const node = make("li");
  let shown = null;
  const box = make("input", { type: "checkbox", onchange: () => selection.toggle(shown.id) });
  const title = make("button", { type: "button", class: "calypso-open", onclick: () => open(shown.id) });
  const [priority, rest] = [make("small"), make("span", { class: "calypso-task-extras" })];
  const selected = () => { box.checked = selection.has(shown.id); };
  const show = (row) => {
    shown = row;
    node.dataset.id = row.id;
    const words = cut(row.title);
    box.setAttribute("aria-label", `Select #${row.id}`);
    refill(title, [row.id, words], () => [`#${row.id} `, make("bdi", {}, words)]);
    title.title = words;
    priority.textContent = row.priority == null ? "" : `P${row.priority}`;
    refill(rest, extras.says(row), () => extras.nodes(row));
    selected();
  };
  node.append(box, title, priority, rest);
  return { node, show, selected };
}
