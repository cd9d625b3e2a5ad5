// What leads to a task or an agent.

import { make, said } from "./dom.js";

const MOST_LETTERS = 300;

const opening = (id, open, list, ...words) => make("button", { type: "button", class: "calypso-open", "data-task": id, onclick: () => open(id, list) }, ...words);
const named = (title) => said((title ?? "").slice(0, MOST_LETTERS));

export const taskLink = ({ id, title }, open, list) => opening(id, open, list, make("b", {}, `#${id}`), " ", named(title));
// Where the task's number stands already.
export const titleLink = ({ id, title }, open) => opening(id, open, undefined, named(title));

export function agentLink({ go, parts }, agent) {
  if (agent == null) return make("em", { class: "calypso-nobody" }, "unassigned");
  const show = () => { go("agents"); parts().agents.open?.(agent); };
  return make("button", { type: "button", class: "calypso-open calypso-who", title: "What this agent does", onclick: show }, said(agent));
}
