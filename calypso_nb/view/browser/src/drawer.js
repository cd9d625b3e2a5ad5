// What stands in the drawer of a task: what the server said of it, or what a row knows.

import { ACTIONS } from "./actions.js";
import { count, make, said, visible } from "./dom.js";
import { agentLink, taskLink } from "./links.js";
import { menu } from "./popover.js";

const MOST_COMMENTS = 100;
const MOST_NAMED = 50;
const FIRST = ["reassign", "comment", "set_idle", "complete", "archive", "restore"];
const SIGNS = { 3: "stuck", 2: "slow", 1: "to tidy up" };
const passage = (text) => make("p", { class: "calypso-passage", dir: "auto", tabindex: text.length > 2000 && 0 }, visible(text));

// Only what is plainly an address of the web becomes a link; all else that an agent wrote stays text.
function reference(url) {
  const web = /^https?:\/\/[^\s\u0000-\u001f\u007f\u200e\u200f\u202a-\u202e\u2066-\u2069]+$/i.test(url) && URL.canParse(url);
  return web ? make("a", { href: url, rel: "noopener noreferrer", target: "_blank", dir: "ltr" }, url) : said(url);
}

// A task as the server would have it, of what rows know; `partly` says so.
export function fromRows(id, { view, known }) {
  const row = known(id);
  if (!row) return null;
  const mention = (other) => other && { id: other.id, title: other.title, status: other.archived_at ? `${other.status}, archived` : other.status };
  const named = (number) => (number == null ? null : mention(known(number)) ?? { id: number, title: null, status: null });
  const needs = view.payload.attention.flatMap((line) => line.causes.filter(([, tasks]) => tasks.includes(id)).map(([reason]) => ({
    urgency: line.urgency, reason, cures: view.payload.cures[reason],
    evidence: line.about === "task" && line.causes.length === 1 ? line.evidence : view.payload.meanings[reason], to_do: line.causes.length === 1 ? line.to_do : "",
  })));
  return {
    partly: true, id, title: row.title, status: row.status, assigned_to: row.agent, priority: row.priority, queue_name: row.queue, tags: row.tags ?? [],
    created_at: row.created_at, updated_at: row.updated_at, archived_at: row.archived_at, is_currently_blocked: row.blocked, needs,
    blocker: named(row.blocked_by), parent: named(row.parent),
    holds_up: view.rows.filter((other) => other.blocked_by === id && other.is_open).map(mention),
    subtasks: view.rows.filter((other) => other.parent === id).map(mention),
  };
}

export function drawn(task, context, list) {
  const { open, hands, live, clock: moment } = context;
  const buttons = (names, ids = [task.id]) => hands?.buttons(names, ids) ?? [];
  const status = (text) => make("span", { class: "calypso-state", "data-status": text.split(",")[0] }, make("span", { class: "calypso-swatch" }), text);
  const head = [
    status(task.archived_at ? `${task.status}, archived ${moment(task.archived_at)}` : task.status),
    make("span", { class: "calypso-about-agent" }, agentLink(context, task.assigned_to || null)),
    task.priority == null ? "" : make("span", { class: "calypso-priority-chip", title: `Priority ${task.priority}` }, `P${task.priority}`),
    make("span", { class: "calypso-muted" }, `last edit ${moment(task.updated_at)}`),
  ];

  const need = ({ urgency, evidence, to_do, cures }) => make("li", { "data-urgency": urgency },
    make("span", { class: "calypso-sign", title: SIGNS[urgency] }, make("span", { class: "calypso-unseen" }, SIGNS[urgency])),
    make("span", { class: "calypso-need" }, make("span", { class: "calypso-why", dir: "auto" }, visible(to_do ? `${evidence} → ${to_do}` : evidence)), ...buttons(cures)));
  const part = (title, ...content) => make("section", {}, make("h4", {}, title), ...content);
  const items = (title, all, item) => all.length > 0 && part(title, make("ul", {}, ...all.slice(0, MOST_NAMED).map(item),
    ...(all.length > MOST_NAMED ? [make("li", {}, `… and ${count(all.length - MOST_NAMED)} more`)] : [])));
  const mention = (other) => make("li", {}, taskLink(other, open, list), other.status ? make("small", {}, ` ${other.status}`) : "");
  const link = ({ url, description }) => make("li", {}, reference(url ?? ""), description ? make("small", {}, " ", said(description)) : "");
  const remark = ({ content, created_by, created_at }) =>
    make("li", {}, make("small", {}, make("b", {}, said(created_by ?? "unknown author")), ` · ${moment(created_at)}`), passage(content ?? ""));
  const facts = [
    ["Queue", task.queue_name], ["Tags", task.tags.join(", ")], ["Before", task.previous_assigned_to],
    ["Created", `${moment(task.created_at)}${task.created_by == null ? "" : " by "}`, task.created_by],
  ].filter(([, value]) => value != null && value !== "");

  const comments = task.comments ?? [];
  const earlier = comments.length - MOST_COMMENTS;
  const missing = live ? "Reading the task …" : "Its description, comments and links are not in a page: a dashboard reads them from the server.";
  const body = [
    task.needs.length > 0 && make("ol", { class: "calypso-needs", "aria-label": "Why it needs attention" }, ...task.needs.map(need)),
    task.partly ? make("p", { class: "calypso-nothing-said" }, missing)
      : task.description ? passage(task.description) : make("p", { class: "calypso-nothing-said" }, "No description"),
    items(task.is_currently_blocked ? "Waits for" : "Waited for", task.blocker ? [task.blocker] : [], mention),
    items("Holds up", task.holds_up, mention),
    items("Part of", task.parent ? [task.parent] : [], mention),
    items("Subtasks", task.subtasks, mention),
    make("dl", { class: "calypso-about" }, ...facts.map(([name, value, who]) => make("div", {}, make("dt", {}, name), make("dd", {}, said(String(value)), who == null ? "" : said(who))))),
    items("Links", task.links ?? [], link),
    !task.partly && comments.length > 0 && part(`Comments: ${comments.length}`, earlier > 0 && make("p", {}, `the last ${MOST_COMMENTS}`),
      make("ul", { class: "calypso-remarks" }, ...comments.slice(-MOST_COMMENTS).map(remark))),
  ].filter(Boolean);

  const more = () => hands.offered(ACTIONS.filter((name) => !FIRST.includes(name)), [task.id]);
  const others = (at) => menu(hands.box, at, `More for #${task.id}`, more().map((name) => [buttons([name])[0].textContent, () => hands.act(name, [task.id], at)]));
  const actions = [...buttons(FIRST), hands && more().length > 0 && make("button",
    { type: "button", "data-menu": `drawer-${task.id}`, "aria-haspopup": "menu", onclick: ({ currentTarget }) => others(currentTarget) }, "More ▾")].filter(Boolean);
  return { head, body, actions };
}
