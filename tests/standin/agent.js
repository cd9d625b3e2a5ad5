// A client that is not ours: an agent on the MCP SDK for Node that writes or claims tasks.
//
//   node agent.js URL write       write tasks "written 1", "written 2", … with a comment each, and take them on,
//                                 until standard input ends
//   node agent.js URL claim NAME  sign up as NAME until nothing is idle
//
// It prints the ids of the tasks that it wrote or claimed, as a JSON list.

import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { SSEClientTransport } from "@modelcontextprotocol/sdk/client/sse.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";

const [url, kind, name] = process.argv.slice(2);
const health = await (await fetch(`${url}/health`)).json();
const Transport = health.transport ? StreamableHTTPClientTransport : SSEClientTransport;
const client = new Client({ name: "agent", version: "1" });
await client.connect(new Transport(new URL(`${url}/mcp`)));

async function call(name, args) {
  const answer = await client.callTool({ name, arguments: args });
  if (answer.isError) throw new Error(answer.content[0].text);
  return answer.content[0].text;
}

const ids = [];
if (kind === "write") {
  let going = true;
  process.stdin.resume().on("end", () => (going = false));
  for (let number = 1; going; number += 1) {
    const { id } = JSON.parse(await call("create_task", { title: `written ${number}`, created_by: "agent" }));
    ids.push(id);
    await call("add_comment", { task_id: id, content: `comment on ${number}` });
    await call("update_task", { id, status: "working", assigned_to: `agent-${number % 3}` });
  }
} else {
  for (let text; !(text = await call("signup_for_task", { agent_name: name })).startsWith("No idle tasks"); ) {
    ids.push(Number(/^Task #(\d+) claimed/.exec(text)[1]));
  }
}
console.log(JSON.stringify(ids));
process.exit();
