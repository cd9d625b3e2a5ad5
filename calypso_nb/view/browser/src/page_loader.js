// The script of a page: built into assets/page_loader.js.

import { unpack } from "./unpack.js";

unpack(document.getElementById("calypso-bundle").textContent).then(({ drawDocument }) => drawDocument()).catch((error) => {
  for (const host of document.querySelectorAll(".calypso-view, .plain-chart")) {
    const note = Object.assign(document.createElement("p"), { className: "calypso-note", role: "alert" });
    note.textContent = `The interactive part could not be drawn in this browser: ${error.message}`;
    host.prepend(note);
  }
});
