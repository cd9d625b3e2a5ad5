// What events a v2 server makes of a change. Nothing tells of what follows from one: a parent's status that is rolled
// up, a task that is unblocked, subtasks that go with their parent, the tasks that were in a cleared queue.

// The fields that an update may change, in the order in which an event names them.
const CHANGEABLE = [
  "title", "description", "status", "assigned_to", "priority", "tags", "parent_task_id", "queue_name",
  "blocked_by_task_id",
];

// Return `store` with methods that hand their events to `push`, once the change is committed.
export function pushing(store, push) {
  let events = [];
  const add = (type, payload) => {
    const metadata = { source: "tinytask", priority: "normal" };
    events.push({ type, timestamp: new Date().toISOString(), payload, metadata });
  };
  const addOf = (task, type, about) => {
    const { id: taskId, assigned_to: assignee, created_by: owner, status, queue_name: cue } = task;
    add(type, { taskId, ...about, assignee, owner, status, cue });
  };
  const nameOf = (table) => (table === "comments" ? "comment" : "link");
  const addOfNote = (note, table, happened, about = { [nameOf(table)]: note }) =>
    addOf(store.getBareTask(note.task_id), `${nameOf(table)}-${happened}`, about);

  const methods = {
    createTask(fields) {
      const task = store.createTask(fields);
      addOf(task, "task-created", { task });
      const parentId = task.parent_task_id;
      if (parentId !== null) addOf(task, "subtask-created", { parentId, task });
      return task;
    },
    updateTask(fields) {
      const before = store.getBareTask(fields.id);
      const after = store.updateTask(fields);
      const differs = (name) => JSON.stringify(before[name]) !== JSON.stringify(after[name]);
      addOf(after, "task-updated", { before, after, changedFields: CHANGEABLE.filter(differs) });
      for (const [name, type] of [
        ["status", "task-status-changed"],
        ["assigned_to", "task-assigned"],
        ["queue_name", "task-queue-changed"],
      ]) {
        if (differs(name)) addOf(after, type, { before: before[name], after: after[name] });
      }
      return after;
    },
    archiveTask(id) {
      const task = store.archiveTask(id);
      addOf(task, "task-archived", { task });
      return task;
    },
    deleteTask(id) {
      const task = store.getBareTask(id);
      store.deleteTask(id);
      addOf(task, "task-deleted");
    },
    signUp(agent) {
      const task = store.signUp(agent);
      if (task) {
        addOf(task, "task-signed-up", { agent });
        addOf(task, "task-status-changed", { before: "idle", after: task.status });
      }
      return task;
    },
    moveTask(moved) {
      const { task, comment } = store.moveTask(moved);
      addOf(task, "task-transferred", { from: moved.current_agent, to: moved.new_agent, comment: comment.content });
      addOf(task, "comment-added", { comment });
      return { task, comment };
    },
    moveSubtask(id, parentId) {
      const before = store.getBareTask(id).parent_task_id;
      const task = store.moveSubtask(id, parentId);
      addOf(task, "subtask-moved", { before, after: task.parent_task_id });
      return task;
    },
    addToQueue(id, queueName) {
      const task = store.addToQueue(id, queueName);
      addOf(task, "task-added-to-queue", { queueName });
      return task;
    },
    moveToQueue(id, queueName) {
      const before = store.getBareTask(id).queue_name;
      const task = store.moveToQueue(id, queueName);
      addOf(task, "task-queue-changed", { before, after: task.queue_name });
      return task;
    },
    removeFromQueue(id) {
      const queueName = store.getBareTask(id).queue_name;
      const task = store.removeFromQueue(id);
      addOf(task, "task-removed-from-queue", { queueName });
      return task;
    },
    clearQueue(queueName) {
      const count = store.clearQueue(queueName);
      add("queue-cleared", { queueName, count });
      return count;
    },
    addNote(table, fields) {
      const note = store.addNote(table, fields);
      addOfNote(note, table, "added");
      return note;
    },
    updateNote(table, fields) {
      const note = store.updateNote(table, fields);
      addOfNote(note, table, "updated");
      return note;
    },
    deleteNote(table, id) {
      const note = store.getNote(table, id);
      store.deleteNote(table, id);
      addOfNote(note, table, "deleted", { [`${nameOf(table)}Id`]: id });
    },
    moveComment(id, taskId) {
      const moved = store.moveComment(id, taskId);
      addOfNote(moved, "comments", "added");
      addOfNote(store.getNote("comments", id), "comments", "updated");
      return moved;
    },
  };

  // What a task was before is read in the transaction that changes it: others write to the file as well.
  for (const [name, method] of Object.entries(methods)) {
    methods[name] = (...values) => {
      events = [];
      const result = store.whole(() => method(...values));
      events.forEach(push);
      return result;
    };
  }
  return { ...store, ...methods };
}
