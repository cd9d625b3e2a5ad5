// Who waits for whom: each task below the one that it waits for, what holds up most first.

import { count, make } from "./dom.js";
import { replaceLines } from "./keyed.js";
import { agentLink, taskLink } from "./links.js";
import { number, status } from "./mentions.js";
import { waiting } from "./waiting.js";

const STEP = 80;
const DEEPEST = 12; // further in, a line would have no room left

export function blocking(host, context) {
  const { view, hands, open, known } = context;
  const about = make("p", { class: "calypso-about-list", role: "status" });
  const list = make("ul", { class: "calypso-chains", "aria-label": "Who waits for whom" });
  const unprinted = make("p", { class: "calypso-unprinted" });
  const more = make("button", { type: "button", onclick: () => { most += STEP; fill(); } });
  host.append(make("h3", {}, "Who waits for whom"), about, make("div", { class: "calypso-inner" }, list, more, unprinted));
  // What is folded stays so, whatever is read again.
  const folded = new Set();
  let [most, all, shown, drawn] = [STEP, [], [], ""];

  const listed = () => shown.map(({ id }) => id);
  const fold = (id, on) => { folded[on ? "add" : "delete"](id); fill(); };
  const fill = () => {
    const lines = [];
    let inside = Infinity;
    for (const line of shown) {
      if (line.depth > inside) continue;
      inside = folded.has(line.id) ? line.depth : Infinity;
      lines.push(line);
    }
    const left = lines.length - most;
    more.hidden = left <= 0;
    unprinted.textContent = left > 0 ? `… and ${count(left)} more, which are not printed` : "";
    more.textContent = `Show ${count(Math.min(left, STEP))} more of ${count(left)}`;
    const first = lines.slice(0, most).map((line) => ({ ...line, ...facts(line) }));
    const now = JSON.stringify([first, [...folded]]);
    if (now === drawn) return;
    drawn = now;
    replaceLines(list, first.map(row));
  };
  const facts = ({ id }) => {
    const { title, agent, status: now, priority, archived_at } = known(id) ?? {};
    return { title, agent, status: now, priority, archived: Boolean(archived_at) };
  };
  const badge = ({ archived, endless }) => endless && make("strong", { class: "calypso-endless" }, archived ? "archived: never ends" : "in a circle: never ends");
  const row = (line) => make("li",
    { "data-line": line.id, "aria-level": line.depth + 1, class: [line.critical && "calypso-critical", !line.matches && "calypso-dim"].filter(Boolean).join(" "),
      style: `--depth: ${Math.min(line.depth, DEEPEST)}` },
    line.waiting ? make("button", { type: "button", class: "calypso-branch", "aria-expanded": String(!folded.has(line.id)),
      "aria-label": `What waits for #${line.id}`, onclick: () => fold(line.id, !folded.has(line.id)) }, folded.has(line.id) ? "▸" : "▾")
      : make("span", { class: "calypso-branch" }),
    line.depth > DEEPEST && make("small", {}, `level ${line.depth}`),
    make("span", { class: "calypso-told-of" },
      taskLink(line, open, listed),
      line.blocker != null && make("span", { class: "calypso-unseen" }, " waits for ", number(line.blocker, open), " "),
      line.holds_up > 0 && make("b", { class: "calypso-holds" }, `holds up ${count(line.holds_up)}`), badge(line),
      ...(hands && line.endless && line.archived ? hands.buttons(["restore"], [line.id]) : []),
      ...(hands && line.stuck ? hands.buttons(["unblock"], [line.id]) : [])),
    make("span", { class: "calypso-beside" },
      status(line.status), agentLink(context, line.agent), line.priority != null && make("span", { class: "calypso-prio", title: "Priority" }, `P${line.priority}`)));
  list.addEventListener("keydown", (event) => {
    const line = event.target.closest("[data-line]");
    const id = Number(line?.dataset.line);
    const other = { ArrowDown: line?.nextElementSibling, ArrowUp: line?.previousElementSibling }[event.key];
    if (other) other.querySelector("[data-task]").focus();
    else if (event.key === "ArrowLeft" && line.querySelector("[aria-expanded]")) fold(id, true);
    else if (event.key === "ArrowRight") fold(id, false);
    else return;
    event.preventDefault();
  });

  const said = (lines) => {
    const held = lines.filter(({ blocker, stuck }) => stuck || blocker != null);
    const stuck = held.filter((line) => line.stuck).length;
    const longest = all.find(({ critical }) => critical);
    if (lines.length) {
      return [`${count(held.length)} wait${held.length === 1 ? "s" : ""}`, stuck && `${count(stuck)} for what never ends`,
        longest && `the longest chain, in bold, has ${count(longest.longest + 1)} tasks`].filter(Boolean).join(" · ");
    }
    if (all.length) return "No task that the filter lets through waits for another or is waited for";
    return view.rows.some(({ is_open, blocked }) => is_open && blocked == null) ? "Unknown: this server doesn't report what is blocked" : "No task is blocked";
  };
  const load = () => { all = waiting(view.payload.blocking, (id) => Boolean(known(id)?.archived_at)); };
  const show = (indices) => {
    const passing = new Set(indices.map((i) => view.rows[i].id));
    shown = chains(all, passing);
    about.textContent = said(shown);
    fill();
  };
  return { load, show };
}

// The lines of the chains that contain a task which passes; the rest of such a chain is marked.
export function chains(lines, passing) {
  const kept = new Array(lines.length).fill(false);
  const above = [];
  let behind = Infinity;
  lines.forEach(({ id, depth }, i) => {
    above.length = depth;
    above.push(i);
    if (depth <= behind) behind = Infinity;
    if (passing.has(id)) {
      above.forEach((place) => { kept[place] = true; });
      behind = Math.min(behind, depth);
    } else if (behind < depth) kept[i] = true;
  });
  return lines.flatMap((line, i) => (kept[i] ? [{ ...line, matches: passing.has(line.id) }] : []));
}
