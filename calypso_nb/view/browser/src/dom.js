// Elements, and text from agents in them.

export function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== false && value != null) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== false && child != null));
  return node;
}

// Calls `before` when the document is about to be printed and `after` when it has been; returns how to end that.
export function printed(before, after) {
  addEventListener("beforeprint", before);
  addEventListener("afterprint", after);
  return () => {
    removeEventListener("beforeprint", before);
    removeEventListener("afterprint", after);
  };
}

export const count = (number) => number.toLocaleString("en-US");
// Control characters, which browsers hide or drop, are shown by their pictures; an isolate that a text opens
// ends with the text, or else it would end with what stands behind it.
export function visible(text) {
  const shown = text.replace(/[\u0000-\u0008\u000b-\u001f]/g, (char) => String.fromCharCode(0x2400 + char.charCodeAt(0)));
  let open = 0;
  for (const [char] of shown.matchAll(/[\u2066-\u2069]/g)) open = char === "\u2069" ? Math.max(0, open - 1) : open + 1;
  return shown + "\u2069".repeat(open);
}
// Text from agents stands alone in its direction: it cannot turn what is around it.
export const said = (text) => make("span", { dir: "auto" }, visible(text));
