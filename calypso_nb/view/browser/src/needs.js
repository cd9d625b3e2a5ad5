// The lines of the list "Do now": one for a task, an agent or a queue, or for several with the same reason.

import { ACTIONS } from "./actions.js";
import { count, make, said, visible } from "./dom.js";
import { impact } from "./impact.js";
import { agentLink, taskLink } from "./links.js";
import { menu } from "./popover.js";
import { snoozing } from "./snooze.js";

const SIGNS = { 3: ["●", "stuck: never ends by itself"], 2: ["◐", "slow: work has stopped"], 1: ["○", "to tidy up"] };
const MOST_LETTERS = 300;
// So many buttons stand in a line; its menu has those that don't fit where it is narrow.
const [IN_A_LINE, IN_A_NARROW_ONE] = [3, 2];
const shortened = (text) => (text.length > 500 ? `${text.slice(0, 500)}…` : text);
export const nameOf = (line, row) => line.of || `#${line.id} ${(row?.title ?? "").slice(0, 80)}`;

export function needs(context) {
  const { view, hands, selection, go, open, row, known } = context;
  const aside = snoozing(context);
  const sign = (urgency) => make("span", { class: "calypso-sign", title: SIGNS[urgency][1] }, make("span", { "aria-hidden": "true" }, SIGNS[urgency][0]),
    make("span", { class: "calypso-unseen" }, SIGNS[urgency][1]));

  // What cures a line, with the tasks of each reason: the first cure of each, then the second ones. To set all idle
  // cures no agent that has too many.
  const curesOf = ({ causes }) => {
    const names = causes.map(([reason]) => (reason === "too_many_working" ? ["choose"] : view.payload.cures[reason]));
    const most = Math.max(...names.map(({ length }) => length));
    const turns = Array.from({ length: most }, (_, turn) => causes.map(([, tasks], i) => [names[i][turn], tasks])).flat().filter(([name]) => name);
    return turns.filter(([name], i) => turns.findIndex(([other]) => other === name) === i);
  };
  const buttonsOf = (line, cures) => (hands ? cures.flatMap(([name, tasks]) => hands.buttons([name], tasks, { named: line.about !== "task" })) : []);
  const showTasks = (ids) => go("tasks", { ids, statuses: [] });
  const select = (ids) => selection.set(ids.every(selection.has) ? selection.ids().filter((id) => !ids.includes(id)) : [...selection.ids(), ...ids]);

  // All else that can be done: what did not fit in the line, and what cures nothing but may be meant.
  const entriesOf = (line, cures, at) => {
    const ids = line.about === "task" ? [line.id] : line.tasks;
    const act = ([name, tasks]) => [buttonsOf(line, [[name, tasks]])[0].textContent, () => hands.act(name, tasks, at)];
    const offered = (names) => hands.offered(names, ids).map((name) => [name, ids]);
    const left = cures.slice(IN_A_NARROW_ONE).filter(([name, tasks]) => hands.offered([name], tasks).length);
    const others = line.about === "task" ? offered(ACTIONS.filter((name) => !cures.some(([cure]) => cure === name))) : [];
    return [...left.map(act), left.length > 0 && null, ...others.map(act), others.length > 0 && null,
      [ids.every(selection.has) ? "Deselect" : count(ids.length) === "1" ? "Select" : `Select ${count(ids.length)}`, () => select(ids)],
      line.facts && ["Snooze …", () => aside.ask(line, nameOf(line, row(line.id)), at)]].filter((entry) => entry !== false && entry !== "" && entry !== undefined);
  };
  const menuOf = (line, cures, key) => {
    const general = [[line.tasks.length > 1 ? `Show ${count(line.tasks.length)} in Tasks` : "Show in Tasks", () => showTasks(line.tasks)]];
    const show = ({ currentTarget }) => menu(hands?.box ?? context.box, currentTarget, "More", [...general, ...(hands ? entriesOf(line, cures, currentTarget) : [])]);
    return make("button", { type: "button", class: "calypso-more-button", "aria-label": "More", title: "More", "aria-haspopup": "menu", "data-menu": key, onclick: show }, "⋯");
  };

  const subject = (line, list) => {
    if (line.about === "task") return taskLink({ id: line.id, title: row(line.id)?.title ?? "" }, open, list);
    const words = line.about === "agent" ? [agentLink(context, line.agent)] : [make("b", {}, said(line.of))];
    return make("span", { class: "calypso-subject" }, ...words, make("small", {}, ` ${count(line.tasks.length)} task${line.tasks.length === 1 ? "" : "s"}`));
  };
  const chips = (line) => [
    line.priority != null && make("span", { class: "calypso-priority-chip", title: `Priority ${line.priority}` }, `P${line.priority}`),
    line.about === "task" && make("span", { class: "calypso-whose" }, agentLink(context, row(line.id) ? row(line.id).agent : line.agent)),
    line.holds_up > 0 && make("span", { class: "calypso-holds", title: "Open tasks that wait for it, or behind it" }, `holds up ${count(line.holds_up)}`),
    line.since != null && make("small", { class: "calypso-since", title: line.since === "–" ? "since when is unknown" : `for ${line.since}` }, line.since),
  ].filter(Boolean);
  // What was seen; a task that is named there is opened by a click.
  const evidence = (text) => make("span", { class: "calypso-why", dir: "auto", title: shortened(visible(text)) },
    ...visible(text.slice(0, MOST_LETTERS)).split(/(#[0-9]{1,15})/).map((part, i) => (i % 2 && known(Number(part.slice(1)))
      ? make("button", { type: "button", class: "calypso-open", tabindex: -1, onclick: () => open(Number(part.slice(1))) }, part) : part)));

  const line = (need, { key, above, explained, list }) => {
    const cures = curesOf(need);
    return make("li", { class: "calypso-do", "data-urgency": need.urgency, "data-key": key },
      sign(need.urgency),
      make("div", { class: "calypso-do-head" }, subject(need, list), make("span", { class: "calypso-facts" }, ...chips(need))),
      make("div", { class: "calypso-do-foot" }, evidence(need.evidence),
        make("span", { class: "calypso-do-buttons" }, ...buttonsOf(need, cures).slice(0, IN_A_LINE), menuOf(need, cures, key))),
      explained && make("p", { class: "calypso-impact" }, impact(need, above)));
  };
  // Several lines as one, which unfolds: what all of them need can be done together.
  const group = (need, { key, open: unfolded, toggle, above, explained }) => {
    const cures = need.causes.length === 1 && need.causes[0][0] === "too_many_working" ? [] : curesOf(need);
    return make("li", { class: "calypso-do calypso-several", "data-urgency": need.urgency, "data-key": key },
      sign(need.urgency),
      make("div", { class: "calypso-do-head" },
        make("button", { type: "button", class: "calypso-open calypso-unfold", "aria-expanded": String(unfolded), onclick: toggle },
          make("span", { "aria-hidden": "true" }, unfolded ? "▾ " : "▸ "), said(need.evidence)),
        make("span", { class: "calypso-do-buttons" }, ...buttonsOf(need, cures).slice(0, 2), menuOf(need, cures, key))),
      explained && make("p", { class: "calypso-impact" }, impact(need, above)));
  };
  return { line, group, aside, select, showTasks };
}
