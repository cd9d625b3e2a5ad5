// The script of a page: built into assets/page_loader.js. What it draws stands in elements whose ids begin with a
// mark that was made for this page (`Drawings` in page.py): no text that the page shows can have such an id.

import { bytesOf, unpackBundle, unpackData } from "./unpack.js";

// An element's name hides the document's own property of that name, and some text may hold such an element.
for (const node of Document.prototype.querySelectorAll.call(document, ":is(img, form, embed, object, iframe)[name]")) node.removeAttribute("name");

const part = (name) => document.getElementById(`${document.documentElement.dataset.calypso}-${name}`);
const lines = part("data").textContent.split("\n").map((line) => line.split(" "));
const drawings = lines.map(([kind, packed], i) => ({ kind, packed, host: part(i) })).filter(({ host }) => host);

async function draw() {
  const [{ drawAll }, ...data] = await Promise.all([unpackBundle(part("bundle").textContent), ...drawings.map(({ packed }) => unpackData(bytesOf(packed)))]);
  drawAll(drawings.map((drawing, i) => ({ ...drawing, data: data[i] })));
}

draw().catch((error) => {
  for (const { host } of drawings) {
    const note = Object.assign(document.createElement("p"), { className: "calypso-note", role: "alert" });
    note.textContent = `The interactive part could not be drawn in this browser: ${error.message}`;
    host.prepend(note);
  }
});
