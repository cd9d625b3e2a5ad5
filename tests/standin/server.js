// A stand-in of the TinyTask server for tests: v1 over SSE, v2 over Streamable HTTP or SSE with its REST twin,
// on the packages that TinyTask stands on, with the answers that were recorded from it.
//
//   node server.js --kind http|sse|v1 --db FILE [--port N] [--hub URL] [--group NAME]
//                  [--push-retry-ms 0,2000,10000,30000,5000] [--push-limit 10/10000,60/60000]
//
// v2 pushes its events to the SignalR hub that --hub or TINYTASK_SIGNALR_HUB_URL names, to all clients of the hub or to
// the group that --group or TINYTASK_SIGNALR_GROUP names. --push-retry-ms lists the delays before each new try to
// connect, of which the last is repeated; --push-limit lists how many events are sent in how many milliseconds.
// It prints its URL once it accepts connections, and ends when its standard input does.

import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";

import { Server } from "@modelcontextprotocol/sdk/server/index.js";
import { SSEServerTransport } from "@modelcontextprotocol/sdk/server/sse.js";
import { StreamableHTTPServerTransport } from "@modelcontextprotocol/sdk/server/streamableHttp.js";
import { CallToolRequestSchema, ListToolsRequestSchema } from "@modelcontextprotocol/sdk/types.js";
import express from "express";
import { z } from "zod";

import { pushing } from "./events.js";
import { Pusher } from "./push.js";
import { Refusal, Store } from "./store.js";

const { values: options } = parseArgs({
  options: {
    kind: { type: "string" },
    db: { type: "string" },
    port: { type: "string", default: "0" },
    hub: { type: "string", default: process.env.TINYTASK_SIGNALR_HUB_URL },
    group: { type: "string", default: process.env.TINYTASK_SIGNALR_GROUP },
    "push-retry-ms": { type: "string", default: "0,2000,10000,30000,5000" },
    "push-limit": { type: "string", default: "10/10000,60/60000" },
  },
});
const v1 = options.kind === "v1";
const store = openStore();
const recording = new URL(`../data/tinytask-${v1 ? "v1" : "v2"}.jsonl`, import.meta.url);
const published = JSON.parse(readFileSync(recording, "utf8").split("\n", 1)[0]).tools;

function openStore() {
  const store = new Store(options.db, v1);
  if (v1 || !options.hub) return store;
  const pusher = new Pusher({
    hub: options.hub,
    group: options.group,
    retries: options["push-retry-ms"].split(",").map(Number),
    limits: options["push-limit"].split(",").map((limit) => limit.split("/").map(Number)),
  });
  pusher.start();
  return pushing(store, (event) => pusher.push(event));
}

// What arguments a tool takes: as published, and what TinyTask accepts besides.

const STATUS = z.enum(["idle", "working", "complete"]);

function zodOf({ type, enum: words, items }) {
  if (words) return z.enum(words);
  if (Array.isArray(type)) return zodOf({ type: type[0] }).nullable();
  if (type === "array") return z.array(zodOf(items));
  if (type === "number") return v1 ? z.number() : z.coerce.number();
  return type === "boolean" ? z.boolean() : z.string();
}

function checkOf({ name, inputSchema }) {
  const shape = {};
  for (const [key, schema] of Object.entries(inputSchema.properties)) {
    shape[key] = inputSchema.required?.includes(key) ? zodOf(schema) : zodOf(schema).optional();
  }
  if (v1) return z.object(shape);
  if (name === "list_tasks" || name === "get_queue_tasks") {
    Object.assign(shape, {
      status: z.union([STATUS, z.array(STATUS)]).optional(),
      exclude_status: z.array(STATUS).optional(),
    });
  }
  if (name === "move_subtask") shape.new_parent_id = z.coerce.number().nullish();
  return /_(comment|link)s?$/.test(name) ? z.object(shape) : z.object(shape).strict();
}

const checks = new Map(published.map((tool) => [tool.name, checkOf(tool)]));

// The tools: what the text of their refusals begins with, and what they do.

const pretty = (value) => JSON.stringify(value, null, 2);
const counted = (name, records, about = {}) => ({ ...about, count: records.length, [name]: records });
const deleted = (what, id) => {
  const message = `${what} ${id} deleted successfully`;
  return v1 ? message : JSON.stringify({ success: true, message, id });
};
const transferred = (moved) => {
  const { task_id: id, current_agent, new_agent } = moved;
  const result = store.moveTask(moved);
  return v1 ? `Task #${id} transferred from ${current_agent} to ${new_agent}\n\n${pretty(store.getTask(id))}` : result;
};
const signedUp = (agent) => {
  const task = store.signUp(agent);
  return task
    ? `Task #${task.id} claimed and set to working status\n\n${pretty(task)}`
    : `No idle tasks available in queue for agent: ${agent}`;
};
const reparented = (id, parent = null) => {
  const task = store.moveSubtask(id, parent);
  return `Task #${id} moved to ${parent === null ? "top-level (no parent)" : `parent #${parent}`}\n\n${pretty(task)}`;
};
const inQueue = ({ queue_name, ...filters }) => {
  const tasks = store.queueTasks(queue_name, filters);
  return { queue_name, count: tasks.length, filters: { include_archived: false, ...filters }, tasks };
};

const TOOLS = {
  create_task: ["Error creating task: ", (a) => store.createTask(a)],
  update_task: ["Error updating task: ", (a) => store.updateTask(a)],
  get_task: ["", (a) => store.getTask(a.id)],
  delete_task: ["Error deleting task: ", (a) => (store.deleteTask(a.id), deleted("Task", a.id))],
  archive_task: ["Error archiving task: ", (a) => store.archiveTask(a.id)],
  list_tasks: ["Error listing tasks: ", (a) => counted("tasks", store.listTasks(a))],
  get_my_queue: ["", (a) => counted("tasks", store.getQueue(a.agent_name), { agent: a.agent_name })],
  signup_for_task: ["Error signing up for task: ", (a) => signedUp(a.agent_name)],
  move_task: [v1 ? "Error moving task: " : "", transferred],
  create_subtask: ["", (a) => store.createTask(a)],
  get_subtasks: [
    "",
    ({ parent_task_id, recursive = false, include_archived }) =>
      counted("subtasks", store.getSubtasks(parent_task_id, recursive, include_archived), { parent_task_id, recursive }),
  ],
  get_task_with_subtasks: ["", (a) => store.getTree(a.task_id, a.recursive)],
  move_subtask: ["Error moving subtask: ", (a) => reparented(a.subtask_id, a.new_parent_id)],
  list_queues: ["Error listing queues: ", () => counted("queues", store.listQueues())],
  get_queue_stats: ["Error getting queue stats: ", (a) => store.queueStats(a.queue_name)],
  add_task_to_queue: ["Error adding task to queue: ", (a) => store.addToQueue(a.task_id, a.queue_name)],
  remove_task_from_queue: ["Error removing task from queue: ", (a) => store.removeFromQueue(a.task_id)],
  move_task_to_queue: ["Error moving task to queue: ", (a) => store.moveToQueue(a.task_id, a.new_queue_name)],
  get_queue_tasks: ["Error getting queue tasks: ", inQueue],
  clear_queue: [
    "Error clearing queue: ",
    ({ queue_name }) => ({ queue_name, tasks_cleared: store.clearQueue(queue_name) }),
  ],
  add_comment: ["Error adding comment: ", (a) => store.addNote("comments", a)],
  update_comment: ["Error updating comment: ", (a) => store.updateNote("comments", a)],
  delete_comment: ["Error deleting comment: ", (a) => (store.deleteNote("comments", a.id), deleted("Comment", a.id))],
  list_comments: ["", ({ task_id }) => counted("comments", store.notes("comments", task_id), { task_id })],
  get_comment: ["", (a) => store.getNote("comments", a.id)],
  move_comment: ["Error moving comment: ", (a) => store.moveComment(a.comment_id, a.to_task_id)],
  add_link: ["Error adding link: ", (a) => store.addNote("links", a)],
  update_link: ["Error updating link: ", (a) => store.updateNote("links", a)],
  delete_link: ["Error deleting link: ", (a) => (store.deleteNote("links", a.id), deleted("Link", a.id))],
  list_links: ["", ({ task_id }) => counted("links", store.notes("links", task_id), { task_id })],
};

function respond(name, given) {
  if (!checks.has(name)) return [`Unknown tool: ${name}`, true];
  const [failure, tool] = TOOLS[name];
  const checked = checks.get(name).safeParse(given);
  if (!checked.success) return [`Error calling tool ${name}: ${pretty(checked.error.issues)}`, true];
  try {
    const value = tool(checked.data);
    return [typeof value === "string" ? value : pretty(value), false];
  } catch (error) {
    return [`${failure}${error.message}`, true];
  }
}

function session() {
  const server = new Server({ name: "tinytask", version: "1.0.0" }, { capabilities: { tools: {} } });
  server.setRequestHandler(ListToolsRequestSchema, () => ({ tools: published }));
  server.setRequestHandler(CallToolRequestSchema, ({ params }) => {
    const [text, isError] = respond(params.name, params.arguments ?? {});
    return { content: [{ type: "text", text }], isError };
  });
  return server;
}

// HTTP

const app = express();
app.get("/health", (_, response) => {
  response.json({ status: "healthy", ...(options.kind === "http" && { transport: "streamable-http" }) });
});
// v2 reads every body with express.json, whose limit of 100 kB ends as an error of the server.
if (!v1) app.use(express.json());

if (options.kind === "http") {
  app.all("/mcp", async (request, response) => {
    const server = session();
    const transport = new StreamableHTTPServerTransport({ sessionIdGenerator: undefined });
    response.on("close", () => server.close());
    await server.connect(transport);
    await transport.handleRequest(request, response, request.body);
  });
} else {
  const transports = new Map();
  app.get("/mcp", async (_, response) => {
    const transport = new SSEServerTransport("/mcp", response);
    transports.set(transport.sessionId, transport);
    response.on("close", () => transports.delete(transport.sessionId));
    await session().connect(transport);
  });
  app.post("/mcp", async (request, response) => {
    const id = request.query.sessionId;
    if (!id) return response.status(400).json({ error: "Missing session ID" });
    const transport = transports.get(id);
    if (!transport) return response.status(404).json({ error: "Session not found" });
    await transport.handlePostMessage(request, response, request.body);
  });
}

const WHOLE = z.coerce.number().int().nonnegative().optional();
const QUERY = z.object({
  status: z.string().transform((words) => words.split(",")).pipe(z.array(STATUS)).optional(),
  assigned_to: z.string().optional(),
  queue_name: z.string().optional(),
  parent_task_id: WHOLE,
  include_archived: z.string().transform((word) => word === "true").optional(),
  exclude_subtasks: z.string().transform((word) => word === "true").optional(),
  limit: WHOLE,
  offset: WHOLE,
});

if (!v1) {
  app.use("/api/v1", (_, response, next) => {
    response.set("Access-Control-Allow-Origin", "*");
    next();
  });
  app.get("/api/v1/tasks", (request, response) => {
    const query = QUERY.safeParse(request.query);
    if (query.success) response.json(store.listTasks(query.data));
    else response.status(400).json({ error: query.error.issues[0].message });
  });
  app.get("/api/v1/tasks/:id", (request, response) => {
    try {
      response.json(store.getTask(Number(request.params.id)));
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      response.status(404).json({ error: `Task ${request.params.id} not found` });
    }
  });
}

app.use((error, _, response, next) => {
  if (response.headersSent) next(error);
  else response.status(500).json({ error: "Internal server error" });
});

const listener = app.listen(Number(options.port), "127.0.0.1", () => {
  console.log(`http://127.0.0.1:${listener.address().port}`);
});
process.stdin.resume().on("end", () => process.exit());
