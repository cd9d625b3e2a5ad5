// A table of any length, of which only the lines in sight are drawn: each is as high as every other.

import { make } from "./dom.js";

const LINE = 30;
const SPARE = 6;

// What has the focus in a table, so that it can have it again after the lines were made anew.
function focusIn(body) {
  const active = document.activeElement;
  if (!body.contains(active)) return () => {};
  const cell = active.closest("td, th");
  const place = [cell.parentElement.dataset.line, cell.cellIndex, [...cell.querySelectorAll("button, input")].indexOf(active)];
  return (table) => {
    const [line, column, which] = place;
    const again = [...body.rows].find((row) => row.dataset.line === line)?.cells[column]?.querySelectorAll("button, input")[which];
    (again ?? table).focus({ preventScroll: true });
  };
}

// `nodeOf` makes the row of a line, `nameOf` names it for as long as it stands for the same thing.
export function grid({ label, head, nodeOf, nameOf }) {
  const gap = () => make("tbody", { "aria-hidden": "true" }, make("tr", {}, make("td")));
  const [above, below, body] = [gap(), gap(), make("tbody")];
  const table = make("table", { class: "calypso-rows", role: "grid", "aria-label": label, tabindex: 0 }, head, above, body, below);
  const node = make("div", { class: "calypso-scroll", onscroll: () => look() }, table);
  let [lines, drawn, range, most] = [[], new Map(), [0, 0], null];
  // Asked for when they change alone: the browser lays out all that was drawn before it says them.
  let [top, height] = [0, 0];
  const measure = () => { [top, height] = [node.scrollTop, node.clientHeight]; };
  const look = () => {
    measure();
    draw();
  };
  const scroll = (to) => {
    if (to === top) return;
    node.scrollTop = to;
    top = node.scrollTop;
  };
  const inSight = () => {
    if (most != null) return [0, Math.min(most, lines.length)];
    const first = Math.max(0, Math.min(Math.floor(top / LINE), lines.length - 1));
    return [Math.max(0, first - SPARE), Math.min(lines.length, first + Math.ceil(height / LINE) + SPARE)];
  };
  const high = (tbody, count) => {
    tbody.hidden = count <= 0;
    tbody.firstChild.style.height = `${count * LINE}px`;
  };
  // Lines that were drawn before are not made again.
  const draw = (anew = false) => {
    const [from, to] = inSight();
    if (!anew && from === range[0] && to === range[1]) return;
    range = [from, to];
    const before = drawn;
    drawn = new Map();
    for (let i = from; i < to; i += 1) {
      const row = before.get(lines[i]) ?? nodeOf(lines[i]);
      row.setAttribute("aria-rowindex", i + 2);
      row.dataset.line = nameOf(lines[i]);
      drawn.set(lines[i], row);
    }
    const refocus = focusIn(body);
    body.replaceChildren(...drawn.values());
    high(above, most == null ? from : 0);
    high(below, most == null ? lines.length - to : 0);
    refocus(table);
  };
  // `stays` keeps what is uppermost where it is, whatever came above it.
  const fill = (next, stays) => {
    if (stays) measure();  // The browser may not have told yet that somebody has scrolled.
    const at = Math.floor(top / LINE);
    const name = stays && at > 0 && lines[at] && nameOf(lines[at]);
    lines = next;
    table.setAttribute("aria-rowcount", lines.length + 1);
    drawn = new Map();
    high(below, lines.length);
    const now = name ? lines.findIndex((line) => nameOf(line) === name) : -1;
    if (now >= 0) scroll(now * LINE + (top % LINE));
    else if (!stays) scroll(0);
    draw(true);
  };
  const reveal = (i) => {
    measure();
    const room = height - LINE; // The head hides the first line's height.
    if (i * LINE < top) scroll(i * LINE);
    else if ((i + 1) * LINE > top + room) scroll((i + 1) * LINE - room);
    draw();
  };
  const resizing = new ResizeObserver(look);
  resizing.observe(node);
  return {
    node, table, fill, reveal, lines: () => lines, drawn: () => drawn,
    // The lines that can be seen.
    seen: () => lines.slice(Math.floor(top / LINE), Math.ceil((top + height - LINE) / LINE)),
    // Draws the first lines and no gaps, for paper; with null again what is in sight.
    all: (number) => {
      most = number;
      measure(); // On paper it was as high as all that was drawn.
      draw(true);
    },
    destroy: () => resizing.disconnect(),
  };
}
