// What can be done to a task, in words, and whether its state allows it. For Python `offered` in
// calypso_nb/client/actions.py says when; a test compares.

import { UNASSIGNED } from "./rows.js";

const isOpen = ({ status }) => status !== "complete";
// A TinyTask v1 has no queues, parents and blocking.
const hasMore = ({ blocked }) => blocked != null;
const ALLOWED = {
  reassign: isOpen,
  comment: () => true,
  set_idle: ({ status }) => status !== "idle",
  release: (task) => isOpen(task) && Boolean(task.agent),
  unblock: (task) => isOpen(task) && hasMore(task) && task.blocked_by != null,
  complete: isOpen,
  priority: () => true,
  wait_for: (task) => isOpen(task) && hasMore(task),
  queue: hasMore,
  parent: hasMore,
  tags: ({ tags }) => tags?.length > 0,
  archive: () => true,
};
export const ACTIONS = [...Object.keys(ALLOWED), "restore"];

// What the server said of this very task counts more than what its kind allows.
export function can(name, task) {
  if (task.offered) return task.offered.includes(name);
  if (task.archived_at) return name === "restore" || name === "comment";
  return ALLOWED[name]?.(task) ?? false;
}

// What is done to the task that another waits for or is a part of: the action, and where its number stands.
export const ELSEWHERE = {
  restore_blocker: ["restore", "blocked_by"], see_blocker: ["see", "blocked_by"],
  restore_parent: ["restore", "parent"], see_parent: ["see", "parent"],
};

// For one task, and for `n` tasks or one that has to be named.
const NAMES = {
  reassign: [([task]) => (task.agent == null ? "Assign …" : "Reassign …"), (n, tasks) => `${tasks.every(({ agent }) => agent == null) ? "Assign" : "Reassign"} ${n} …`],
  comment: [() => "Ask …", (n) => `Ask about ${n} …`],
  set_idle: [([{ status }]) => (status === "complete" ? "Reopen" : "Set idle"), (n) => `Set ${n} idle`],
  release: [() => "Release", (n) => `Release ${n}`],
  unblock: [() => "Unblock", (n) => `Unblock ${n}`],
  complete: [() => "Complete", (n) => `Complete ${n}`],
  archive: [() => "Archive …", (n) => `Archive ${n} …`],
  restore: [() => "Restore as a copy", (n) => `Restore ${n}`],
  priority: [() => "Priority …", (n) => `Priority of ${n} …`],
  wait_for: [() => "Wait for another …", (n) => `Let ${n} wait …`],
  queue: [() => "Queue …", (n) => `Queue of ${n} …`],
  parent: [() => "Parent …", (n) => `Parent of ${n} …`],
  tags: [() => "Tags …", (n) => `Tags of ${n} …`],
};
export function nameOf(name, tasks, named = false) {
  const [one, many] = NAMES[name];
  return tasks.length === 1 && !named ? one(tasks) : many(tasks.length === 1 ? `#${tasks[0].id}` : tasks.length, tasks);
}

const HINTS = {
  set_idle: "The agent keeps it, to be started again", release: "Unassigned and idle: anybody can be given it",
  comment: "A comment in your name", unblock: "It waits for no other task any more",
  restore: "TinyTask has no way back from its archive: a copy with a new number takes its place",
};
export const hintOf = (name) => HINTS[name];

// The button that does it in spite of what was said.
export const YES = {
  reassign: "Assign it all the same", complete: "Complete it all the same", archive: "Archive it",
  wait_for: "Let it wait all the same", parent: "Move it all the same",
};

// A record of the server, or of the payload's `others`, with the names that a row has.
export const rowOf = (task) => ({
  id: task.id, title: task.title, status: task.status, agent: task.assigned_to || null, priority: task.priority, queue: task.queue_name,
  tags: task.tags, blocked: task.is_currently_blocked, blocked_by: task.blocked_by_task_id, parent: task.parent_task_id,
  updated_at: task.updated_at, archived_at: task.archived_at ?? null, offered: task.offered, is_open: task.status !== "complete",
});
// What an action must find unchanged.
export const seenOf = ({ id, agent, status, updated_at, archived_at }) =>
  ({ id, assigned_to: agent, status, updated_at, ...(archived_at === undefined ? {} : { archived_at }) });

// What others have changed since it was shown.
const WATCHED = [
  ["agent", (task) => task.agent ?? UNASSIGNED], ["status", (task) => (task.archived_at ? "archived" : task.status)],
  ["priority", (task) => task.priority], ["queue", (task) => task.queue ?? "none"],
  ["waits for", (task) => (task.blocked ? `#${task.blocked_by}` : "nothing")],
  ["parent", (task) => (task.parent == null ? "none" : `#${task.parent}`)], ["tags", (task) => (task.tags ?? []).join(", ") || "none"],
];
export function changedBetween(before, after) {
  const changes = WATCHED.map(([name, value]) => [name, value(before), value(after)]).filter(([, old, now]) => old !== now)
    .map(([name, old, now]) => `${name} ${old} → ${now}`);
  return changes.length || Date.parse(before.updated_at) === Date.parse(after.updated_at) ? changes : ["title or description"];
}
