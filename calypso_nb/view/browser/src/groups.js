// Queues and tags, a row each with its counts; a click on one filters by it.

import { count, make, visible } from "./dom.js";
import { CHOICES, picked } from "./filter.js";
import { keyed, refill } from "./keyed.js";
import { readableHours } from "./rows.js";

const SHOWN_AT_MOST = 200;
const MOST_LETTERS = 200;
const COUNTS = {
  open: ({ is_open }) => is_open, idle: ({ status }) => status === "idle", working: ({ status }) => status === "working",
  blocked: ({ is_open, blocked }) => (is_open ? blocked : false), unassigned: ({ is_open, agent }) => is_open && agent == null,
};
const HEADS = [...Object.keys(COUNTS), "oldest"];
// What is unknown of one task is unknown of all.
const added = (sum, one) => (sum == null || one == null ? null : sum + Number(one));

function groupsOf(rows, valuesOf) {
  const groups = new Map();
  for (const row of rows) {
    for (const value of new Set(valuesOf(row))) {
      const group = groups.get(value) ?? { value, oldest: null, ...Object.fromEntries(Object.keys(COUNTS).map((name) => [name, 0])) };
      groups.set(value, group);
      for (const [name, counts] of Object.entries(COUNTS)) group[name] = added(group[name], counts(row));
      if (row.is_open && row.age_hours != null) group.oldest = Math.max(group.oldest ?? row.age_hours, row.age_hours);
    }
  }
  return [...groups.values()].sort((a, b) => b.open - a.open);
}

function folded([key, one, many, none, valuesOf], { view, choose, without }) {
  const summary = make("summary");
  const body = make("tbody");
  const more = make("p", { class: "calypso-why" });
  const node = make("details", { class: "calypso-grouped" }, summary, make("table", { "aria-label": many },
    make("thead", {}, make("tr", {}, ...[one.toLowerCase(), ...HEADS].map((head) => make("th", { scope: "col" }, head)))), body), more);
  const draw = keyed(body, ({ value }) => value, ({ value }) => {
    const words = value == null ? none : visible(value.slice(0, MOST_LETTERS));
    const choosing = make("button", { type: "button", class: "calypso-open" }, value == null ? make("em", {}, words) : make("bdi", {}, words));
    const cells = HEADS.map(() => make("td"));
    const row = make("tr", {}, make("th", { scope: "row" }, choosing), ...cells);
    row.addEventListener("click", (event) => choose({ [key]: picked(view.filter[key], value, event.ctrlKey || event.shiftKey || event.metaKey) }));
    const show = (group) => {
      HEADS.forEach((head, i) => refill(cells[i], group[head], () => [group[head] == null ? "–" : head === "oldest" ? readableHours(group.oldest) : count(group[head])]));
      const chosen = view.filter[key].includes(value);
      choosing.setAttribute("aria-pressed", String(chosen));
      row.toggleAttribute("data-dimmed", view.filter[key].length > 0 && !chosen);
    };
    return { node: row, show };
  });
  const load = () => {
    const known = new Set(view.rows.flatMap(valuesOf)).size;
    node.hidden = !known;
    summary.textContent = `${many}: ${count(known)}`;
  };
  const show = () => {
    if (!node.open) return;
    const all = groupsOf(without(key).map((i) => view.rows[i]), valuesOf);
    draw(all.slice(0, SHOWN_AT_MOST));
    more.textContent = all.length > SHOWN_AT_MOST ? `… and ${count(all.length - SHOWN_AT_MOST)} more; a filter finds them` : "";
  };
  node.addEventListener("toggle", show);
  return { node, load, show };
}

export function groups(host, context) {
  const tables = CHOICES.filter(([key]) => key === "queues" || key === "tags").map((choice) => folded(choice, context));
  host.append(...tables.map(({ node }) => node));
  return { load: () => tables.forEach((table) => table.load()), show: () => tables.forEach((table) => table.show()) };
}
