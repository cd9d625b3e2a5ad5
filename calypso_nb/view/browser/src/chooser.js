// A filter by values of which several can be chosen: a menu with a search where it is long.

import { make, said } from "./dom.js";
import { checkboxes, counted } from "./facets.js";
import { CHOICES, NO_FILTER } from "./filter.js";
import { menu } from "./menus.js";

const SEARCHED_FROM = 12;
const { compare } = new Intl.Collator("en", { numeric: true });

const wordsFor = (none) => (value) => (value === true ? "yes" : value === false ? "no" : value ?? none);
export const WORDS = Object.fromEntries(CHOICES.map(([key, , , none]) => [key, wordsFor(none)]));

// What takes a filter away again stands beside it while it is set. Then the focus goes to `next`, or to where filters
// are added, as this one leaves the line.
export function removable(key, name, node, { choose, root }, next) {
  const whole = make("span", { class: "calypso-field" }, node);
  const remove = make("button", { type: "button", class: "calypso-remove", "data-filter": key, title: `Remove the filter by ${name}`, "aria-label": `Remove the filter by ${name}`,
    onclick: () => { choose({ [key]: NO_FILTER[key] }); (next ?? root.querySelector(".calypso-adding summary")).focus(); } }, "×");
  const set = (is) => {
    whole.classList.toggle("calypso-set", is);
    if (!is) remove.remove();
    else if (!remove.isConnected) whole.append(remove);
  };
  return { whole, set };
}

// `listOf` makes the list of its values, which the lab has an ipywidget for.
export function chooser([key, one, many, , valuesOf], context, listOf = checkboxes) {
  const { view } = context;
  const find = make("input", { type: "search", placeholder: `Search ${many.toLowerCase()}`, "aria-label": `Search ${many.toLowerCase()}` });
  const list = listOf(key, WORDS[key], context);
  list.node.setAttribute("role", "group");
  list.node.setAttribute("aria-label", many);
  let values = [];
  const recount = () => list.show(counted(context, key, valuesOf));
  const fill = () => {
    list.fill(values, find.value.trim().toLowerCase());
    recount();
  };
  const { node, summary, open } = menu(one, [find, list.node], { kind: `calypso-chooser calypso-${key}`, opened: fill });
  const { whole, set } = removable(key, one.toLowerCase(), node, context, key === "agents" ? summary : null);
  find.addEventListener("input", fill);
  const load = () => {
    const all = new Set(view.rows.flatMap(valuesOf));
    const named = [...all].filter((value) => value != null);
    values = key === "ages" ? view.payload.ages.map(([age]) => age).filter((age) => all.has(age)) : named.sort(compare);
    if (all.has(null)) values.push(null);
    find.hidden = values.length <= SEARCHED_FROM;
    if (node.open) fill();
  };
  const show = () => {
    const chosen = view.filter[key];
    set(chosen.length > 0);
    if (chosen.length > 1) summary.replaceChildren(`${many}: ${chosen.length}`);
    else summary.replaceChildren(`${one}: `, chosen.length ? said(WORDS[key](chosen[0])) : "any");
    if (node.open) recount();
  };
  const fits = () => values.length > 1;
  return { key, name: one, node: whole, menu: node, open, load, show, fits, destroy: list.destroy };
}
