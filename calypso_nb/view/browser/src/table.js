// The table of tasks, which the keys and the selection work on.

import { everything, selectionBar } from "./chosen.js";
import { COLUMNS, clicks } from "./columns.js";
import { csvOf, download } from "./csv.js";
import { count, make, printed, said } from "./dom.js";
import { grid } from "./grid.js";
import { heads } from "./heads.js";
import { GROUPS, grouped, ordering } from "./order.js";

const PRINTED_ROWS = 500;

const countsInWords = ({ all, open, idle, working, blocked }) => [
  `${count(open)} open: ${count(idle)} idle, ${count(working)} working, ${blocked == null ? "–" : count(blocked)} blocked`,
  all > open && `${count(all - open)} complete`,
].filter(Boolean).join(" · ");

export function table(host, context) {
  const { view, open, selection, hands, parts } = context;
  const ordered = ordering();
  const folded = new Set();
  const own = `calypso-${Math.random().toString(36).slice(2)}`;
  let [positions, current, anchor, stays, made] = [[], null, null, false, 0];

  // The positions of the rows that pass, in the order of the table.
  const inOrder = () => {
    const { by, key } = COLUMNS.find((column) => column.key === view.sort.key);
    const passes = new Uint8Array(view.rows.length);
    for (const at of view.shown ?? []) passes[at] = 1;
    return Array.from(ordered(view.rows, by, key, view.sort.down).filter((at) => passes[at]));
  };
  const idOf = ({ at }) => view.rows[at]?.id;
  const idsInLines = () => lines.lines().filter(({ at }) => at != null).map(idOf);

  const does = clicks(context, idsInLines);
  const all = everything(context, () => positions.map((at) => view.rows[at].id));
  const head = heads(context, all.box, (what) => {
    head.draw();
    list(what === "columns");
    parts().address.note();
  });
  // With Shift all between the last one that was chosen and this one.
  const choose = (id, on, through) => {
    const ids = idsInLines();
    const [from, to] = [through ? ids.indexOf(anchor) : -1, ids.indexOf(id)];
    const chosen = new Set(selection.ids());
    for (const one of from < 0 ? [id] : ids.slice(Math.min(from, to), Math.max(from, to) + 1)) on ? chosen.add(one) : chosen.delete(one);
    anchor = id;
    selection.set(chosen);
  };
  const box = (id) => make("input", { type: "checkbox", "aria-label": `Select #${id}`, onclick: ({ target, shiftKey }) => choose(id, target.checked, shiftKey) });
  const mark = (node, id) => {
    node.classList.toggle("calypso-current", id === current);
    node.setAttribute("aria-selected", String(selection.has(id)));
    node.querySelector("input").checked = selection.has(id);
    for (const control of node.querySelectorAll("button, input")) control.tabIndex = id === current ? 0 : -1;
    if (id === current) lines.table.setAttribute("aria-activedescendant", node.id);
  };
  const rowNode = (line) => {
    const [row, id] = [view.rows[line.at], idOf(line)];
    const node = make("tr", { id: `${own}-${(made += 1)}`, onclick: () => settle(id) }, make("td", { class: "calypso-check" }, box(id)),
      ...head.shown().map(({ key, numeric, cell }) => make("td", { class: `calypso-${key} ${numeric ? "calypso-numeric" : ""}` }, cell(row, does))));
    mark(node, id);
    return node;
  };
  const fold = (group) => {
    if (!folded.delete(group)) folded.add(group);
    list(true);
  };
  const groupNode = ({ group, name, folded: shut, counts }) => make("tr", { class: "calypso-group" },
    make("th", { scope: "rowgroup", colspan: head.shown().length + 1 }, make("span", {},
      make("button", { type: "button", class: "calypso-open", "aria-expanded": String(!shut), onclick: () => fold(group) }, shut ? "▸ " : "▾ ", said(name.slice(0, 200))),
      make("small", {}, countsInWords(counts)))));
  const lines = grid({
    label: "Tasks", head: head.node,
    nodeOf: (line) => (line.at == null ? groupNode(line) : rowNode(line)),
    nameOf: (line) => JSON.stringify([line.group, idOf(line)]),
  });
  lines.table.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step || event.target.tagName === "INPUT") return;
    event.preventDefault();
    move(step);
  });

  const group = (key) => {
    view.group = key;
    folded.clear();
    list(false);
    parts().address.note();
  };
  const grouping = make("select", { "aria-label": "Group by", onchange: () => group(grouping.value) },
    make("option", { value: "" }, "none"), ...[...GROUPS].map(([key, [name]]) => make("option", { value: key }, name.toLowerCase())));
  const foldAll = make("button", { type: "button", onclick: () => {
    const groups = lines.lines().filter(({ at }) => at == null);
    const shut = groups.some((line) => !line.folded);
    folded.clear();
    if (shut) groups.forEach((line) => folded.add(line.group));
    list(true);
  } });
  const nothing = make("p", { class: "calypso-nothing", role: "status" });
  const unprinted = make("p", { class: "calypso-unprinted" });
  const save = (rows) => download(csvOf(rows, head.shown()), `tasks-${view.payload.meta.generated_at.slice(0, 10)}.csv`);
  const bar = selectionBar(context, { save, left: () => lines.table.focus({ preventScroll: true }) });
  host.append(make("div", { class: "calypso-tools" }, make("label", {}, "Group by ", grouping), foldAll, head.picker), lines.node, nothing, unprinted, bar.node);

  // Draws what is listed; `same` leaves the reader where they are.
  const list = (same) => {
    positions = inOrder();
    lines.fill(grouped(positions, view.rows, view.group, folded), same);
    grouping.value = view.group;
    foldAll.hidden = !view.group;
    foldAll.textContent = lines.lines().some((line) => line.folded === false) ? "Fold all" : "Unfold all";
    nothing.textContent = positions.length ? "" : view.rows.length ? "No task matches" : "There are no tasks";
    all.show();
    bar.show();
  };
  const remark = () => {
    for (const [line, node] of lines.drawn()) if (line.at != null) mark(node, idOf(line));
  };
  const settle = (id) => {
    current = id;
    remark();
  };
  // The row that is `step` rows further than the current one, or the first.
  const move = (step) => {
    const listed = lines.lines();
    const ahead = step > 0 ? 1 : -1;
    let i = listed.findIndex((line) => line.at != null && idOf(line) === current);
    if (i < 0) i = ahead > 0 ? -1 : listed.length;
    do i += ahead; while (listed[i] && listed[i].at == null);
    if (!listed[i]) return;
    lines.reveal(i);
    settle(idOf(listed[i]));
    lines.table.focus({ preventScroll: true });
  };
  const here = () => (lines.lines().some((line) => line.at != null && idOf(line) === current) ? current : null);
  // Does something with all that are selected, or else with the current task.
  const act = (name) => {
    const ids = selection.ids().length || here() == null ? selection.ids() : [here()];
    if (ids.length) hands?.act(name, ids, host.querySelector(".calypso-current .calypso-title button") ?? bar.node);
  };
  let reading = false;
  const unprint = printed(() => {
    const left = lines.lines().length - PRINTED_ROWS;
    unprinted.textContent = left > 0 ? `… and ${count(left)} more ${view.group ? "lines" : "tasks"}, which are not printed` : "";
    reading = true;
    lines.all(PRINTED_ROWS);
  }, () => {
    if (reading) lines.all(null);
    reading = false;
  });
  return {
    load: () => { stays = true; head.draw(); },
    show: () => {
      head.draw();
      list(stays);
      stays = false;
    },
    selected: () => {
      remark();
      all.show();
      bar.show();
    },
    move,
    current: here,
    openCurrent: () => here() != null && open(here(), idsInLines),
    toggleCurrent: () => here() != null && choose(here(), !selection.has(here())),
    act,
    // The numbers of the tasks in sight, such as to count comments of these first.
    visible: () => lines.seen().filter(({ at }) => at != null).map(idOf),
    // What the filter lets through, as a file.
    save: () => save(inOrder().map((at) => view.rows[at])),
    destroy: () => { unprint(); lines.destroy(); },
  };
}
