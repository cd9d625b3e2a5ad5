// One task in full, and what a supervisor can do with it.

import { make, said, visible } from "./dom.js";
import { UNASSIGNED } from "./rows.js";

const moment = (iso) => (iso ? `${iso.slice(0, 10)} ${iso.slice(11, 16)} UTC` : "–");
const passage = (text) => make("p", { class: "calypso-passage", dir: "auto" }, visible(text));

// Only what is plainly an address of the web becomes a link; all else that an agent wrote stays text.
function reference(url) {
  const web = /^https?:\/\/[^\s\u0000-\u001f\u007f\u200e\u200f\u202a-\u202e\u2066-\u2069]+$/i.test(url) && URL.canParse(url);
  return web ? make("a", { href: url, rel: "noopener noreferrer", target: "_blank", dir: "ltr" }, url) : said(url);
}

const LOOK_MS = 5000;
// After a change by others: nothing that was aimed at what stood here before is done to what stands here now.
const HOLD_MS = 800;
const YES = {
  reassign: "Assign it all the same", complete: "Complete it all the same", archive: "Archive it",
  wait_for: "Let it wait all the same", parent: "Move it all the same",
};
const SIMPLE = ["set_idle", "release", "unblock", "complete", "archive", "restore"];
// What an action must find unchanged, and what is named if others change it.
const seenOf = ({ id, assigned_to, status, updated_at, archived_at }) => ({ id, assigned_to, status, updated_at, archived_at });
const WATCHED = [
  ["agent", (task) => task.assigned_to ?? "nobody"], ["status", (task) => (task.archived_at ? "archived" : task.status)],
  ["priority", (task) => task.priority], ["queue", (task) => task.queue_name ?? "none"],
  ["waits for", (task) => (task.is_currently_blocked ? `#${task.blocked_by_task_id}` : "nothing")],
  ["parent", (task) => (task.parent_task_id == null ? "none" : `#${task.parent_task_id}`)],
  ["tags", (task) => task.tags.join(", ") || "none"], ["comments", (task) => task.comments?.length ?? 0],
];
function changedBetween(before, task) {
  const changes = WATCHED.map(([name, value]) => [name, value(before), value(task)]).filter(([, old, now]) => old !== now)
    .map(([name, old, now]) => `${name} ${old} → ${now}`);
  return changes.length || before.updated_at === task.updated_at ? changes : ["title or description"];
}

export function taskDialog(host, { view, live }) {
  const dialog = make("dialog", { class: "calypso-dialog", "aria-labelledby": `calypso-task-${Math.random().toString(36).slice(2)}` });
  const body = make("div");
  const failure = make("p", { class: "calypso-error", role: "alert", hidden: true });
  const news = make("p", { class: "calypso-followed", role: "status", hidden: true });
  const told = make("div", { class: "calypso-told", role: "status", hidden: true });
  const asking = make("div");
  const close = make("button", { type: "button", class: "calypso-close", "aria-label": "Close", onclick: () => dialog.close() }, "×");
  dialog.append(close, body, make("div", { class: "calypso-said" }, news, failure, told, asking));
  host.append(dialog);
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  let [current, shown, looking, lost, timer] = [null, null, false, false, null];
  // What keeps the buttons from acting; an answer that never comes does so until a task is opened again.
  const working = new Set();
  const stop = () => { clearInterval(timer); timer = null; };
  dialog.addEventListener("close", stop);

  const say = (node, text) => {
    node.hidden = !text;
    node.replaceChildren(...(text ? [visible(text)] : []));
  };
  const silence = () => {
    lost = false;
    [failure, news, told].forEach((node) => say(node, null));
    asking.replaceChildren();
  };
  const dim = () => dialog.toggleAttribute("data-working", working.size > 0);
  const hold = () => {
    const one = {};
    working.add(one);
    dim();
    return () => { working.delete(one); dim(); };
  };
  const tell = ({ done, warning, undo, how }) => {
    told.hidden = false;
    told.replaceChildren(make("span", { dir: "auto" }, visible(done)), ...(warning ? [make("strong", { dir: "auto" }, visible(`But ${warning}.`))] : []),
      ...(undo ? [make("button", { type: "button", "data-act": "undo", onclick: () => send("undo", { undo }) }, how)] : []));
  };
  const send = async (what, content) => {
    if (working.size) return;
    const [about, release] = [current, hold()];
    silence();
    try {
      const { question, suggestion, refused, told: done, ...task } = await live.ask(what, { id: about, ...content });
      if (about !== current) return;
      if (question) return confirm(question, suggestion, content);
      fill(task, done && content.action);
      if (refused) say(failure, refused);
      if (done) tell(done);
    } catch (error) {
      if (about === current) say(failure, error.message);
    } finally {
      release();
    }
  };
  const act = (action, values = {}) => send("act", { action, seen: seenOf(shown), ...values });
  const confirm = (sentences, suggestion, content) => {
    const leave = () => { asking.replaceChildren(); focusOn(content.action); };
    const button = (name, press, kind) => make("button", { type: "button", class: kind, onclick: press }, name);
    const no = button("Cancel", leave);
    asking.replaceChildren(make("div", { class: "calypso-asking", role: "alertdialog", "aria-label": "Are you sure?" },
      ...sentences.map((sentence) => make("p", { dir: "auto" }, visible(sentence))),
      suggestion && button(`Assign it to ${visible(suggestion)}`, () => send("act", { ...content, agent: suggestion })),
      button(YES[content.action] ?? "Do it all the same", () => send("act", { ...content, sure: true }), "calypso-destroy"), no));
    no.focus();
  };

  const area = (name, label, needed) => make("textarea", { name, rows: 2, required: needed, placeholder: label, "aria-label": label, dir: "auto" });
  const form = (action, title, button, fields, valuesOf) => make("form",
    { class: "calypso-form", onsubmit: (event) => { event.preventDefault(); act(action, valuesOf()); } },
    make("h4", {}, title), ...fields, make("button", { type: "submit", "data-act": action }, button));
  const offering = (name, values) => make("datalist", { id: `${dialog.getAttribute("aria-labelledby")}-${name}` }, ...values.map((value) => make("option", { value })));
  const known = (field, but) => [...new Set(view.rows.map((row) => row[field]))].filter((value) => value != null && value !== but).sort();
  const number = (action, label, value, needed) => make("input", { name: `${action}.value`, type: "number", step: 1, required: needed, value, placeholder: label, "aria-label": label });
  // The fields of an action, by its name.
  const FORMS = {
    reassign: (task) => {
      const listed = offering("agents", known("agent", task.assigned_to));
      const agent = make("input", { name: "reassign.agent", required: true, list: listed.id, placeholder: "New agent", "aria-label": "New agent", dir: "auto", autocomplete: "off" });
      const handoff = area("reassign.comment", "What the new agent should know");
      const title = task.assigned_to == null ? "Assign" : "Reassign";
      return form("reassign", title, title, [agent, listed, handoff], () => ({ agent: agent.value, comment: handoff.value }));
    },
    comment: () => {
      const comment = area("comment.comment", "Comment", true);
      return form("comment", "Comment", "Add comment", [comment], () => ({ comment: comment.value }));
    },
    priority: (task) => {
      const priority = number("priority", "Priority", task.priority ?? 0, true);
      return form("priority", "Priority", "Set priority", [priority], () => ({ value: Number(priority.value) }));
    },
    wait_for: () => {
      const blocker = number("wait_for", "Number of a task", null, true);
      return form("wait_for", "Wait for another task", "Let it wait", [blocker], () => ({ value: Number(blocker.value) }));
    },
    queue: (task) => {
      const listed = offering("queues", known("queue", task.queue_name));
      const queue = make("input", { name: "queue.value", list: listed.id, value: task.queue_name, placeholder: "No queue", "aria-label": "Queue", dir: "auto", autocomplete: "off" });
      return form("queue", "Queue", "Set queue", [queue, listed], () => ({ value: queue.value }));
    },
    parent: (task) => {
      const parent = number("parent", "Number of the parent, or none", task.parent_task_id, false);
      return form("parent", "Parent", "Set parent", [parent], () => ({ value: parent.value === "" ? null : Number(parent.value) }));
    },
  };
  const FIRST = ["reassign", "comment"];
  const nameOf = (action, task) => ({
    set_idle: task.status === "complete" ? "Reopen" : "Set idle", release: "Release", unblock: "Unblock", complete: "Complete", archive: "Archive …",
    restore: "Restore as a copy", reassign: task.assigned_to == null ? "Assign …" : "Reassign …", comment: "Ask …", priority: "Priority …",
    wait_for: "Wait for another task …", queue: "Queue …", parent: "Parent …",
  })[action];
  const hint = (action, task) => ({
    set_idle: `${task.assigned_to == null ? "Nobody" : "Its agent"} keeps it, to be started again`,
    release: "Unassigned and idle: anybody can be given it",
    restore: "TinyTask has no way back from its archive: a copy with a new number takes its place",
  })[action];
  const focusOn = (action) => {
    const field = body.querySelector(`[name^="${action}."]`) ?? body.querySelector(`[data-act="${action}"]`);
    if (field?.closest("details")) field.closest("details").open = true;
    field?.focus();
  };
  const SEE = { see_blocker: "blocked_by_task_id", see_parent: "parent_task_id" };
  const press = (action, task) => SEE[action] ? make("button", { type: "button", onclick: () => open(task[SEE[action]]) }, `Look at #${task[SEE[action]]}`) : make("button", { type: "button", "data-act": action, title: hint(action, task),
    onclick: () => (FORMS[action] ? focusOn(action) : act(action)) }, nameOf(action, task));
  const untag = (task) => make("div", { class: "calypso-form" }, make("h4", {}, "Tags"), ...task.tags.map((tag) => make("button",
    { type: "button", "data-act": "tags", "aria-label": `Remove the tag ${visible(tag)}`, onclick: () => act("tags", { value: task.tags.filter((other) => other !== tag) }) }, said(tag), " ×")));
  const actions = (task) => {
    const can = (names) => names.filter((name) => task.offered.includes(name));
    const forms = (names) => can(names).map((name) => FORMS[name](task));
    const more = [...forms(Object.keys(FORMS).filter((name) => !FIRST.includes(name))), ...(task.offered.includes("tags") ? [untag(task)] : [])];
    return task.offered.length && make("div", { class: "calypso-actions" },
      make("div", { class: "calypso-simple" }, ...can(SIMPLE).map((action) => press(action, task))),
      make("div", { class: "calypso-forms" }, ...forms(FIRST)),
      more.length > 0 && make("details", {}, make("summary", {}, "Priority, queue, parent and more"), make("div", { class: "calypso-forms" }, ...more)));
  };
  const need = (task) => ({ urgency, evidence, to_do, cures }) => make("li", { "data-urgency": urgency },
    make("span", { class: "calypso-urgency" }, "!".repeat(urgency)),
    make("span", { class: "calypso-need" }, make("span", { class: "calypso-why", dir: "auto" }, visible(`${evidence} → ${to_do}`)), ...cures.map((action) => press(action, task))));

  const mention = ({ id, title, status }) => make("li", {},
    make("button", { type: "button", class: "calypso-open", onclick: () => open(id) }, `#${id} `, said(title ?? "")),
    status ? make("small", {}, ` ${status}`) : "");
  const listing = (title, items) => items.length && make("section", {}, make("h4", {}, title), make("ul", {}, ...items));
  const remark = ({ content, created_by, created_at }) => make("li", {}, make("small", {}, said(created_by ?? "unknown author"), ` · ${moment(created_at)}`), passage(content ?? ""));

  // Keeps what has been typed and not sent, where the focus is and what is unfolded; `spent` is what was sent.
  const keeping = (spent, redraw) => {
    const typed = [...body.querySelectorAll("[name]")].filter((field) => field.value !== field.defaultValue && !field.name.startsWith(`${spent}.`));
    const focus = dialog.contains(document.activeElement) && (document.activeElement.name || document.activeElement.dataset.act);
    const unfolded = body.querySelector("details")?.open;
    redraw();
    for (const { name, value } of typed) {
      const field = body.querySelector(`[name="${name}"]`);
      if (field) field.value = value;
    }
    if (unfolded) body.querySelector("details")?.setAttribute("open", "");
    if (focus && !dialog.contains(document.activeElement)) (body.querySelector(`[name="${focus}"], [data-act="${focus}"]`) ?? body.firstChild).focus();
  };
  const fill = (task, spent) => {
    current = task.id;
    shown = task;
    const [comments, links] = [task.comments ?? [], task.links ?? []];
    const facts = [
      ["Status", task.archived_at ? `${task.status}, archived ${moment(task.archived_at)}` : task.status],
      ["Agent", task.assigned_to ?? UNASSIGNED], ["Before", task.previous_assigned_to], ["Priority", task.priority], ["Queue", task.queue_name],
      ["Tags", task.tags.join(", ")], ["Created", `${moment(task.created_at)}${task.created_by == null ? "" : " by "}`, task.created_by],
      ["Last edit", moment(task.updated_at)],
    ].filter(([, value]) => value != null && value !== "");
    keeping(spent, () => body.replaceChildren(...[
      make("h3", { id: dialog.getAttribute("aria-labelledby"), tabindex: -1 }, `#${task.id} `, said(task.title ?? "")),
      make("dl", { class: "calypso-about" }, ...facts.map(([name, value, who]) => make("div", {}, make("dt", {}, name), make("dd", {}, said(String(value)), who == null ? "" : said(who))))),
      task.needs.length && make("ol", { class: "calypso-needs" }, ...task.needs.map(need(task))),
      task.description ? passage(task.description) : make("p", { class: "calypso-nothing-said" }, "No description"),
      listing(task.is_currently_blocked ? "Waits for" : "Waited for", task.blocker ? [mention(task.blocker)] : []),
      listing("Holds up", task.holds_up.map(mention)),
      listing("Part of", task.parent ? [mention(task.parent)] : []),
      listing("Subtasks", task.subtasks.map(mention)),
      listing("Links", links.map(({ url, description }) => make("li", {}, reference(url ?? ""), description ? make("small", {}, " ", said(description)) : ""))),
      listing(`Comments: ${comments.length}`, comments.map(remark)),
      actions(task),
    ].filter(Boolean)));
  };
  // Reads the task again, and shows what others have done to it meanwhile.
  const look = async () => {
    const before = shown;
    if (!dialog.open || before?.id !== current || working.size || looking) return;
    looking = true;
    try {
      const task = await live.ask("task", { id: current });
      if (!dialog.open || shown !== before || working.size) return;
      if (lost) silence();
      if (JSON.stringify(task) === JSON.stringify(before)) return;
      const changes = changedBetween(before, task);
      fill(task);
      if (!changes.length) return;
      asking.replaceChildren();
      if (before.updated_at !== task.updated_at) told.querySelector("button")?.remove();  // It would be refused.
      say(news, `Changed while you were looking: ${changes.join("; ")}`);
      setTimeout(hold(), HOLD_MS);
    } catch (error) {
      if (!dialog.open || shown !== before || working.size) return;
      say(failure, `What you see may be old: ${error.message}`);
      lost = true;
    } finally {
      looking = false;
    }
  };
  const open = async (id) => {
    [current, shown, looking] = [id, null, false];
    working.clear();
    dim();
    silence();
    body.replaceChildren(make("h3", { id: dialog.getAttribute("aria-labelledby"), tabindex: -1 }, `#${id}`), make("p", {}, "Reading the task …"));
    if (!dialog.open) dialog.showModal();
    timer ??= setInterval(look, LOOK_MS);
    body.firstChild.focus();
    try {
      const task = await live.ask("task", { id });
      if (current === id) fill(task);
    } catch (error) {
      if (current !== id) return;
      body.lastChild.remove();
      say(failure, error.message);
    }
  };
  return { open, load: () => void look(), destroy: () => { stop(); dialog.close(); } };
}
