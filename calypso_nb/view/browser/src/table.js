// The table of tasks.

import DataTable from "datatables.net";
import { count, make, printed, visible } from "./dom.js";
import { UNASSIGNED } from "./rows.js";

const shortened = (text) => (text.length > 2000 ? `${text.slice(0, 2000)}…` : text);
const free = (text) => {
  if (text == null || text === "") return "";
  const seen = visible(text);
  return make("span", { dir: "auto", title: shortened(seen) }, seen);
};
const opening = (text, { id }) => make("button", { type: "button", class: "calypso-open", "data-task": id, title: `Open task #${id}` }, free(text) || "(no title)");
const numeral = (number) => (number == null ? "–" : String(number));
const since = (field, time) => (_, row) => (row[field] == null ? "–" : make("span", { title: row[time] }, row[field]));

const columnsOf = (open) => [
  ["id", "#", "num", (id) => String(id)],
  ["title", "Title", "string", open ? opening : free],
  ["status", "Status", "string", (status) => make("span", { "data-status": status }, make("span", { class: "calypso-swatch" }), status)],
  ["agent", "Agent", "string", (agent) => (agent == null ? make("em", {}, UNASSIGNED) : free(agent))],
  ["priority", "Priority", "num", numeral],
  ["age_hours", "Age", "num", since("age", "created_at")],
  ["hours_since_update", "Last edit", "num", since("last_edit", "updated_at")],
  ["queue", "Queue", "string", free],
  ["tags", "Tags", "string", (tags) => free(tags.join(", "))],
  ["blocked_by", "Blocked by", "num", (id, row) => (id == null ? "" : `#${id}${row.blocked === false ? " (cleared)" : ""}`)],
  ["comments", "Comments", "num", numeral],
  ["links", "Links", "num", numeral],
];

// DataTables puts a text into the HTML of a cell, but a node as it is. A text that it searches it reads as HTML, to
// know what entities in it stand for, if there is an ampersand in it.
const ESCAPES = { "&": "&amp;", "<": "&lt;" };
const column = ([data, title, type, shown]) => ({
  data, title, type, className: `calypso-${data}`,
  render: (value, purpose, row) => {
    if (purpose === "display") {
      const node = shown(value, row);
      return typeof node === "string" ? document.createTextNode(node) : node;
    }
    const plain = Array.isArray(value) ? value.join(", ") : value ?? "";
    return purpose === "filter" ? String(plain).replace(/[&<]/g, (char) => ESCAPES[char]) : plain;
  },
});

const PRINTED_ROWS = 500;

export function table(host, { view, open }) {
  const node = make("table", { class: "calypso-rows", "aria-label": "Tasks" });
  const body = make("div", { class: "calypso-table-body" }, node);
  const unprinted = make("p", { class: "calypso-unprinted" });
  host.append(make("h3", {}, "Tasks"), body, unprinted);
  node.addEventListener("click", (event) => {
    const button = event.target.closest("[data-task]");
    if (button) open?.(Number(button.dataset.task));
  });
  let shown = new Set();
  let stays = false;
  const load = () => {
    if (view.table) {
      stays = true;
      view.table.clear().rows.add(view.rows);
      return;
    }
    view.table = new DataTable(node, {
      data: view.rows, columns: columnsOf(open).map(column), order: [[4, "desc"], [5, "desc"]],
      autoWidth: false, deferRender: true, pageLength: 25, orderClasses: false,
      layout: { topStart: "info", topEnd: "search", bottomStart: "pageLength", bottomEnd: "paging" },
      language: { search: "Search table", lengthMenu: "_MENU_ per page", emptyTable: "No task", zeroRecords: "No task matches",
        info: "_START_ to _END_ of _TOTAL_ tasks", infoEmpty: "0 tasks", infoFiltered: "" },
    });
    view.table.search.fixed("calypso", (_text, _row, index) => shown.has(index));
  };
  const show = (indices) => {
    shown = new Set(indices);
    // New data leaves the reader on the page of the table where they are; a new filter begins with the first.
    const focused = document.activeElement?.closest?.("[data-task]")?.dataset.task;
    view.table?.draw(!stays);
    stays = false;
    if (focused && body.isConnected) node.querySelector(`[data-task="${focused}"]`)?.focus({ preventScroll: true });
  };
  // Paper has no pages to click through: all that the filter lets through is printed, up to a bound.
  let reading = null;
  const unprint = printed(() => {
    if (!view.table || reading) return;
    reading = { length: view.table.page.len(), page: view.table.page() };
    const left = view.table.page.info().recordsDisplay - PRINTED_ROWS;
    unprinted.textContent = left > 0 ? `… and ${count(left)} more tasks, which are not printed` : "";
    view.table.page.len(PRINTED_ROWS).draw();
  }, () => {
    if (reading) view.table.page.len(reading.length).page(reading.page).draw("page");
    reading = null;
  });
  return { load, show, destroy: () => { unprint(); view.table?.destroy(); } };
}
