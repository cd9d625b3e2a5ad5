// The choice of an agent: who there is, with how much in hand. A name that nobody has is asked about by the kernel.

import { make, visible } from "./dom.js";
import { limitOf } from "./rows.js";

const MOST = 60;
let pickers = 0;

// Who has how much, those first who have least in progress.
export function agentsOf({ rows, payload }) {
  const agents = new Map();
  for (const { agent, status, is_open } of rows) {
    if (agent == null) continue;
    const one = agents.get(agent) ?? { agent, working: 0, open: 0, limit: limitOf(payload, agent) };
    one.working += status === "working";
    one.open += is_open;
    agents.set(agent, one);
  }
  return [...agents.values()].sort((a, b) => a.working - b.working || a.open - b.open || (a.agent < b.agent ? -1 : 1));
}

// `chosen` is called with a click on a name, and with Enter on one.
export function picker(agents, chosen) {
  const id = `calypso-agents-${(pickers += 1)}`;
  const list = make("ul", { id, class: "calypso-agentlist", role: "listbox", "aria-label": "Agents" });
  const field = make("input", { name: "agent", required: true, placeholder: "Agent", "aria-label": "New agent", dir: "auto", autocomplete: "off",
    role: "combobox", "aria-expanded": "true", "aria-autocomplete": "list", "aria-controls": id });
  let [shown, active] = [[], -1];
  const mark = (number) => {
    active = number;
    shown.forEach(({ node }, i) => node.setAttribute("aria-selected", String(i === active)));
    if (active < 0) return field.removeAttribute("aria-activedescendant");
    field.setAttribute("aria-activedescendant", shown[active].node.id);
    shown[active].node.scrollIntoView({ block: "nearest" });
  };
  const take = (agent) => { field.value = agent; chosen(); };
  const option = ({ agent, working, open, limit }, i) => make("li", { role: "option", id: `${id}-${i}`, "aria-selected": "false", onclick: () => take(agent) },
    make("span", { dir: "auto" }, visible(agent)),
    make("small", { class: working >= limit && "calypso-full", title: `limit ${limit}` }, working ? `${working} in progress · ${open} open` : `free · ${open} open`));
  const fill = () => {
    const text = field.value.trim().toLowerCase();
    const found = agents.filter(({ agent }) => agent.toLowerCase().includes(text));
    shown = found.slice(0, MOST).map((one, i) => ({ agent: one.agent, node: option(one, i) }));
    const more = found.length - shown.length;
    list.replaceChildren(...shown.map(({ node }) => node), ...(more > 0 ? [make("li", { class: "calypso-more" }, `… and ${more} more: type to find them`)] : []));
    mark(-1);
  };
  field.addEventListener("input", fill);
  field.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step && shown.length) {
      event.preventDefault();
      mark((active + step + shown.length) % shown.length);
    } else if (event.key === "Enter" && active >= 0) {
      event.preventDefault();
      take(shown[active].agent);
    }
  });
  fill();
  return { field, list };
}
