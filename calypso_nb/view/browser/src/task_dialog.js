// One task in full, and what a supervisor can do with it.

import { make, said, visible } from "./dom.js";
import { UNASSIGNED } from "./rows.js";

const moment = (iso) => (iso ? `${iso.slice(0, 10)} ${iso.slice(11, 16)} UTC` : "–");
const passage = (text) => make("p", { class: "calypso-passage", dir: "auto" }, visible(text));

// Only what is plainly an address of the web becomes a link; all else that an agent wrote stays text.
function reference(url) {
  const web = /^https?:\/\/[^\s\u0000-\u001f\u007f\u200e\u200f\u202a-\u202e\u2066-\u2069]+$/i.test(url) && URL.canParse(url);
  return web ? make("a", { href: url, rel: "noopener noreferrer", target: "_blank", dir: "ltr" }, url) : said(url);
}

export function taskDialog(host, { view, live }) {
  const dialog = make("dialog", { class: "calypso-dialog", "aria-labelledby": `calypso-task-${Math.random().toString(36).slice(2)}` });
  const body = make("div");
  const failure = make("p", { class: "calypso-error", role: "alert", hidden: true });
  const asking = make("div");
  const close = make("button", { type: "button", class: "calypso-close", "aria-label": "Close", onclick: () => dialog.close() }, "×");
  dialog.append(close, body, failure, asking);
  host.append(dialog);
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  let current = null;

  const fail = (error) => {
    failure.hidden = !error;
    failure.textContent = error ?? "";
  };
  const busy = (is) => dialog.querySelectorAll("button:not(.calypso-close), input, textarea").forEach((node) => { node.disabled = is; });
  const act = async (action, values = {}) => {
    const about = current;
    busy(true);
    fail(null);
    try {
      const task = await live.ask("act", { id: about, action, ...values });
      if (about === current) fill(task);
    } catch (error) {
      if (about === current) fail(error.message);
    } finally {
      busy(false);
    }
  };
  const ask = (action, question, yes) => {
    const go = make("button", { type: "button", class: "calypso-destroy", onclick: () => { asking.replaceChildren(); act(action); } }, yes);
    const no = make("button", { type: "button", onclick: () => asking.replaceChildren() }, "Cancel");
    asking.replaceChildren(make("div", { class: "calypso-asking", role: "alertdialog", "aria-label": question }, make("p", {}, question), go, no));
    no.focus();
  };
  const form = (title, action, button, fields, valuesOf) => make("form",
    { class: "calypso-form", onsubmit: (event) => { event.preventDefault(); act(action, valuesOf()); } },
    make("h4", {}, title), ...fields, make("button", { type: "submit" }, button));
  const area = (label, needed) => make("textarea", { rows: 2, required: needed, placeholder: label, "aria-label": label, dir: "auto" });

  const actions = (task) => {
    const names = [...new Set(view.rows.map((row) => row.agent))].filter((agent) => agent != null && agent !== task.assigned_to).sort();
    const listed = make("datalist", { id: `${dialog.getAttribute("aria-labelledby")}-agents` }, ...names.map((name) => make("option", { value: name })));
    const agent = make("input", { required: true, list: listed.id, placeholder: "New agent", "aria-label": "New agent", dir: "auto" });
    const handoff = area("What the new agent should know", task.assigned_to != null);
    const priority = make("input", { type: "number", step: 1, required: true, value: task.priority ?? 0, "aria-label": "Priority" });
    const comment = area("Comment", true);
    const simple = (name, press) => make("button", { type: "button", onclick: press }, name);
    return make("div", { class: "calypso-actions" },
      form("Reassign", "reassign", "Reassign", [agent, listed, handoff], () => ({ agent: agent.value, comment: handoff.value })),
      form("Priority", "priority", "Set priority", [priority], () => ({ priority: Number(priority.value) })),
      form("Comment", "comment", "Add comment", [comment], () => ({ comment: comment.value })),
      make("div", { class: "calypso-form" }, make("h4", {}, "Status"),
        task.status !== "idle" && simple("Requeue", () => act("requeue")),
        task.status !== "complete" && simple("Complete …", () => ask("complete", `Set #${task.id} complete? Tasks that wait for it can go on.`, "Complete it")),
        task.archived_at == null && simple("Archive …", () => ask("archive", `Archive #${task.id}? It disappears from every list and chart.`, "Archive it"))));
  };
  const mention = ({ id, title, status }) => make("li", {},
    make("button", { type: "button", class: "calypso-open", onclick: () => open(id) }, `#${id} `, said(title ?? "")),
    status ? make("small", {}, ` ${status}`) : "");
  const listing = (title, items) => items.length && make("section", {}, make("h4", {}, title), make("ul", {}, ...items));
  const remark = ({ content, created_by, created_at }) => make("li", {}, make("small", {}, said(created_by ?? "unknown author"), ` · ${moment(created_at)}`), passage(content ?? ""));

  const fill = (task) => {
    current = task.id;
    fail(null);
    asking.replaceChildren();
    const [comments, links] = [task.comments ?? [], task.links ?? []];
    const facts = [
      ["Status", task.archived_at ? `${task.status}, archived ${moment(task.archived_at)}` : task.status],
      ["Agent", task.assigned_to ?? UNASSIGNED], ["Before", task.previous_assigned_to], ["Priority", task.priority], ["Queue", task.queue_name],
      ["Tags", task.tags.join(", ")], ["Created", `${moment(task.created_at)}${task.created_by == null ? "" : " by "}`, task.created_by],
      ["Last edit", moment(task.updated_at)],
    ].filter(([, value]) => value != null && value !== "");
    body.replaceChildren(...[
      make("h3", { id: dialog.getAttribute("aria-labelledby"), tabindex: -1 }, `#${task.id} `, said(task.title ?? "")),
      make("dl", { class: "calypso-about" }, ...facts.map(([name, value, who]) => make("div", {}, make("dt", {}, name), make("dd", {}, said(String(value)), who == null ? "" : said(who))))),
      task.description ? passage(task.description) : make("p", { class: "calypso-nothing-said" }, "No description"),
      listing(task.is_currently_blocked ? "Waits for" : "Waited for", task.blocker ? [mention(task.blocker)] : []),
      listing("Holds up", task.holds_up.map(mention)),
      listing("Part of", task.parent ? [mention(task.parent)] : []),
      listing("Subtasks", task.subtasks.map(mention)),
      listing("Links", links.map(({ url, description }) => make("li", {}, reference(url ?? ""), description ? make("small", {}, " ", said(description)) : ""))),
      listing(`Comments: ${comments.length}`, comments.map(remark)),
      actions(task),
    ].filter(Boolean));
  };
  const open = async (id) => {
    current = id;
    fail(null);
    asking.replaceChildren();
    body.replaceChildren(make("h3", { id: dialog.getAttribute("aria-labelledby"), tabindex: -1 }, `#${id}`), make("p", {}, "Reading the task …"));
    if (!dialog.open) dialog.showModal();
    body.firstChild.focus();
    try {
      const task = await live.ask("task", { id });
      if (current === id) fill(task);
    } catch (error) {
      if (current !== id) return;
      body.lastChild.remove();
      fail(error.message);
    }
  };
  return { open, destroy: () => dialog.close() };
}
