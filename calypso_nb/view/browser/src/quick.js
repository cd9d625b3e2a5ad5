// The search, and what is always at hand beside it.

import { make } from "./dom.js";
import { numbered, searched } from "./filter.js";

export function quick(host, { view, choose, open, live, parts }) {
  const search = make("input", { type: "search", placeholder: "/  #id, title, agent, queue, tag", "aria-label": "Search tasks",
    oninput: () => choose({ search: search.value }) });
  const note = make("p", { class: "calypso-quick-note", role: "status", hidden: true });
  const known = (id) => view.places.has(id) || view.payload.others[id];
  // A number opens its task, whether the other filters let it through or not.
  search.addEventListener("keydown", ({ key }) => {
    const id = numbered(searched({ search: search.value }));
    if (key === "Enter" && id != null && (known(id) || live)) open(id);
  });
  const save = make("button", { type: "button", title: "Save what the filter lets through as CSV", onclick: () => parts().table.save() }, "CSV");
  host.append(search, note, save);
  // What there is to say of a number that nothing is shown for.
  const said = (id, shown) => {
    if (id == null || shown) return "";
    if (view.places.has(id)) return `#${id} is hidden by the filters: Enter opens it`;
    if (view.payload.others[id]) return `#${id} is ${view.payload.others[id].archived_at ? "archived" : "not among these tasks"}: Enter opens it`;
    return `There is no #${id} among these tasks${live ? ": Enter asks the server" : ""}`;
  };
  return {
    show: (indices) => {
      if (search.value !== view.filter.search) search.value = view.filter.search;
      note.textContent = said(numbered(searched(view.filter)), indices.length > 0);
      note.hidden = !note.textContent;
    },
    focus: () => { search.focus(); search.select(); },
  };
}
