// What needs somebody now, of the tasks that the filter lets through.

import { count, make, printed, said, visible } from "./dom.js";

const FIRST_ROWS = 8;
const PRINTED_NEEDS = 40;
const URGENCY = { 3: "never ends on its own", 2: "stalled", 1: "to tidy up" };

export function attention(host, { view }) {
  const heading = make("h3");
  const list = make("ol", { class: "calypso-needs" });
  const more = make("button", { type: "button", onclick: () => { all = !all; fill(); } });
  const unprinted = make("p", { class: "calypso-unprinted" });
  host.append(heading, list, more, unprinted);
  let needed = [];
  let all = false;
  let most = FIRST_ROWS;
  const unprint = printed(() => { most = PRINTED_NEEDS; fill(); }, () => { most = FIRST_ROWS; fill(); });
  const fill = () => {
    const total = view.payload.attention.length;
    const left = needed.length < total ? ` of ${count(total)}` : "";
    heading.textContent = total ? `Needs attention: ${count(needed.length)}${left}` : "Nothing needs attention";
    more.hidden = needed.length <= FIRST_ROWS;
    more.textContent = all ? "Show fewer" : `Show all ${count(needed.length)}`;
    unprinted.textContent = needed.length > PRINTED_NEEDS && !all ? `… and ${count(needed.length - PRINTED_NEEDS)} more, which are not printed` : "";
    list.replaceChildren(...needed.slice(0, all ? undefined : most).map((need) => make("li", { "data-urgency": need.urgency },
      make("span", { class: "calypso-urgency", title: URGENCY[need.urgency] }, "!".repeat(need.urgency)),
      make("span", { class: "calypso-need" },
        make("b", {}, `#${need.id} `), said(need.title ?? ""), " ",
        make("small", {}, `for ${need.since}`),
        make("span", { class: "calypso-why", dir: "auto" }, visible(`${need.evidence} → ${need.to_do}`))))));
  };
  const show = (indices) => {
    const titles = new Map(indices.map((i) => [view.rows[i].id, view.rows[i].title]));
    // A circle of tasks concerns each of them.
    needed = view.payload.attention.filter(({ id, concerns }) => [id, ...concerns].some((task) => titles.has(task)))
      .map((need) => ({ ...need, title: titles.get(need.id) }));
    fill();
  };
  return { show, destroy: unprint };
}
