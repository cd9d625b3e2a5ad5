// The address of a page says what is shown, so that it can be sent to somebody, and the browser's Back works. In the
// lab the address is not ours: the view alone keeps what is shown.

import { normal } from "./filter.js";
import { stateOf, textOf } from "./state.js";

// Whether this view is the first of a page that we have made.
export const ownsPage = ({ root, live }) => !live && document.documentElement.dataset.calypso != null && document.querySelector(".calypso-parts") === root;

export function address(_host, context) {
  const { view, root, go, parts } = context;
  let [last, owns, wanted, following] = ["", false, null, false];
  const opened = () => parts().agents.opened?.() ?? null;
  const shown = () => ({ tab: view.tab, filter: view.filter, sort: view.sort, group: view.group, page: view.tab === "agents" ? opened() : null });
  const text = () => textOf(shown(), view.payload.filter);
  const withoutSearch = (said) => said.replace(/(^|&)search=[^&]*/, "");
  // Writes down what is shown. While somebody types a search, that is one step for Back and not one for each letter.
  const note = () => {
    const now = text();
    if (!owns || following || now == null || now === last) return;
    const way = withoutSearch(now) === withoutSearch(last) && last.includes("search=") ? "replaceState" : "pushState";
    history[way](null, "", `#${now}`);
    last = now;
  };
  const set = (state) => Object.assign(view, { sort: state.sort, group: state.group });
  // Shows what a text says; false if it says nothing of a view.
  const apply = (said) => {
    const state = stateOf(said, view.payload.filter);
    if (!state) return false;
    set(state);
    const drawn = go(state.tab, state.filter);
    if (state.page !== opened()) parts().agents.open?.(state.page);
    note();
    return drawn;
  };
  const follow = () => {
    const said = location.hash.slice(1);
    if (said === last || !stateOf(said, view.payload.filter)) return;
    following = true;
    apply(said);
    following = false;
    last = text() ?? said;
  };
  const load = () => {
    if (owns || !ownsPage(context)) return;
    owns = true;
    addEventListener("hashchange", follow);
    const state = stateOf(location.hash.slice(1), view.payload.filter);
    if (!state || !location.hash) return;
    set(state);
    Object.assign(view, { filter: normal(state.filter), tab: state.tab });
    root.dataset.tab = state.tab;
    wanted = state.page;
    last = text();
  };
  const show = () => {
    if (wanted != null) parts().agents.open?.(wanted);
    wanted = null;
    note();
  };
  root.addEventListener("click", () => note());
  return { load, show, note, text, apply, destroy: () => removeEventListener("hashchange", follow) };
}
