// The filter line: what is set, what could be, and how many tasks pass.

import { chooser, removable, WORDS } from "./chooser.js";
import { count, make } from "./dom.js";
import { counted } from "./facets.js";
import { CHOICES, NO_FILTER, normal, toggled } from "./filter.js";
import { menu } from "./menus.js";
import { priorities, rangeInWords } from "./priorities.js";
import { STATUSES } from "./rows.js";

// All that is active, in words, for who does not see the line.
export function active(filter) {
  const { ids, statuses, priority } = filter;
  return [
    statuses.length && `status ${STATUSES.filter((status) => statuses.includes(status)).join(" or ")}`,
    ...CHOICES.map(([key, one]) => filter[key].length && `${one.toLowerCase()} ${filter[key].map(WORDS[key]).join(" or ")}`),
    priority.some((edge) => edge != null) && `priority ${rangeInWords(priority)}`,
    ids.length && chosenTasks(ids),
  ].filter(Boolean);
}
const chosenTasks = (ids) => (ids.length === 1 ? `#${ids[0]}` : `${count(ids.length)} chosen tasks`);

function statusToggles({ view, choose }) {
  const nodes = STATUSES.map((status) => make("button",
    { type: "button", class: "calypso-toggle", "data-status": status,
      onclick: () => choose({ statuses: toggled(view.filter.statuses, status) }) },
    make("span", { class: "calypso-swatch" }), status));
  const show = () => nodes.forEach((node) => node.setAttribute("aria-pressed", view.filter.statuses.includes(node.dataset.status)));
  return { nodes, show };
}

// The toggles say beside their names how many tasks each would show.
function statuses(context) {
  const { nodes, show: mark, destroy } = (context.hosted?.statuses ?? statusToggles)(context);
  const group = make("div", { class: "calypso-toggles", role: "group", "aria-label": "Status" }, ...nodes);
  const { whole, set } = removable("statuses", "status", group, context, nodes[0]);
  const show = () => {
    mark();
    set(context.view.filter.statuses.length > 0);
    const counts = counted(context, "statuses", (row) => [row.status]);
    for (const node of nodes) node.dataset.count = count(counts.get(node.dataset.status) ?? 0);
  };
  return { node: whole, show, destroy };
}

// Tasks that were chosen by their numbers, such as by a bar of a chart.
function chosen(context) {
  const text = make("span", { class: "calypso-chip" });
  const { whole, set } = removable("ids", "number", text, context);
  const show = () => {
    const { ids } = context.view.filter;
    whole.hidden = !ids.length;
    set(ids.length > 0);
    text.textContent = chosenTasks(ids);
  };
  return { node: whole, show };
}

// Offers the filters that do not stand in the line yet.
function adding(choosers) {
  const list = make("div", { class: "calypso-choices" });
  const pick = (field) => {
    node.open = false;
    field.node.hidden = false;
    field.open();
  };
  const opened = () => {
    const offered = choosers.filter((field) => field.node.hidden && field.fits());
    list.replaceChildren(...offered.map((field) => make("button", { type: "button", class: "calypso-item", onclick: () => pick(field) }, field.name)),
      ...(offered.length ? [] : [make("p", {}, "There is nothing else to filter by")]));
  };
  const { node } = menu("+ Filter", [list], { kind: "calypso-adding", opened });
  return node;
}

export function controls(host, context) {
  const { view, choose, hosted } = context;
  const status = statuses(context);
  const choosers = [...CHOICES.map((choice) => (hosted?.[choice[0]] ?? ((given) => chooser(choice, given)))(context)), priorities(context)];
  const [agents, ...others] = choosers;
  const ids = chosen(context);
  const clear = make("button", { type: "button", class: "calypso-clear", onclick: () => choose({ ...NO_FILTER, ...view.payload.filter }) }, "Reset to default");
  const shown = make("span", { class: "calypso-shown", role: "status" });
  const bar = make("div", { class: "calypso-bar", role: "group", "aria-label": "Filters" },
    status.node, agents.node, ...others.map(({ node }) => node), ids.node, adding(others), clear);
  const fold = make("button", { type: "button", class: "calypso-fold", "aria-expanded": "false", onclick: () => unfold(!host.classList.contains("calypso-unfolded")) });
  const unfold = (wide) => {
    host.classList.toggle("calypso-unfolded", wide);
    fold.setAttribute("aria-expanded", String(wide));
  };
  host.append(fold, bar, shown);

  // Only what is in use stands in the line.
  const tidy = () => others.forEach(({ key, node, menu }) => { node.hidden = !menu.open && String(view.filter[key]) === String(NO_FILTER[key]); });
  others.forEach(({ menu: node }) => node.addEventListener("toggle", tidy));
  const load = () => choosers.forEach((part) => part.load());
  const show = (indices) => {
    [status, ...choosers, ids].forEach((part) => part.show());
    tidy();
    const now = active(view.filter);
    clear.disabled = JSON.stringify(view.filter) === JSON.stringify(normal(view.payload.filter));
    shown.textContent = `${count(indices.length)} of ${count(view.rows.length)} tasks`;
    shown.title = now.join("; ");
    fold.textContent = now.length ? `Filters: ${now.length} ▾` : "Filters ▾";
  };
  return { load, show, destroy: () => [status, ...choosers].forEach((part) => part.destroy?.()) };
}
