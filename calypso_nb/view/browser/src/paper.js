// What only paper shows: which tasks stand on it, as nobody can open a menu there.

import { active } from "./controls.js";
import { count, make, visible } from "./dom.js";

export function paper(host, { view }) {
  const line = make("p", { dir: "auto" });
  host.append(line);
  const show = (indices) => {
    const words = active(view.filter);
    line.textContent = visible(`${count(indices.length)} of ${count(view.rows.length)} tasks${words.length ? `: ${words.join("; ")}` : ""}`);
  };
  return { show };
}
