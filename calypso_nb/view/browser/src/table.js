// The table of tasks.

import DataTable from "datatables.net";
import { count, make, printed, visible } from "./dom.js";
import { UNASSIGNED } from "./rows.js";

const ESCAPES = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };
const escaped = (text) => String(text).replace(/[&<>"']/g, (char) => ESCAPES[char]);
const shortened = (text) => (text.length > 2000 ? `${text.slice(0, 2000)}…` : text);
const free = (text) => (text == null || text === "" ? "" : `<span dir="auto" title="${escaped(shortened(visible(text)))}">${escaped(visible(text))}</span>`);
const opening = (text, row) => `<button type="button" class="calypso-open" data-task="${row.id}" title="Open task #${row.id}">${free(text) || "(no title)"}</button>`;
const numeral = (number) => (number == null ? "–" : String(number));
const since = (field, time) => (_, row) => (row[field] == null ? "–" : `<span title="${row[time] ?? ""}">${row[field]}</span>`);

const columnsOf = (open) => [
  ["id", "#", "num", (id) => String(id)],
  ["title", "Title", "string", open ? opening : free],
  ["status", "Status", "string", (status) => `<span data-status="${escaped(status)}"><span class="calypso-swatch"></span>${escaped(status)}</span>`],
  ["agent", "Agent", "string", (agent) => (agent == null ? `<em>${UNASSIGNED}</em>` : free(agent))],
  ["priority", "Priority", "num", numeral],
  ["age_hours", "Age", "num", since("age", "created_at")],
  ["hours_since_update", "Last edit", "num", since("last_edit", "updated_at")],
  ["queue", "Queue", "string", free],
  ["tags", "Tags", "string", (tags) => free(tags.join(", "))],
  ["blocked_by", "Blocked by", "num", (id, row) => (id == null ? "" : `#${id}${row.blocked === false ? " (cleared)" : ""}`)],
  ["comments", "Comments", "num", numeral],
  ["links", "Links", "num", numeral],
];

// DataTables puts into innerHTML what it shows, and also what it searches: both are escaped here.
const column = ([data, title, type, html]) => ({
  data, title, type, className: `calypso-${data}`,
  render: (value, purpose, row) => {
    if (purpose === "display") return html(value, row);
    const plain = Array.isArray(value) ? value.join(", ") : value ?? "";
    return purpose === "filter" ? escaped(plain) : plain;
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
