// Numbers of tasks and statuses wherever they are named.

import { make, visible } from "./dom.js";

const MOST_LETTERS = 300;

export const status = (name) => make("span", { class: "calypso-state", "data-status": name }, make("span", { class: "calypso-swatch" }), name ?? "unknown");

export const number = (id, open) => make("button", { type: "button", class: "calypso-open", "data-task": id, title: `Open task #${id}`, onclick: () => open(id) }, `#${id}`);

// A text in which the numbers of tasks that are known open them.
export function linked(text, { known, open }) {
  const cut = text.length > MOST_LETTERS ? `${text.slice(0, MOST_LETTERS)}…` : text;
  return visible(cut).split(/(?<![\w&])#([0-9]{1,15})\b/).map((part, i) => {
    if (i % 2 === 0) return part;
    return known(Number(part)) ? number(Number(part), open) : `#${part}`;
  });
}
