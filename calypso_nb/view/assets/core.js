// The view of a workload that the exported page and the live dashboard share. It keeps one filter, filters
// the rows once, and shows the same rows in numbers, charts and table, so that these cannot disagree.

const UNASSIGNED = "(unassigned)";
const STATUSES = ["idle", "working", "complete"];
const loaded = (globalThis.__calypsoLibraries ??= new Map());

// ---- libraries: gzipped text in the document, loaded once however many views there are

export function loadLibraries(text) {
  const { key, vega, datatables } = JSON.parse(text);
  if (!loaded.has(key)) {
    loaded.set(key, Promise.all([importPacked(vega), importPacked(datatables)]).then(
      ([{ vegaEmbed }, { default: DataTable }]) => ({ vegaEmbed, DataTable })));
  }
  return loaded.get(key);
}

async function importPacked(base64) {
  const bytes = Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
  const source = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const code = new Blob([await new Response(source).blob()], { type: "text/javascript" });
  const url = URL.createObjectURL(code);
  return import(url).finally(() => URL.revokeObjectURL(url));
}

// ---- the view

// options: libraries (their text), filter (else the payload's), onFilter(filter) for what people choose, and,
// where a kernel answers, `live` (see widget.js) and `hosted` (see hosted.js). Numbers and controls show at
// once; `ready` resolves when charts and table are drawn as well.
export function mount(el, payload, options = {}) {
  const root = make("div", { class: "calypso-parts" });
  el.replaceChildren(root);
  const view = { rows: rowsOf(payload), filter: normal(options.filter ?? payload.filter), payload, views: {} };
  const libraries = Promise.resolve(options.libraries).then(loadLibraries);
  const setFilter = (filter) => {
    view.filter = normal(filter);
    return (view.ready = show());
  };
  const choose = (change) => {
    const drawn = setFilter({ ...view.filter, ...change });
    options.onFilter?.(view.filter);
    return drawn;
  };
  const context = { view, libraries, choose, hosted: options.hosted, live: options.live, open: options.live && ((id) => opened.open(id)) };
  const makers = Object.entries(PARTS).filter(([, { live }]) => !live || options.live);
  const parts = Object.fromEntries(makers.map(([name, { make: maker }]) =>
    [name, maker(root.appendChild(make("section", { class: `calypso-${name}` })), context)]));
  const opened = parts.details;

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
  const failed = (error) => {
    const said = `Charts and table could not be drawn: ${error.message}`;
    root.prepend(make("p", { class: "calypso-note", role: "alert" }, said));
  };
  el.__calypso = view;
  view.handle = handle;
  load().catch(failed);
  return handle;
}

function rowsOf({ rows }) {
  const names = Object.keys(rows);
  return rows.id.map((_, i) => Object.fromEntries(names.map((name) => [name, rows[name][i]])));
}

function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== false && value != null) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== false && child != null));
  return node;
}

// Calls `before` when the document is about to be printed and `after` when it has been; returns how to end that.
function printed(before, after) {
  addEventListener("beforeprint", before);
  addEventListener("afterprint", after);
  return () => {
    removeEventListener("beforeprint", before);
    removeEventListener("afterprint", after);
  };
}

const count = (number) => number.toLocaleString("en-US");
// Control characters, which browsers hide or drop, are shown by their pictures; an isolate that a text opens
// ends with the text, or else it would end with what stands behind it.
function visible(text) {
  const shown = text.replace(/[\u0000-\u0008\u000b-\u001f]/g, (char) => String.fromCharCode(0x2400 + char.charCodeAt(0)));
  let open = 0;
  for (const [char] of shown.matchAll(/[\u2066-\u2069]/g)) open = char === "\u2069" ? Math.max(0, open - 1) : open + 1;
  return shown + "\u2069".repeat(open);
}
// Text from agents stands alone in its direction: it cannot turn what is around it.
const said = (text) => make("span", { dir: "auto" }, visible(text));

// ---- numbers

function numbers(host, { view }) {
  const show = (indices) => {
    const open = indices.map((i) => view.rows[i]).filter((row) => row.is_open);
    const blocked = open.some((row) => row.blocked == null) ? null : open.filter((row) => row.blocked).length;
    const oldest = open.reduce((a, b) => (b.age_hours != null && !(a?.age_hours >= b.age_hours) ? b : a), null);
    const known = oldest?.age_hours != null;
    const agents = new Set(open.map((row) => row.agent).filter((agent) => agent != null));
    const tiles = [
      ["open", "Open", count(open.length)],
      ["idle", "Idle", count(open.filter((row) => row.status === "idle").length)],
      ["working", "Working", count(open.filter((row) => row.status === "working").length)],
      ["unassigned", "Unassigned", count(open.filter((row) => row.agent == null).length)],
      ["blocked", "Blocked", blocked == null ? "–" : count(blocked), blocked == null && "unknown"],
      ["agents", "Agents with work", count(agents.size)],
      ["oldest", "Oldest open", known ? oldest.age : "–", known && `#${oldest.id}`],
    ];
    host.replaceChildren(make("dl", {}, ...tiles.map(([name, label, value, note]) =>
      make("div", { "data-number": name }, make("dt", {}, label), make("dd", {}, value, note ? make("small", {}, note) : "")))));
  };
  return { show };
}
