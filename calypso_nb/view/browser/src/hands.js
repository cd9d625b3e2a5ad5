// What a supervisor can do with tasks, wherever they are shown. An action is done to the tasks that were shown:
// if somebody has changed one since, the kernel refuses, and says who has it now.

import { can, changedBetween, ELSEWHERE, hintOf, nameOf, rowOf, seenOf, YES } from "./actions.js";
import { bar } from "./bar.js";
import { make, visible } from "./dom.js";
import { FORMS } from "./forms.js";
import { popover } from "./popover.js";
import { limitOf } from "./rows.js";

// After a change by others: nothing that was aimed at what stood here before is done to what stands here now.
const HOLD_MS = 800;
const SLOW_MS = 8000;

export function hands(context) {
  const { view, root, live, selection } = context;
  const box = popover(root);
  const learnt = new Map();
  const busy = new Set();
  let [held, opened] = [0, null];
  const toast = (...what) => context.parts().toasts.say(...what);
  const other = (id) => view.payload.others[id];
  const known = (id) => context.row(id) ?? learnt.get(id) ?? (other(id) ? rowOf(other(id)) : undefined);
  const knownOf = (ids) => ids.map(known).filter(Boolean);

  // Takes in how tasks are now, before the next reading brings them with all others.
  const learn = (records) => {
    let changed = false;
    for (const record of records) {
      const [row, now] = [context.row(record.id), rowOf(record)];
      changed ||= Boolean(row) && changedBetween(row, now).length > 0;
      if (row) Object.assign(row, now);
      else learnt.set(record.id, now);
    }
    if (!changed) return;
    follow();
    view.handle.setFilter(view.filter);
  };

  const mark = () => root.querySelectorAll("[data-act]").forEach((button) => {
    button.toggleAttribute("data-busy", busy.size > 0 && (button.dataset.tasks ?? "").split(",").some((id) => busy.has(Number(id))));
  });
  const occupied = async (ids, work) => {
    ids.forEach((id) => busy.add(id));
    mark();
    let waiting = null;
    const slow = setTimeout(() => { waiting = toast("Still waiting for the server …"); }, SLOW_MS);
    try {
      return await work();
    } finally {
      clearTimeout(slow);
      waiting?.();
      ids.forEach((id) => busy.delete(id));
      mark();
    }
  };

  // What came back: what was done, with the way back, and what was refused.
  const tell = ({ told, refused, ...task }, from) => {
    learn(task.tasks ?? (task.id == null ? [] : [task]));
    context.parts().task.acted?.(task);
    const refusals = [refused ?? []].flat();
    const shown = refusals.length > 8 ? [...refusals.slice(0, 8), `… and ${refusals.length - 8} more`] : refusals;
    if (!told) return failed(shown.join("\n"), from);
    if (from && opened === from) box.close();
    const words = [told.done, told.warning && `But ${told.warning}.`, shown.length > 0 && `${refusals.length} refused: ${shown.join("\n")}`].filter(Boolean);
    toast(words.join("\n"), told.undo ? [[told.how, () => undo(told.undo, task.id)]] : [], refusals.length || told.warning ? "calypso-refused" : "");
  };
  // Said where it was asked for, if that is still open: on its tasks as they are now.
  const failed = (text, from) => {
    if (!from || opened !== from) return void toast(text, [], "calypso-refused");
    unasked();
    from.tasks = from.tasks.map((task) => ({ ...(known(task.id) ?? task) }));
    problem(text);
  };
  const undo = async (number, id) => {
    try {
      tell(await live.ask("undo", { id, undo: number }));
    } catch (error) {
      toast(`Not undone: ${error.message}`, [], "calypso-refused");
    }
  };

  // own: values of single tasks, by their numbers.
  const send = async (action, tasks, values, at, own = new Map()) => {
    if (!tasks.length || tasks.some(({ id }) => busy.has(id)) || performance.now() < held) return;
    const [ids, from] = [tasks.map(({ id }) => id), opened];
    problem("");
    const several = tasks.map((task) => ({ id: task.id, seen: seenOf(task), ...own.get(task.id) }));
    const content = tasks.length > 1 ? { tasks: several, action, ...values } : { ...several[0], action, ...values };
    await occupied(ids, async () => {
      try {
        const answer = await live.ask(tasks.length > 1 ? "acts" : "act", content);
        if (answer.question) ask(action, tasks, values, at, answer, own);
        else tell(answer, from);
      } catch (error) {
        failed(error.message, from);
      }
    });
  };

  const problem = (text) => {
    const place = box.node.querySelector(".calypso-error");
    if (!place) return;
    place.hidden = !text;
    place.replaceChildren(visible(text));
    place.scrollIntoView({ block: "nearest" });
  };
  const alert = () => make("p", { class: "calypso-error", role: "alert", hidden: true });
  // Takes a question away, with an answer nobody gave.
  const unasked = () => {
    box.node.querySelector("[role=alertdialog]")?.remove();
    const fields = box.node.querySelector("form");
    if (fields) fields.hidden = false;
    return fields;
  };
  // What was opened follows its tasks: see `follow`.
  const show = (at, label, tasks, content) => {
    box.open(at, label, [make("h4", { dir: "auto" }, visible(label)), ...content, alert()], () => { opened = null; });
    opened = { tasks: tasks.map((task) => ({ ...task })) };
  };
  const about = (tasks) => (tasks.length > 1 ? `${tasks.length} tasks` : `#${tasks[0].id}`);

  // Names what an action would do besides, and does it if that is agreed to.
  const ask = (action, tasks, values, at, { question, suggestion }, own) => {
    const again = (change) => send(action, opened?.tasks ?? tasks, { ...values, ...change }, at, own);
    const button = (name, press, kind) => make("button", { type: "button", class: kind, onclick: press }, name);
    const yes = tasks.length > 1 ? nameOf(action, tasks).replace(" …", "") : YES[action] ?? "Do it all the same";
    const form = box.node.querySelector("form");
    const questions = make("div", { class: "calypso-asking", role: "alertdialog", "aria-label": "Are you sure?" },
      ...question.map((sentence) => make("p", { dir: "auto" }, visible(sentence))),
      suggestion && button(`Assign it to ${visible(suggestion)}`, () => again({ agent: suggestion })),
      button(yes, () => again({ sure: true }), "calypso-destroy"),
      button("Cancel", () => {
        const fields = unasked();
        if (fields) fields.querySelector("input, textarea")?.focus();
        else box.close();
      }));
    unasked();
    if (form) {
      form.hidden = true;
      form.after(questions);
    } else show(at, `${nameOf(action, tasks).replace(" …", "")}: ${about(tasks)}`, tasks, [questions]);
    questions.lastChild.focus();
  };

  const form = (action, tasks, at) => {
    const sending = (values, own) => send(action, (opened?.tasks ?? tasks).filter(({ id }) => !own || own.has(id)), values, at, own);
    const node = make("form", { class: "calypso-form", onsubmit: (event) => { event.preventDefault(); sending(made.values()); } });
    const made = FORMS[action](tasks, { view, known, submit: () => node.requestSubmit(), send: sending });
    node.append(...made.fields, make("div", { class: "calypso-form-end" },
      made.button && make("button", { type: "submit", class: "calypso-go" }, made.button), make("button", { type: "button", onclick: () => box.close() }, "Cancel")));
    const [first] = tasks;
    const title = tasks.length > 1 ? about(tasks) : `#${first.id} ${(first.title ?? "").slice(0, 120)}`;
    show(at, `${nameOf(action, tasks).replace(" …", "")}: ${title}`, tasks, [node]);
  };

  // All that an agent has in progress but what was edited last is selected on the agent's page, to be set idle.
  const choose = (tasks) => {
    const [{ agent }] = tasks;
    const own = view.rows.filter((row) => row.agent === agent && row.status === "working").sort((a, b) => Date.parse(b.updated_at) - Date.parse(a.updated_at));
    const limit = limitOf(view.payload, agent);
    selection.set(own.slice(limit).map(({ id }) => id));
    const page = context.parts().agents.open;
    if (!page) return context.go("tasks", { ids: own.map(({ id }) => id), statuses: [] });
    context.go("agents");
    return page(agent);
  };

  // The tasks that an action is about, and its own name; of several, those whose state allows it.
  const meant = (name, ids) => {
    if (name === "choose") return [name, knownOf(ids).filter(({ agent, status }) => agent != null && status === "working")];
    const [action, field] = ELSEWHERE[name] ?? [name];
    const tasks = knownOf(field ? knownOf(ids).map((task) => task[field]) : ids);
    return [action, action === "see" ? tasks : tasks.filter((task) => can(action, task))];
  };
  const act = (name, ids, at) => {
    const [action, tasks] = meant(name, ids);
    if (!tasks.length || performance.now() < held) return;
    if (action === "see") context.open(tasks[0].id);
    else if (action === "choose") choose(tasks);
    else if (FORMS[action]) form(action, tasks, at);
    else send(action, tasks, {}, at);
  };
  const label = (name, action, tasks, named) => {
    if (action === "see") return `Look at #${tasks[0].id}`;
    if (action === "choose") return `Choose ${limitOf(view.payload, tasks[0].agent)} …`;
    return nameOf(action, tasks, named || name !== action);
  };
  const button = (name, ids, { named } = {}) => {
    const [action, tasks] = meant(name, ids);
    return tasks.length > 0 && make("button", { type: "button", class: "calypso-hand", "data-act": name, "data-tasks": ids.join(","), title: hintOf(action),
      onclick: ({ currentTarget }) => act(name, ids, currentTarget) }, label(name, action, tasks, named));
  };

  // What is open goes on with its tasks as they are now, and says what others changed; their answers are to be given anew.
  const follow = () => {
    if (!opened) return;
    const changes = opened.tasks.flatMap((task, i) => {
      const now = known(task.id);
      const words = now && !busy.has(task.id) ? changedBetween(task, now) : [];
      if (words.length) opened.tasks[i] = { ...now };
      return words.map((word) => `#${task.id}: ${word}`);
    });
    if (!changes.length) return;
    hold();
    if (!unasked()) {
      box.close();
      return void toast(`Not done: ${changes.slice(0, 3).join("; ")}`, [], "calypso-refused");
    }
    problem(`Changed while you were looking: ${changes.slice(0, 3).join("; ")}`);
  };
  const hold = () => { held = performance.now() + HOLD_MS; };

  return {
    // The buttons of some actions on some tasks: of those that their state allows; `named` ones say which task.
    buttons: (names, ids, options) => names.map((name) => button(name, ids, options)).filter(Boolean),
    // What can be done with all that is selected; nothing is shown while nothing is.
    bar: () => bar(selection, knownOf, act),
    act, box, follow, hold, known, learn,
    offered: (names, ids) => names.filter((name) => meant(name, ids)[1].length > 0),
    destroy: box.destroy,
  };
}
