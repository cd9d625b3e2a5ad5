// TinyTask's rules over its SQLite file, for both generations. Each method is one transaction.

import Database from "better-sqlite3";

const LEVELS = 3;
const NO_QUEUE = "Queue name cannot be empty";
const IN_V2 = ["parent_task_id", "queue_name", "blocked_by_task_id"];

const schema = (v1) => `
  CREATE TABLE IF NOT EXISTS tasks (
    id INTEGER PRIMARY KEY AUTOINCREMENT, title TEXT NOT NULL, description TEXT,
    status TEXT NOT NULL DEFAULT 'idle' CHECK (status IN ('idle', 'working', 'complete')),
    assigned_to TEXT, previous_assigned_to TEXT, created_by TEXT, priority INTEGER DEFAULT 0, tags TEXT,
    ${v1 ? "" : `parent_task_id INTEGER REFERENCES tasks (id) ON DELETE CASCADE, queue_name TEXT,
    blocked_by_task_id INTEGER REFERENCES tasks (id) ON DELETE SET NULL,`}
    created_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP, updated_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP,
    archived_at TEXT);
  CREATE TABLE IF NOT EXISTS comments (
    id INTEGER PRIMARY KEY AUTOINCREMENT, task_id INTEGER NOT NULL REFERENCES tasks (id) ON DELETE CASCADE,
    content TEXT NOT NULL, created_by TEXT,
    created_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP, updated_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP);
  CREATE TABLE IF NOT EXISTS links (
    id INTEGER PRIMARY KEY AUTOINCREMENT, task_id INTEGER NOT NULL REFERENCES tasks (id) ON DELETE CASCADE,
    url TEXT NOT NULL, description TEXT, created_by TEXT, created_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP);
  CREATE TABLE IF NOT EXISTS task_history (
    id INTEGER PRIMARY KEY AUTOINCREMENT, task_id INTEGER NOT NULL, changed_at TEXT);
  CREATE INDEX IF NOT EXISTS comments_by_task ON comments (task_id);
  CREATE INDEX IF NOT EXISTS links_by_task ON links (task_id);
`;

export class Refusal extends Error {}

const refuse = (words) => {
  throw new Refusal(words);
};
const required = (text, words) => (text?.trim() ? text : refuse(words));
const marks = (values) => values.map(() => "?").join(", ");

export class Store {
  constructor(path, v1) {
    this.v1 = v1;
    this.db = new Database(path);
    this.db.pragma("journal_mode = WAL");
    this.db.pragma("foreign_keys = ON");
    this.db.exec(schema(v1));
    const names = "id, title, description, status, assigned_to, previous_assigned_to, created_by, priority, tags";
    const blocked = `EXISTS (SELECT 1 FROM tasks AS b WHERE b.id = tasks.blocked_by_task_id
      AND b.status <> 'complete') AS is_currently_blocked`;
    const times = "created_at, updated_at, archived_at";
    this.fields = v1 ? `${names}, ${times}` : `${names}, ${IN_V2.join(", ")}, ${times}, ${blocked}`;
    // Every public method in one immediate transaction; one inside another joins it.
    for (const name of Object.getOwnPropertyNames(Store.prototype)) {
      if (name === "constructor" || name.startsWith("_")) continue;
      const whole = this.db.transaction(this[name].bind(this)).immediate;
      const inside = this[name].bind(this);
      this[name] = (...values) => (this.db.inTransaction ? inside : whole)(...values);
    }
  }

  // Reading

  _all(sql, ...values) {
    try {
      return this.db.prepare(sql).all(...values);
    } catch (error) {
      throw new Refusal(`Query failed: ${error.message}`);
    }
  }

  _times(row) {
    if (this.v1) return row;
    for (const name of ["created_at", "updated_at", "archived_at"]) {
      if (row[name]) row[name] = `${row[name].replace(" ", "T")}Z`;
    }
    return row;
  }

  _tasks(rest, ...values) {
    return this._all(`SELECT ${this.fields} FROM tasks ${rest}`, ...values).map((row) => {
      row.tags = row.tags ? JSON.parse(row.tags) : [];
      if (!this.v1) row.is_currently_blocked = Boolean(row.is_currently_blocked);
      return this._times(row);
    });
  }

  _task(id, what = "Task") {
    return this._tasks("WHERE id = ?", id)[0] ?? refuse(`${what} not found: ${id}`);
  }

  _note(table, id) {
    const what = table === "comments" ? "Comment" : "Link";
    const row = this.db.prepare(`SELECT * FROM ${table} WHERE id = ?`).get(id);
    return row ? this._times(row) : refuse(`${what} not found: ${id}`);
  }

  notes(table, taskId) {
    const sql = `SELECT * FROM ${table} WHERE task_id = ? ORDER BY created_at ASC`;
    return this._all(sql, taskId).map((row) => this._times(row));
  }

  // Do several things in one transaction.
  whole(action) {
    return action();
  }

  getBareTask(id) {
    return this._task(id);
  }

  getTask(id) {
    return { ...this._task(id), comments: this.notes("comments", id), links: this.notes("links", id) };
  }

  getNote(table, id) {
    return this._note(table, id);
  }

  listTasks(filters = {}) {
    const where = [], values = [];
    const only = (condition, ...those) => (where.push(condition), values.push(...those));
    if (!filters.include_archived) only("archived_at IS NULL");
    if (filters.exclude_subtasks) only("parent_task_id IS NULL");
    for (const name of ["assigned_to", "queue_name", "parent_task_id"]) {
      if (filters[name] !== undefined) only(`${name} = ?`, filters[name]);
    }
    const statuses = filters.status === undefined ? [] : [filters.status].flat();
    if (statuses.length) only(`status IN (${marks(statuses)})`, ...statuses);
    const excluded = filters.exclude_status ?? [];
    if (excluded.length) only(`status NOT IN (${marks(excluded)})`, ...excluded);
    let sql = `${where.length ? `WHERE ${where.join(" AND ")}` : ""} ORDER BY priority DESC, created_at ASC`;
    // v1 knows no offset without a limit, which SQLite refuses.
    const limit = filters.limit || (this.v1 || !filters.offset ? null : -1);
    if (limit) (sql += " LIMIT ?"), values.push(limit);
    if (filters.offset) (sql += " OFFSET ?"), values.push(filters.offset);
    return this._tasks(sql, ...values);
  }

  getQueue(agent) {
    const rest = "WHERE assigned_to = ? AND status <> 'complete' AND archived_at IS NULL";
    return this._tasks(`${rest} ORDER BY priority DESC, created_at ASC`, agent);
  }

  getSubtasks(parentId, recursive, archived) {
    const children = this.listTasks({ parent_task_id: parentId, include_archived: archived });
    return recursive
      ? children.flatMap((child) => [child, ...this.getSubtasks(child.id, true, archived)])
      : children;
  }

  getTree(id, recursive) {
    const task = this._task(id);
    const subtasks = this.getSubtasks(id, recursive); // A flat list of all descendants.
    return { ...task, subtasks, subtask_count: subtasks.length };
  }

  listQueues() {
    const sql = "SELECT DISTINCT queue_name AS name FROM tasks WHERE queue_name IS NOT NULL AND archived_at IS NULL";
    return this._all(`${sql} ORDER BY queue_name`).map((row) => row.name);
  }

  queueTasks(queue, filters = {}) {
    return this.listTasks({ ...filters, queue_name: required(queue, NO_QUEUE) });
  }

  queueStats(queue) {
    const tasks = this.queueTasks(queue);
    const agents = tasks.flatMap((task) => task.assigned_to ?? []);
    const count = (status) => tasks.filter((task) => task.status === status).length;
    return {
      queue_name: queue,
      total_tasks: tasks.length,
      by_status: { idle: count("idle"), working: count("working"), complete: count("complete") },
      assigned: agents.length,
      unassigned: tasks.length - agents.length,
      agents: [...new Set(agents)].sort(),
    };
  }

  // Writing

  _insert(table, fields) {
    const names = Object.keys(fields);
    const sql = `INSERT INTO ${table} (${names.join(", ")}) VALUES (${marks(names)})`;
    return this.db.prepare(sql).run(...Object.values(fields)).lastInsertRowid;
  }

  _update(table, id, fields) {
    const sets = Object.keys(fields).map((name) => `${name} = ?`);
    if (table === "tasks") sets.push("updated_at = CURRENT_TIMESTAMP");
    this.db.prepare(`UPDATE ${table} SET ${sets.join(", ")} WHERE id = ?`).run(...Object.values(fields), id);
  }

  _stored(fields) {
    const stored = {};
    for (const [name, value] of Object.entries(fields)) {
      if (value !== undefined) stored[name] = name === "tags" ? JSON.stringify(value) : value;
    }
    for (const name of ["description", "assigned_to"]) if (stored[name] === "") stored[name] = null;
    if (stored.queue_name !== undefined && stored.queue_name !== null) required(stored.queue_name, NO_QUEUE);
    return stored;
  }

  _lineage(id) {
    return id === null || id === undefined
      ? []
      : [id, ...this._lineage(this.db.prepare("SELECT parent_task_id AS id FROM tasks WHERE id = ?").get(id)?.id)];
  }

  _rollUp(parentId) {
    if (this.v1) return;
    for (const id of this._lineage(parentId)) {
      const statuses = new Set(this.listTasks({ parent_task_id: id }).map((child) => child.status));
      if (!statuses.size) continue;
      const mixed = statuses.has("working") ? "working" : "idle";
      const status = statuses.size === 1 && statuses.has("complete") ? "complete" : mixed;
      if (this._task(id).status !== status) this._update("tasks", id, { status });
    }
  }

  _place(id, parentId) {
    this._task(parentId, "Parent task");
    const above = this._lineage(parentId);
    if (above.includes(id)) refuse("Cannot create circular parent-child relationship");
    const below = id === null ? [] : this.getSubtasks(id, true, true);
    const depth = Math.max(1, ...below.map((task) => this._lineage(task.id).indexOf(id) + 1));
    if (above.length + depth > LEVELS) refuse(`Maximum nesting depth of ${LEVELS} levels exceeded`);
  }

  createTask({ title, created_by, ...fields }) {
    fields = this._stored(fields);
    fields.title = required(title, "Task title is required").trim();
    if (!this.v1) required(created_by, "created_by is required");
    if (fields.parent_task_id !== undefined) {
      this._place(null, fields.parent_task_id);
      fields.queue_name ??= this._task(fields.parent_task_id).queue_name;
    }
    if ((fields.blocked_by_task_id ?? null) !== null) this._task(fields.blocked_by_task_id, "Blocking task");
    const id = this._insert("tasks", { ...fields, created_by: created_by ?? null });
    this._rollUp(fields.parent_task_id);
    return this._task(id);
  }

  updateTask({ id, ...fields }) {
    const before = this._task(id);
    fields = this._stored(fields);
    if (fields.title !== undefined) fields.title = required(fields.title, "Task title cannot be empty").trim();
    const blocker = fields.blocked_by_task_id;
    if (blocker === id) refuse("Task cannot be blocked by itself");
    if ((blocker ?? null) !== null && this._task(blocker, "Blocking task").blocked_by_task_id === id) {
      refuse("Cannot create circular blocking relationship");
    }
    if (typeof fields.parent_task_id === "number") this._place(id, fields.parent_task_id);
    const agent = fields.assigned_to;
    if (agent !== undefined && before.assigned_to !== null && agent !== before.assigned_to) {
      fields.previous_assigned_to = before.assigned_to;
    }
    this._update("tasks", id, fields);
    this._rollUp(before.parent_task_id);
    if (fields.parent_task_id !== undefined) this._rollUp(fields.parent_task_id);
    return this._task(id);
  }

  moveSubtask(id, parentId) {
    return this.updateTask({ id, parent_task_id: parentId });
  }

  addToQueue(id, queue) {
    return this.updateTask({ id, queue_name: queue });
  }

  moveToQueue(id, queue) {
    return this.updateTask({ id, queue_name: queue });
  }

  removeFromQueue(id) {
    return this.updateTask({ id, queue_name: null });
  }

  archiveTask(id) {
    const { parent_task_id } = this._task(id);
    this.db.prepare("UPDATE tasks SET archived_at = CURRENT_TIMESTAMP WHERE id = ?").run(id);
    this._rollUp(parent_task_id);
    return this._task(id);
  }

  deleteTask(id) {
    const { parent_task_id } = this._task(id);
    this.db.prepare("DELETE FROM tasks WHERE id = ?").run(id);
    this._rollUp(parent_task_id);
  }

  signUp(agent) {
    const [first] = this.listTasks({ assigned_to: agent, status: "idle", limit: 1 });
    if (!first) return null;
    this.updateTask({ id: first.id, status: "working" });
    return this.getTask(first.id);
  }

  moveTask({ task_id: id, current_agent, new_agent, comment }) {
    const task = this._task(id);
    if (task.assigned_to !== current_agent) {
      const holder = task.assigned_to ?? "unassigned";
      refuse(`Task ${id} is not assigned to ${current_agent} (currently assigned to: ${holder})`);
    }
    if (task.status === "complete") {
      refuse(`Task ${id} with status 'complete' cannot be transferred (only 'idle' or 'working' are allowed)`);
    }
    this._update("tasks", id, { assigned_to: new_agent, previous_assigned_to: current_agent, status: "idle" });
    this._rollUp(task.parent_task_id);
    const note = this._insert("comments", { task_id: id, content: comment, created_by: current_agent });
    return { task: this._task(id), comment: this._note("comments", note) };
  }

  clearQueue(queue) {
    const sql = "UPDATE tasks SET queue_name = NULL, updated_at = CURRENT_TIMESTAMP WHERE queue_name = ?";
    return this.db.prepare(sql).run(required(queue, NO_QUEUE)).changes;
  }

  addNote(table, { task_id, ...fields }) {
    this._task(task_id);
    if (table === "comments") required(fields.content, "Comment content is required");
    else required(fields.url, "Link URL is required");
    return this._note(table, this._insert(table, { task_id, ...fields }));
  }

  updateNote(table, { id, ...fields }) {
    this._note(table, id);
    if (table === "comments") required(fields.content, "Comment content cannot be empty");
    if (fields.url !== undefined) required(fields.url, "Link URL cannot be empty");
    if (Object.keys(fields).length) this._update(table, id, fields);
    if (table === "comments") {
      this.db.prepare("UPDATE comments SET updated_at = CURRENT_TIMESTAMP WHERE id = ?").run(id);
    }
    return this._note(table, id);
  }

  deleteNote(table, id) {
    this._note(table, id);
    this.db.prepare(`DELETE FROM ${table} WHERE id = ?`).run(id);
  }

  moveComment(id, taskId) {
    const { content, created_by } = this._note("comments", id);
    const moved = this.addNote("comments", { task_id: taskId, content, created_by });
    this.updateNote("comments", { id, content: `Comment moved to task ${taskId} comment ${moved.id}` });
    return moved;
  }
}
