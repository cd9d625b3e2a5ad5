// A line about something that happened to a task, as a digest or a recorder tells it.

import { make, visible } from "./dom.js";
import { agentLink, titleLink } from "./links.js";
import { number } from "./mentions.js";

// What asks for somebody, the worst in red.
export const PROBLEMS = { asked: "stuck", failed: "stuck", bounced: "slow", blocked: "slow" };

// Never shows a bound as a time.
function when({ at, exact }, { clock, view }) {
  return make("time", { datetime: at, title: clock.title(at) }, at && !exact ? "≤ " : "", clock.short(at, view.payload.meta.generated_at));
}

export function happened(context, one) {
  const { open } = context;
  const { task_id: id, what, agent, title, text } = one;
  return make("li", { "data-line": `${id} ${what}`, "data-problem": PROBLEMS[what] },
    when(one, context), number(id, open), make("span", { class: "calypso-looked-what" }, what),
    make("span", { class: "calypso-happened-who" }, agent == null ? "" : agentLink(context, agent)),
    make("span", { class: "calypso-happened-said" }, titleLink({ id, title }, open),
      text && make("span", { class: "calypso-why", dir: "auto", title: visible(text) }, visible(text))));
}
