// What needs somebody now, of the tasks that the filter lets through: the first lines in full, the others by reason.

import { count, make, printed, visible } from "./dom.js";
import { nameOf, needs } from "./needs.js";
import { popover } from "./popover.js";
import { limitOf, readableHours } from "./rows.js";

const FIRST_LINES = 7;
const MOST_IN_A_GROUP = 20;
const PRINTED_LINES = 16;
const HOLDING = "too_many_working";
// After lines have moved: what was aimed at one does nothing to the one that stands there now.
const HOLD_MS = 800;

export function attention(host, context) {
  const { view, hands, row, selection } = context;
  context.box = hands?.box ?? popover(context.root);
  const heading = make("h3");
  const order = make("button", { type: "button", class: "calypso-order", "aria-pressed": "false", title: "How the order came about", onclick: () => { explained = !explained; order.setAttribute("aria-pressed", String(explained)); fill(); } }, "by impact ?");
  const asleep = make("button", { type: "button", class: "calypso-order", "aria-expanded": "false", onclick: () => { wakes = !wakes; fill(); } });
  const head = make("p", { class: "calypso-why" });
  const list = make("ol", { class: "calypso-doing" });
  const sleeping = make("ol", { class: "calypso-needs", "aria-label": "Snoozed" });
  const unprinted = make("p", { class: "calypso-unprinted" });
  host.append(make("div", { class: "calypso-do-bar" }, heading, order, asleep), head, ...(hands ? [hands.bar()] : []), list, sleeping, unprinted);
  const draw = needs(context);
  const unfolded = new Set();
  let [lines, printing, explained, wakes, items, held] = [[], false, false, false, [], 0];
  list.addEventListener("click", (event) => {
    if (event.detail && performance.now() < held && event.target.closest(".calypso-hand")) event.stopPropagation();
  }, true);
  const unprint = printed(() => { printing = true; fill(); }, () => { printing = false; fill(); });
  const keyOf = ({ about, id, agent, queue, reasons }) => JSON.stringify([about, about === "task" ? id : agent ?? queue, about === "team" ? reasons[0] : ""]);

  // A line of the tasks that the filter lets through; null if it lets none of them.
  const narrowed = (line, passes) => {
    const tasks = line.tasks.filter(passes);
    if (!tasks.length || (line.about === "task" && !passes(line.id))) return null;
    return tasks.length === line.tasks.length ? line : { ...line, tasks, causes: line.causes.map(([reason, ids]) => [reason, ids.filter(passes)]).filter(([, ids]) => ids.length) };
  };
  const listed = () => items.filter(({ need }) => need.about === "task").map(({ need }) => need.id);

  // What a group unfolds to.
  const each = (line) => {
    if (line.lines) return line.lines;
    if (line.reasons[0] === HOLDING) {
      const agents = Map.groupBy(line.tasks, (id) => row(id)?.agent ?? null);
      return [...agents].map(([agent, tasks]) => ({ ...line, about: "agent", of: "", agent, tasks, facts: "", since: null, priority: null, causes: [[HOLDING, tasks]], evidence: `${tasks.length} in progress at once (limit ${limitOf(view.payload, agent)})` }))
        .sort((a, b) => b.tasks.length - a.tasks.length);
    }
    return line.tasks.map((id) => ({ ...line, about: "task", id, of: "", tasks: [id], facts: "", holds_up: 0, since: row(id)?.last_edit ?? "–", priority: row(id)?.priority ?? null,
      causes: [[line.reasons[0], [id]]], evidence: `created ${row(id)?.age ?? "–"} ago, last edit ${readableHours(row(id)?.hours_since_update) ?? "–"} ago` }));
  };
  const grouped = (left) => [...Map.groupBy(left, ({ about, reasons }) => (about === "team" ? `team ${reasons[0]}` : reasons[0]))].map(([key, some]) => {
    if (some.length === 1) return some[0];
    const tasks = [...new Set(some.flatMap((line) => line.causes.filter(([reason]) => reason === key).flatMap(([, ids]) => ids)))];
    return { ...some[0], about: "team", key: `rest ${key}`, lines: some, tasks, reasons: [key], causes: [[key, tasks]], facts: "",
      evidence: `${count(some.length)} more: ${view.payload.meanings[key] ?? key}` };
  });

  const items_ = () => {
    const most = printing ? PRINTED_LINES : FIRST_LINES;
    const all = [...lines.slice(0, most), ...(printing ? [] : grouped(lines.slice(most)))];
    return all.flatMap((need, i) => {
      const item = { need, key: need.key ?? keyOf(need), above: all[i - 1], group: need.about === "team" };
      if (!item.group || !unfolded.has(item.key)) return [item];
      const inside = each(need);
      const more = inside.length > MOST_IN_A_GROUP ? [{ need, key: `${item.key} more`, more: inside.length - MOST_IN_A_GROUP }] : [];
      return [item, ...inside.slice(0, MOST_IN_A_GROUP).map((one) => ({ need: one, key: `${item.key} ${keyOf(one)}`, inside: true, above: null })), ...more];
    });
  };
  const toggle = (key) => () => {
    if (!unfolded.delete(key)) unfolded.add(key);
    fill();
  };
  const made = ({ need, key, above, group, inside, more }) => {
    if (more) return make("li", { class: "calypso-do", "data-key": key }, make("button", { type: "button", onclick: () => draw.showTasks(need.tasks) }, `… and ${count(more)} more: show all in Tasks`));
    const how = { key, above, explained: explained && !inside, list: listed };
    const node = group ? draw.group(need, { ...how, open: unfolded.has(key), toggle: toggle(key) }) : draw.line(need, how);
    node.toggleAttribute("data-inside", Boolean(inside));
    return node;
  };
  // What a line shows: it is drawn anew only if that has changed.
  const stateOf = ({ need, above, more, inside }, key) => JSON.stringify([need, more, inside, explained && [above?.urgency, above?.holds_up, above?.priority, above?.since], unfolded.has(key),
    need.about === "task" && row(need.id), need.about === "team" ? "" : need.tasks.map((id) => row(id)?.status)]);
  let drawn = new Map();
  const fill = () => {
    const total = view.payload.attention.length;
    const before = items.map(({ key }) => key).join("\n");
    items = items_();
    const now = new Map(items.map((item) => {
      const state = stateOf(item, item.key);
      const old = drawn.get(item.key);
      return [item.key, old?.state === state ? old : { state, node: made(item) }];
    }));
    const nodes = [...now.values()].map(({ node }) => node);
    drawn = now;
    if (nodes.length !== list.children.length || nodes.some((node, i) => node !== list.children[i])) replaced(nodes);
    if (before && before !== items.map(({ key }) => key).join("\n")) held = performance.now() + HOLD_MS;
    heads(total);
    selected();
  };
  // Puts lines in, with the focus where it was.
  const replaced = (nodes) => {
    const at = list.contains(document.activeElement) ? document.activeElement : null;
    const key = at?.closest("[data-key]").dataset.key;
    const controls = (node) => [...node.querySelectorAll("button")];
    const place = at && controls(at.closest("[data-key]")).indexOf(at);
    list.replaceChildren(...nodes);
    if (!at) return;
    const again = nodes.find((node) => node.dataset.key === key);
    (at.isConnected ? at : again && (controls(again)[place] ?? controls(again)[0]))?.focus({ preventScroll: true });
  };
  const heads = (total) => {
    const first = Math.min(lines.length, printing ? PRINTED_LINES : FIRST_LINES);
    const narrow = lines.length < total ? ` (${count(total)} without the filter)` : "";
    heading.textContent = total ? `Do now: ${lines.length > first ? `${first} of ` : ""}${count(lines.length)}${narrow}` : "Nothing needs attention";
    head.textContent = lines.length === total ? visible(view.payload.attention_head) : "";
    head.title = head.textContent;
    order.hidden = lines.length < 2;
    const snoozed = view.payload.snoozed;
    asleep.hidden = !snoozed.length;
    asleep.textContent = `snoozed ${count(snoozed.length)}`;
    asleep.setAttribute("aria-expanded", String(wakes));
    sleeping.replaceChildren(...(wakes ? snoozed.slice(0, PRINTED_LINES).map((line) => draw.aside.asleep(line, nameOf(line, row(line.id)))) : []));
    unprinted.textContent = lines.length > PRINTED_LINES ? `… and ${count(lines.length - PRINTED_LINES)} more, which are not printed` : "";
  };
  const show = (indices) => {
    const passing = new Uint8Array(view.rows.length);
    for (const i of indices) passing[i] = 1;
    const passes = (id) => passing[view.places.get(id)] === 1;
    lines = view.payload.attention.map((line) => narrowed(line, passes)).filter(Boolean);
    fill();
  };
  const selected = () => items.forEach(({ need, key }) => {
    drawn.get(key).node.toggleAttribute("data-selected", need.tasks.every((id) => selection.has(id)));
  });

  // The keys: which line has the focus, and what is done with it.
  const here = () => items.findIndex(({ key }) => key === list.querySelector("[data-key]:focus-within")?.dataset.key);
  const nodeOf = (item) => drawn.get(item.key).node;
  const current = () => {
    const item = items[here()];
    return item && { ids: item.need.about === "task" ? [item.need.id] : item.need.tasks, line: item.need };
  };
  const move = (step) => {
    const at = here();
    const item = items[at < 0 ? (step > 0 ? 0 : items.length - 1) : Math.max(0, Math.min(items.length - 1, at + step))];
    if (!item) return;
    const button = nodeOf(item).querySelector("button");
    button.focus({ preventScroll: true });
    nodeOf(item).scrollIntoView({ block: "nearest" });
  };
  const openCurrent = () => {
    const item = items[here()];
    // A drawer that is open goes on to tasks: it folds nothing and leads to no agent.
    if (item && (item.need.about === "task" || !context.parts().task.isOpen())) nodeOf(item).querySelector("button").click();
  };
  const toggleCurrent = () => {
    const at = current();
    if (at && hands) draw.select(at.ids);
  };
  const act = (name) => {
    const item = items[here()];
    if (!item || !hands) return;
    hands.act(name, current().ids, nodeOf(item).querySelector(`[data-act="${name}"]`) ?? nodeOf(item).querySelector("button"));
  };
  list.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const { task } = context.parts();
    if (step) {
      event.preventDefault();
      move(step);
    } else if (event.key === "Escape" && task.isOpen()) task.close();
  });
  return { show, selected, move, current, openCurrent, toggleCurrent, act, destroy: () => { unprint(); context.box.destroy(); } };
}
