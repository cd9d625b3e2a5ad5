// The view of a workload that the exported page and the live dashboard share. It keeps one filter, filters
// the rows once, and shows the same rows in every tab, so that these cannot disagree.

import { rowOf } from "./actions.js";
import { clock } from "./clock.js";
import { make, printed } from "./dom.js";
import { normal, selected } from "./filter.js";
import { hands } from "./hands.js";
import { PARTS, PRINTED, TABS } from "./parts.js";
import { rowsOf } from "./rows.js";
import { selection } from "./selection.js";
import { FIRST } from "./state.js";

// options: filter (else the payload's), onFilter(filter) for what people choose, and, if a kernel answers,
// `live` (see widget.js) and `hosted` (see hosted.js). The view's `ready` resolves when all is drawn.
export function mount(el, payload, options = {}) {
  const root = make("div", { class: "calypso-parts" });
  el.replaceChildren(root);
  const reading = {};
  const view = { rows: rowsOf(payload, reading), filter: normal(options.filter ?? payload.filter), payload, ...FIRST, views: {} };
  // What passes but for some fields, for all parts that ask for the same.
  const passing = new Map();
  const passes = (fields) => {
    const key = fields.sort().join();
    if (!passing.has(key)) passing.set(key, selected(view.rows, view.filter, fields));
    return passing.get(key);
  };
  const setFilter = (filter) => {
    view.filter = normal(filter);
    passing.clear();
    Object.keys(parts).forEach((name) => stale.add(name));
    return redraw();
  };
  const choose = (change) => {
    const drawn = setFilter({ ...view.filter, ...change });
    options.onFilter?.(view.filter);
    return drawn;
  };
  // Shows a tab, and with `change` what the filter lets through there.
  const go = (tab, change) => {
    view.tab = root.dataset.tab = tab;
    Object.values(parts).forEach((part) => part.tab?.(tab));
    return change ? choose(change) : redraw();
  };
  // What a kernel is asked for, which may be busy: `ready` waits for it, and nothing that is drawn meanwhile.
  let asked = Promise.resolve();
  const later = (promise) => {
    asked = Promise.all([asked, promise]);
    view.ready = Promise.all([view.ready, asked]);
  };
  const redraw = () => {
    view.ready = show().then(() => asked);
    view.ready.catch(failed);
    return view.ready;
  };
  const context = {
    view, root, choose, go, later, live: options.live, hosted: options.hosted,
    parts: () => parts,
    // The row of a task, by its number.
    row: (id) => view.rows[view.places.get(id)],
    // The positions of the rows that pass the filter but for some of its fields, which a choice in them would add.
    without: (...fields) => passes(fields),
    // What is known of a task, whether it is shown or only mentioned.
    known: (id) => context.row(id) ?? (view.payload.others[id] && rowOf(view.payload.others[id])),
    // Opens a task in the drawer; list() has the tasks that it goes on to.
    open: (id, list) => parts.task.open(id, list),
    // A moment in words.
    clock: clock(() => { parts.task.turned(); Object.values(parts).forEach((part) => part.tell?.()); setFilter(view.filter); }),
    selection: selection(() => Object.values(parts).forEach((part) => part.selected?.())),
  };
  // What a supervisor can do; nothing without a kernel, and nothing with a database file.
  context.hands = options.live && options.live.acts !== false ? hands(context) : undefined;
  // Before its parts do the same: they find in the view that it is printed.
  const unprint = printed(() => { view.printing = true; redraw(); }, () => { view.printing = false; });
  const place = () => { view.places = new Map(view.rows.map(({ id }, i) => [id, i])); };

  const places = { head: root.appendChild(make("header", { class: "calypso-head" })) };
  for (const [name, label] of Object.entries(TABS)) {
    places[name] = root.appendChild(make("section", { class: "calypso-panel", "data-panel": name, role: "tabpanel", "aria-label": label, tabindex: -1 },
      make("h2", { class: "calypso-unseen" }, label)));
  }
  const makers = Object.entries(PARTS).filter(([, { live }]) => !live || options.live);
  const parts = Object.fromEntries(makers.map(([name, { make: maker, place: where }]) =>
    [name, maker((places[where] ?? root).appendChild(make("section", { class: `calypso-${name}` })), context)]));

  // What is not in sight is drawn when somebody looks at it: `stale` are the parts that show something older.
  const stale = new Set();
  const inSight = (name) => [undefined, "head", view.tab, ...(view.printing ? PRINTED : [])].includes(PARTS[name].place);
  const draw = async () => {
    const indices = (view.shown = selected(view.rows, view.filter));
    const drawn = [...stale].filter(inSight);
    drawn.forEach((name) => stale.delete(name));
    await Promise.all(drawn.map((name) => parts[name].show?.(indices)));
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
  const load = () => {
    place();
    passing.clear();
    context.hands?.follow();
    context.selection.keep((id) => view.places.has(id));
    Object.keys(parts).forEach((name) => stale.add(name));
    view.ready = Promise.all(Object.values(parts).map((part) => part.load?.())).then(redraw);
    return view.ready;
  };
  const handle = {
    setFilter,
    choose,
    go,
    open: context.open,
    parts: context.parts,
    hands: context.hands,
    // Shows a new payload; `change` is what differs from the last one (delta.js), if that is known.
    update(next, change) {
      const before = view.rows;
      Object.assign(view, { payload: next, rows: rowsOf(next, reading, before, change) });
      if (!change?.aged || view.rows !== before) return load().catch(failed);
      passing.clear();
      Object.keys(parts).forEach((name) => stale.add(name));
      return redraw();
    },
    // The numbers of the tasks whose rows are in sight.
    visible: () => parts.table.visible?.() ?? [],
    tell: () => Object.values(parts).forEach((part) => part.tell?.()),
    destroy() {
      unprint();
      Object.values(parts).forEach((part) => part.destroy?.());
      context.hands?.destroy();
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
  root.dataset.tab = view.tab;
  load().catch(failed);
  return handle;
}
