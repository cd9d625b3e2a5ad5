// The tasks with subtasks: how much of the work in each is done.

import { count, make } from "./dom.js";
import { replaceLines } from "./keyed.js";
import { taskLink } from "./links.js";

const PAGE = 20;
const DEEPEST = 8;

export function parents(host, context) {
  const { view, open, known } = context;
  const heading = make("h3");
  const list = make("ul", { class: "calypso-chains calypso-parents-list", "aria-label": "Parent tasks" });
  const said = make("span", { role: "status" });
  const step = (by, label, sign) => make("button", { type: "button", "aria-label": label, onclick: () => { page += by; fill(); } }, sign);
  const [back, on] = [step(-1, "Previous page of parents", "‹"), step(1, "Next page of parents", "›")];
  const pager = make("div", { class: "calypso-pager" }, back, said, on);
  const unprinted = make("p", { class: "calypso-unprinted" });
  const nothing = make("p", { class: "calypso-about-list" });
  host.append(heading, nothing, make("div", { class: "calypso-inner" }, list, unprinted), pager);
  let [page, shown, drawn] = [0, [], ""];

  const listed = () => shown.map(({ id }) => id);
  const bar = ({ id, done, leaves }) => make("span", { class: "calypso-share" },
    make("progress", { max: leaves, value: done, "aria-label": `#${id}: complete` }),
    make("small", {}, `${count(done)} of ${count(leaves)}`));
  const row = (line) => make("li", { "data-line": line.id, "aria-level": line.level + 1, class: line.matches ? "" : "calypso-dim",
    style: `--depth: ${Math.min(line.level, DEEPEST)}` },
    make("span", { class: "calypso-told-of" }, taskLink(line, open, listed), line.archived && make("em", {}, " archived")), bar(line));
  const fill = () => {
    const pages = Math.ceil(shown.length / PAGE);
    page = Math.max(0, Math.min(page, pages - 1));
    [back.disabled, on.disabled, pager.hidden] = [page === 0, page >= pages - 1, pages < 2];
    said.textContent = `${count(page * PAGE + 1)} to ${count(Math.min((page + 1) * PAGE, shown.length))} of ${count(shown.length)}`;
    const lines = shown.slice(page * PAGE, (page + 1) * PAGE).map((line) => ({ ...line, title: known(line.id)?.title, archived: Boolean(known(line.id)?.archived_at) }));
    unprinted.textContent = pages > 1 ? `… and ${count(shown.length - lines.length)} more, which are not printed` : "";
    const now = JSON.stringify(lines);
    if (now === drawn) return;
    drawn = now;
    replaceLines(list, lines.map(row));
  };
  const show = (indices) => {
    const { id, level, leaves, leaves_complete } = view.payload.parents;
    const passing = new Set(indices.map((i) => view.rows[i].id));
    const above = aboveAny(passing, (number) => context.row(number)?.parent);
    shown = id.flatMap((number, i) => (above.has(number) || passing.has(number)
      ? [{ id: number, level: level[i], leaves: leaves[i], done: leaves_complete[i], matches: passing.has(number) }] : []));
    heading.textContent = id.length ? `Parents: ${count(shown.length)}${shown.length < id.length ? ` of ${count(id.length)}` : ""}` : "Parents";
    nothing.hidden = shown.length > 0;
    nothing.textContent = id.length ? "No task that the filter lets through is or has a parent" : "No task has subtasks";
    fill();
  };
  return { show };
}

// All that stands above some tasks, each followed once.
function aboveAny(ids, parentOf) {
  const above = new Set();
  for (const id of ids) {
    for (let parent = parentOf(id); parent != null && !above.has(parent); parent = parentOf(parent)) above.add(parent);
  }
  return above;
}
