// One task in full, at the right of what it was opened from, which stays usable.

import { changedBetween, rowOf } from "./actions.js";
import { make, said, visible } from "./dom.js";
import { drawn, fromRows } from "./drawer.js";

const LOOK_MS = 5000;
const typing = ({ target }) => target.matches("input, textarea, select");

function changesOf(before, task) {
  const talk = [before, task].map(({ comments }) => comments?.length ?? 0);
  const changes = changedBetween(rowOf(before), rowOf(task));
  return talk[0] === talk[1] ? changes : [...changes, `comments ${talk.join(" → ")}`];
}

export function task(host, context) {
  const { root, live } = context;
  const name = `calypso-task-${Math.random().toString(36).slice(2)}`;
  const drawer = make("div", { class: "calypso-drawer", popover: "manual", role: "dialog", "aria-modal": "false", "aria-labelledby": name });
  const place = make("span", { class: "calypso-muted" });
  const [back, on] = [["‹", -1, "Previous task (k)"], ["›", 1, "Next task (j)"]].map(([text, by, label]) =>
    make("button", { type: "button", "aria-label": label, title: label, onclick: () => step(by) }, text));
  const number = make("b", {});
  const title = make("h3", { id: name, tabindex: -1 });
  const about = make("div", { class: "calypso-drawer-about" });
  const body = make("div", { class: "calypso-drawer-body", tabindex: -1 });
  const failure = make("p", { class: "calypso-error", role: "alert", hidden: true });
  const news = make("p", { class: "calypso-followed", role: "status", hidden: true });
  const actions = make("div", { class: "calypso-actions", role: "toolbar", "aria-label": "Actions" });
  const closing = make("button", { type: "button", class: "calypso-close", "aria-label": "Close", title: "Close (Esc)", onclick: () => close() }, "×");
  drawer.append(make("header", {}, make("div", { class: "calypso-drawer-bar" }, number, back, on, place, closing), title, about), body,
    make("footer", {}, news, failure, actions));
  host.append(drawer);
  let [current, shown, looking, timer, opener, list] = [null, null, false, null, null, () => []];
  let [lost, last] = [false, -1];
  const isOpen = () => current != null;

  const say = (node, text) => {
    node.hidden = !text;
    node.replaceChildren(...(text ? [visible(text)] : []));
  };
  const close = () => {
    if (!isOpen()) return;
    const [id, within] = [current, drawer.contains(document.activeElement)];
    clearInterval(timer);
    [timer, current, shown] = [null, null, null];
    drawer.hidePopover();
    if (!within) return;
    (opener?.isConnected ? opener : root.querySelector(`.calypso-panel [data-task="${id}"]`))?.focus({ preventScroll: true });
  };
  // The task beside the current one in its list; if it has gone from there, what stands in its place comes next.
  const beside = (ids, by) => ids[ids.includes(current) ? ids.indexOf(current) + by : by > 0 ? last : last - 1];
  const step = (by) => {
    const next = beside(list(), by);
    if (next != null) open(next, list);
  };

  // What has the focus, so that it has it again when all is drawn anew.
  const focused = () => {
    const at = drawer.contains(document.activeElement) ? document.activeElement : null;
    const { act, tasks, task: id, menu } = at?.dataset ?? {};
    return at && (() => {
      const same = (node) => (act ? node.dataset.act === act && node.dataset.tasks === tasks : id ? node.dataset.task === id : menu && node.dataset.menu === menu);
      if (!at.isConnected) ([...drawer.querySelectorAll("button")].find(same) ?? title).focus({ preventScroll: true });
    });
  };
  const placed = (ids = list()) => {
    if (ids.includes(current)) last = ids.indexOf(current);
    place.textContent = ids.includes(current) ? `${last + 1} of ${ids.length}` : "";
    back.disabled = beside(ids, -1) == null;
    on.disabled = beside(ids, 1) == null;
  };
  const fill = (record) => {
    const [refocus, same] = [focused(), shown?.id === record.id];
    const top = body.scrollTop;
    [current, shown] = [record.id, record];
    const ids = list();
    const { head, body: content, actions: offered } = drawn(record, context, list);
    number.textContent = `#${record.id}`;
    placed(ids);
    title.replaceChildren(said(record.title ?? ""));
    about.replaceChildren(...head);
    body.replaceChildren(...content);
    actions.replaceChildren(...offered);
    drawer.toggleAttribute("data-whole", !record.partly);
    body.scrollTop = same ? top : 0;
    refocus?.();
  };
  const read = async () => {
    const [id, before] = [current, shown];
    looking = true;
    try {
      const record = await live.ask("task", { id });
      if (current !== id || shown !== before) return;
      if (lost) say(failure, null);
      lost = false;
      if (JSON.stringify(record) === JSON.stringify(before)) return;
      const changes = before && !before.partly ? changesOf(before, record) : [];
      context.hands?.learn([record]);
      fill(record);
      if (!changes.length) return;
      context.hands?.hold();
      say(news, `Changed while you were looking: ${changes.join("; ")}`);
    } catch (error) {
      if (current !== id) return;
      say(failure, before && !before.partly ? `What you see may be old: ${error.message}` : error.message);
      lost = true;
    } finally {
      looking = false;
    }
  };
  const look = () => { if (isOpen() && live && !looking) read(); };
  const unknown = (id) => ({ partly: true, id, title: live ? "" : "This task is not in this page", status: "unknown", tags: [], needs: [], holds_up: [], subtasks: [] });
  const nearby = (within) => () => [...new Set([...within.querySelectorAll("[data-task]")].map(({ dataset }) => Number(dataset.task)))];

  // others: returns the tasks that j and k go on to; else those that stand where it was opened.
  const open = (id, others) => {
    const at = document.activeElement;
    if (!drawer.contains(at)) opener = at;
    if (others) list = others;
    else if (!drawer.contains(at)) list = at?.closest?.("section") ? nearby(at.closest("section")) : () => [];
    [current, shown, looking, lost] = [id, null, false, false];
    if (!list().includes(id)) last = -1;
    [failure, news].forEach((node) => say(node, null));
    fill(fromRows(id, context) ?? unknown(id));
    if (!drawer.matches(":popover-open")) drawer.showPopover();
    title.focus({ preventScroll: true });
    if (!live) return;
    timer ??= setInterval(look, LOOK_MS);
    read();
  };
  drawer.addEventListener("keydown", (event) => {
    const press = { Escape: close, j: () => step(1), k: () => step(-1) }[event.key];
    if (!press || typing(event) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    press();
  });
  // What was done here or elsewhere is shown at once.
  const acted = (record) => {
    if (!isOpen()) return;
    say(news, null);
    const copy = shown?.archived_at != null && record.comments != null && record.title === shown.title;
    if (record.id === current || copy) fill(record);
    else look();
  };
  const load = () => {
    if (live) look();
    else if (isOpen()) fill(fromRows(current, context) ?? unknown(current));
  };
  // Times are said in another zone.
  const turned = () => { if (shown) fill(shown); };
  const act = (name) => context.hands?.act(name, [current], drawer.querySelector(`[data-act="${name}"]`) ?? title);
  return { open, close, step, act, show: () => isOpen() && placed(), turned, acted, isOpen, id: () => current, load, destroy: close };
}
