// What an agent did last, and what happened to its tasks, by the history that the dashboard has.

import { make, said } from "./dom.js";
import { happened } from "./happened.js";
import { replaceLines } from "./keyed.js";

export function agentHistory(context) {
  const { later, live, view } = context;
  const problem = make("p", { class: "calypso-why", role: "status" });
  const list = make("ol", { class: "calypso-happened", "aria-label": "History" });
  const node = make("section", { class: "calypso-agent-history" }, make("h4", { title: "What it did, and what happened to the tasks that it has" }, "History"), problem, list);
  let [asked, of] = [null, null];
  // What the lines are about: the agent, and its tasks as they are.
  const state = (agent) => JSON.stringify([agent, ...view.rows.filter((row) => row.agent === agent).map(({ id, updated_at, comments }) => [id, updated_at, comments])]);
  const read = async (agent) => {
    const about = asked;
    try {
      const { lines } = await live.ask("agent", { agent });
      if (about !== asked) return;
      problem.textContent = lines.length ? "" : "Nothing is recorded yet";
      replaceLines(list, lines.map((line) => happened(context, line)));
    } catch (error) {
      if (about !== asked) return;
      asked = null;
      problem.replaceChildren(said(error.message));
    }
  };
  const show = (agent) => {
    node.hidden = !live?.news().liveness;
    if (node.hidden) return;
    const now = state(agent);
    if (asked === now) return;
    asked = now;
    if (of !== agent) {
      list.replaceChildren();
      problem.textContent = "Reading …";
    }
    of = agent;
    later(read(agent));
  };
  return { node, show };
}
