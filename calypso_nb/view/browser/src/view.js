// The view of a workload that the exported page and the live dashboard share. It keeps one filter, filters
// the rows once, and shows the same rows in numbers, charts and table, so that these cannot disagree.

import { make } from "./dom.js";
import { normal, selected } from "./filter.js";
import { PARTS } from "./parts.js";
import { rowsOf } from "./rows.js";

// options: filter (else the payload's), onFilter(filter) for what people choose, and, if a kernel answers,
// `live` (see widget.js) and `hosted` (see hosted.js). The view's `ready` resolves when all is drawn.
export function mount(el, payload, options = {}) {
  const root = make("div", { class: "calypso-parts" });
  el.replaceChildren(root);
  const view = { rows: rowsOf(payload), filter: normal(options.filter ?? payload.filter), payload, views: {} };
  const setFilter = (filter) => {
    view.filter = normal(filter);
    view.ready = show();
    view.ready.catch(failed);
    return view.ready;
  };
  const choose = (change) => {
    const drawn = setFilter({ ...view.filter, ...change });
    options.onFilter?.(view.filter);
    return drawn;
  };
  const context = { view, choose, hosted: options.hosted, live: options.live, open: options.live && ((id) => parts.task.open(id)) };
  const makers = Object.entries(PARTS).filter(([, { live }]) => !live || options.live);
  const parts = Object.fromEntries(makers.map(([name, { make: maker }]) =>
    [name, maker(root.appendChild(make("section", { class: `calypso-${name}` })), context)]));

  const draw = async () => {
    const indices = (view.shown = selected(view.rows, view.filter));
    await Promise.all(Object.values(parts).map((part) => part.show?.(indices)));
  };
  let [drawing, again] = [null, false];
  // What is asked for while a drawing runs is drawn once after it, and not once for each key that was hit.
  const show = () => {
    again = true;
    return (drawing ??= (async () => {
      try {
        while (again) {
          again = false;
          await draw();
        }
      } finally {
        drawing = null;
      }
    })());
  };
  const load = () => (view.ready = Promise.all(Object.values(parts).map((part) => part.load?.())).then(show));
  const handle = {
    setFilter,
    choose,
    update(next) {
      Object.assign(view, { payload: next, rows: rowsOf(next) });
      return load().catch(failed);
    },
    tell: () => parts.refresh?.tell(),
    destroy() {
      Object.values(parts).forEach((part) => part.destroy?.());
      root.remove();
      delete el.__calypso;
    },
  };
  const note = make("p", { class: "calypso-note", role: "alert" });
  const failed = (error) => {
    note.textContent = `Charts and table could not be drawn: ${error.message}`;
    root.prepend(note);
  };
  el.__calypso = view;
  view.handle = handle;
  load().catch(failed);
  return handle;
}

