// The controls of the filter, and what is active in words.

import { count, make, said } from "./dom.js";
import { CHOICES, NO_FILTER, searched, toggled } from "./filter.js";
import { STATUSES } from "./rows.js";

const SEARCHED_FROM = 12;
const SHOWN_AT_MOST = 200;
const WORDS = Object.fromEntries(CHOICES.map(([key, , , none]) => [key, (value) => value ?? none]));

// The values of a chooser as checkboxes: `fill` offers those with a text in them, `show` marks what is chosen.
function checkboxes(key, { view, choose }) {
  const words = WORDS[key];
  const node = make("div", { class: "calypso-choices" });
  const fill = (values, text) => {
    const chosen = view.filter[key];
    // What is chosen stays on offer, also when its last task has gone.
    const offered = [...new Set([...chosen, ...values])].filter((value) => words(value).toLowerCase().includes(text));
    node.replaceChildren(...offered.slice(0, SHOWN_AT_MOST).map((value) => {
      const box = make("input", { type: "checkbox", onchange: () => choose({ [key]: toggled(view.filter[key], value) }) });
      box.checked = chosen.includes(value);
      box.value_ = value;
      return make("label", { class: value == null && "calypso-none" }, box, said(words(value)));
    }));
    const left = offered.length - SHOWN_AT_MOST;
    if (left > 0) node.append(make("p", {}, `… and ${count(left)} more; search to find them`));
    if (!offered.length) node.append(make("p", {}, "No match"));
  };
  const show = () => node.querySelectorAll("input").forEach((box) => { box.checked = view.filter[key].includes(box.value_); });
  return { node, fill, show };
}

// Many values, of which several may be chosen: a list that opens, with a search where it is long.
export function chooser([key, one, many, , valuesOf], context, listOf = checkboxes) {
  const { view } = context;
  const summary = make("summary");
  const find = make("input", { type: "search", placeholder: `Search ${many.toLowerCase()}`, "aria-label": `Search ${many.toLowerCase()}` });
  const list = listOf(key, context);
  list.node.setAttribute("role", "group");
  list.node.setAttribute("aria-label", many);
  const node = make("details", { class: `calypso-chooser calypso-${key}` }, summary, make("div", { class: "calypso-popup" }, find, list.node));
  let values = [];

  const fill = () => list.fill(values, find.value.trim().toLowerCase());
  node.addEventListener("toggle", () => node.open && fill());
  find.addEventListener("input", fill);
  const load = () => {
    const all = new Set(view.rows.flatMap(valuesOf));
    const named = [...all].filter((value) => value != null);
    const inOrder = view.payload.ages?.filter((age) => all.has(age));
    values = key === "ages" && inOrder ? inOrder : named.sort(new Intl.Collator("en", { numeric: true }).compare);
    if (all.has(null)) values.push(null);
    node.hidden = key !== "agents" && values.length < 2 && !view.filter[key].length;
    find.hidden = values.length <= SEARCHED_FROM;
    if (node.open) fill();
  };
  const show = () => {
    const chosen = view.filter[key];
    node.classList.toggle("calypso-set", chosen.length > 0);
    if (chosen.length > 1) summary.replaceChildren(`${many}: ${chosen.length}`);
    else summary.replaceChildren(`${one}: `, chosen.length ? said(WORDS[key](chosen[0])) : "all");
    list.show();
  };
  return { node, summary, load, show, destroy: list.destroy };
}

function priorities({ view, choose }) {
  const bound = (value) => (value.trim() === "" || !Number.isFinite(Number(value)) ? null : Number(value));
  const change = () => choose({ priority: [bound(low.value), bound(high.value)] });
  const box = (label) => make("input", { type: "number", step: 1, "aria-label": label, oninput: change });
  const [low, high] = [box("Lowest priority"), box("Highest priority")];
  const node = make("span", { class: "calypso-priorities", role: "group", "aria-label": "Priority" }, "Priority", low, "to", high);
  const load = () => {
    const known = view.rows.map((row) => row.priority).filter((priority) => priority != null);
    low.placeholder = known.reduce((a, b) => Math.min(a, b), Infinity);
    high.placeholder = known.reduce((a, b) => Math.max(a, b), -Infinity);
    if (!known.length) low.placeholder = high.placeholder = "";
  };
  const show = () => [low, high].forEach((input, i) => {
    if (bound(input.value) !== view.filter.priority[i]) input.value = view.filter.priority[i] ?? "";
  });
  return { node, load, show };
}

// What is active, in words: the fields of the filter that a click on it clears, and its text.
function activeFilters(filter) {
  const [low, high] = filter.priority;
  const range = low === high ? low : low == null ? `up to ${high}` : high == null ? `from ${low}` : `${low} to ${high}`;
  return [
    filter.statuses.length && ["statuses", "status", STATUSES.filter((status) => filter.statuses.includes(status))],
    ...CHOICES.map(([key, one]) => filter[key].length && [key, one.toLowerCase(), filter[key].map(WORDS[key])]),
    (low != null || high != null) && ["priority", "priority", [String(range)]],
    searched(filter) && ["search", "title with", [`“${filter.search.trim()}”`]],
  ].filter(Boolean);
}

function statusToggles({ view, choose }) {
  const nodes = STATUSES.map((status) => make("button",
    { type: "button", class: "calypso-toggle", "data-status": status,
      onclick: () => choose({ statuses: toggled(view.filter.statuses, status) }) },
    make("span", { class: "calypso-swatch" }), status));
  const show = () => nodes.forEach((node) => node.setAttribute("aria-pressed", view.filter.statuses.includes(node.dataset.status)));
  return { nodes, show };
}

export function controls(host, context) {
  const { view, choose, hosted } = context;
  const statuses = (hosted?.statuses ?? statusToggles)(context);
  const choosers = CHOICES.map((choice) => (hosted?.[choice[0]] ?? ((given) => chooser(choice, given)))(context));
  const range = priorities(context);
  const search = make("input", { type: "search", placeholder: "Search titles", "aria-label": "Search task titles",
    oninput: () => choose({ search: search.value }) });
  const clear = make("button", { type: "button", class: "calypso-clear", onclick: () => choose(NO_FILTER) }, "Clear filters");
  const shown = make("span", { role: "status" });
  const chips = make("span", { class: "calypso-chips" });
  host.append(
    make("div", { class: "calypso-bar", role: "group", "aria-label": "Filters" },
      make("div", { class: "calypso-toggles", role: "group", "aria-label": "Status" }, ...statuses.nodes),
      ...choosers.map(({ node }) => node), range.node, search, clear),
    make("div", { class: "calypso-active" }, shown, chips));

  const close = (event) => choosers.forEach(({ node, summary }) => {
    if (!node.open || (event.type === "keydown" && event.key !== "Escape")) return;
    if (event.type === "pointerdown" && node.contains(event.target)) return;
    if (event.type === "keydown") summary.focus();
    node.open = false;
  });
  document.addEventListener("pointerdown", close);
  host.addEventListener("keydown", close);
  const load = () => [...choosers, range].forEach((part) => part.load?.());
  const show = (indices) => {
    const { filter, rows } = view;
    [statuses, ...choosers, range].forEach((part) => part.show());
    if (search.value !== filter.search) search.value = filter.search;
    const active = activeFilters(filter);
    clear.disabled = !active.length;
    shown.textContent = `${count(indices.length)} of ${count(rows.length)} tasks`;
    chips.replaceChildren(...active.map(([key, name, words]) => make("button",
      { type: "button", class: "calypso-chip", title: "Remove this filter", "data-filter": key,
        onclick: () => { choose({ [key]: NO_FILTER[key] }); search.focus(); } },
      `${name} `, ...words.flatMap((word, i) => [i ? " or " : "", said(word)]), make("span", { "aria-hidden": "true" }, " ×"))));
  };
  const destroy = () => {
    document.removeEventListener("pointerdown", close);
    [statuses, ...choosers].forEach((part) => part.destroy?.());
  };
  return { load, show, destroy };
}
