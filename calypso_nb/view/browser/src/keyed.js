// Nodes that stay what they are when the data change, so that a refresh takes nobody's focus, place or selection.

// Shows items in `parent`, one node each; `create(item)` returns `{ node, show(item) }` for a key that is new.
export function keyed(parent, keyOf, create) {
  let shown = new Map();
  return (items) => {
    const next = new Map(items.map((item) => [keyOf(item), shown.get(keyOf(item)) ?? create(item)]));
    for (const item of items) next.get(keyOf(item)).show(item);
    arrange(parent, [...next.values()].map(({ node }) => node));
    shown = next;
  };
}

function arrange(parent, nodes) {
  if (nodes.length === parent.children.length && nodes.every((node, i) => node === parent.children[i])) return;
  const focused = parent.contains(document.activeElement) && document.activeElement;
  parent.replaceChildren(...nodes);
  if (focused && parent.contains(focused)) focused.focus({ preventScroll: true });
}

const told = new WeakMap();

// Makes the children of a node anew if what they say, `key`, is something else than before.
export function refill(node, key, children) {
  const text = JSON.stringify(key);
  if (told.has(node) && told.get(node) === text) return;
  told.set(node, text);
  node.replaceChildren(...children().filter((child) => child !== false && child != null));
}

// Shows other lines in a list, and leaves the focus where it is: lines are known by their `data-line`.
export function replaceLines(list, lines) {
  const focused = document.activeElement;
  const at = list.contains(focused) ? focused.closest("[data-line]") : null;
  const place = at ? [...at.querySelectorAll("button, summary")].indexOf(focused) : -1;
  const line = at?.dataset.line;
  list.replaceChildren(...lines);
  if (!at) return;
  const same = lines.find((other) => other.dataset.line === line);
  const offered = same ? [...same.querySelectorAll("button, summary")] : [];
  (offered[place] ?? offered.at(-1) ?? list.querySelector("button"))?.focus({ preventScroll: true });
}
