// The fields of the actions that need a value.

import { make, said, visible } from "./dom.js";
import { agentsOf, picker } from "./picker.js";

const area = (name, label, needed) => make("textarea", { name, rows: 2, required: needed, placeholder: label, "aria-label": label, dir: "auto" });
const number = (name, label, value, needed) =>
  make("input", { name, type: "number", step: 1, required: needed, value, placeholder: label, "aria-label": label });
const common = (tasks, field) => (tasks.every((task) => task[field] === tasks[0][field]) ? tasks[0][field] : null);

let lists = 0;
function offering(values) {
  const list = make("datalist", { id: `calypso-offered-${(lists += 1)}` }, ...values.map((value) => make("option", { value })));
  return list;
}

// The number of a task, with its title below as soon as there is one.
function taskField(name, label, value, needed, known) {
  const field = number(name, label, value, needed);
  const title = make("small", { class: "calypso-titled", role: "status" });
  const show = () => {
    const task = field.value === "" ? null : known(Number(field.value));
    title.replaceChildren(...(task ? [said((task.title ?? "").slice(0, 200))] : [field.value === "" ? "" : "a task that is not shown here"]));
  };
  field.addEventListener("input", show);
  if (value != null) show();
  return { field, title };
}

// Each is made for tasks, with `send(values)`; returns what stands in the form, the word on its button and its values.
export const FORMS = {
  reassign: (tasks, { view, submit }) => {
    const now = common(tasks, "agent");
    const { field, list } = picker(agentsOf(view).filter(({ agent }) => tasks.length > 1 || agent !== now), submit);
    const handoff = area("comment", "What the new agent should know");
    return { fields: [field, handoff, list], button: tasks.every(({ agent }) => agent == null) ? "Assign" : "Reassign",
      values: () => ({ agent: field.value, comment: handoff.value }) };
  },
  comment: () => {
    const comment = area("comment", "Comment", true);
    return { fields: [comment], button: "Add comment", values: () => ({ comment: comment.value }) };
  },
  priority: (tasks) => {
    const field = number("priority", "Priority", common(tasks, "priority"), true);
    return { fields: [field], button: "Set priority", values: () => ({ value: Number(field.value) }) };
  },
  wait_for: (_, { known }) => {
    const { field, title } = taskField("wait_for", "Number of a task", null, true, known);
    return { fields: [field, title], button: "Let it wait", values: () => ({ value: Number(field.value) }) };
  },
  queue: (tasks, { view }) => {
    const now = common(tasks, "queue");
    const queues = [...new Set(view.rows.map(({ queue }) => queue))].filter((queue) => queue != null && queue !== now).sort();
    const list = offering(queues);
    const field = make("input", { name: "queue", list: list.id, value: now, placeholder: "No queue", "aria-label": "Queue", dir: "auto", autocomplete: "off" });
    return { fields: [field, list], button: "Set queue", values: () => ({ value: field.value }) };
  },
  parent: (tasks, { known }) => {
    const { field, title } = taskField("parent", "Number of the parent, or none", common(tasks, "parent"), false, known);
    return { fields: [field, title], button: "Set parent", values: () => ({ value: field.value === "" ? null : Number(field.value) }) };
  },
  tags: (tasks, { send }) => {
    const tags = [...new Set(tasks.flatMap((task) => task.tags ?? []))].sort();
    const without = (tag) => new Map(tasks.filter((task) => task.tags?.includes(tag)).map((task) => [task.id, { value: task.tags.filter((other) => other !== tag) }]));
    const remove = (tag) => make("button", { type: "button", "aria-label": `Remove the tag ${visible(tag)}`, onclick: () => send({}, without(tag)) }, said(tag), " ×");
    return { fields: [make("p", {}, "Remove a tag:"), make("div", { class: "calypso-taglist" }, ...tags.map(remove))] };
  },
};
