// What happened since this person looked, by the history that the dashboard has: what goes wrong first, then the latest.

import { count, make, said, visible } from "./dom.js";
import { happened, PROBLEMS } from "./happened.js";
import { replaceLines } from "./keyed.js";

export function looked(host, context) {
  const { live, clock, view } = context;
  const heading = make("h3");
  const counts = make("span", { class: "calypso-kinds", role: "group", "aria-label": "Kinds" });
  const seen = make("button", { type: "button", title: "Move my mark past all of this", onclick: () => settle() }, "Seen");
  const problem = make("span", { class: "calypso-stuck", role: "status", dir: "auto" });
  const list = make("ol", { class: "calypso-happened", "aria-label": "Since you looked" });
  const more = make("p");
  const unknown = make("ul", { class: "calypso-looked-unknown" });
  host.append(make("div", { class: "calypso-looked-bar" }, heading, counts, seen, problem), make("div", { class: "calypso-inner" }, list, more, unknown));
  let [told, kind] = [null, null];
  const settle = async () => {
    seen.disabled = true;
    problem.textContent = "";
    try {
      await live.ask("seen", { number: told.number });
    } catch (error) {
      problem.textContent = error.message;
    }
    seen.disabled = false;
  };
  const choose = (name) => { kind = kind === name ? null : name; fill(); };
  const fill = () => {
    const { lines = [], total = 0 } = told;
    const chosen = lines.filter(({ what }) => !kind || what === kind);
    const ordered = [...chosen.filter(({ what }) => PROBLEMS[what]),
      ...chosen.filter(({ what }) => !PROBLEMS[what]).sort((a, b) => Date.parse(b.at ?? 0) - Date.parse(a.at ?? 0))];
    replaceLines(list, ordered.map((one) => happened(context, one)));
    const left = (kind ? (told.counts.find(([name]) => name === kind)?.[1] ?? 0) : total) - ordered.length;
    more.textContent = left > 0 ? `… and ${count(left)} more: calypso-nb digest has them all` : "";
    for (const button of counts.children) button.setAttribute("aria-pressed", String(button.dataset.kind === kind));
  };
  const head = () => {
    const since = told.since ? ` (${clock.short(told.since, view.payload.meta.generated_at)} ${clock.zone(told.since)})` : "";
    heading.replaceChildren(told.first ? "In the last 24 hours" : `Since you looked${since}`, told.total ? "" : ": ", told.error ? said(told.error) : told.total ? "" : "nothing");
    heading.title = visible(told.heading ?? "");
    const names = (told.counts ?? []).map(([name]) => name);
    if (!names.includes(kind)) kind = null;
    counts.replaceChildren(...(told.counts ?? []).map(([name, number_]) => make("button",
      { type: "button", class: "calypso-kind", "data-kind": name, "data-problem": PROBLEMS[name], onclick: () => choose(name) }, `${count(number_)} ${name}`)),
      ...(told.doubts ?? []).map((doubt) => make("small", {}, doubt)));
    unknown.replaceChildren(...(told.unknown ?? []).map((text) => make("li", {}, said(text))));
    seen.hidden = !told.total;
  };
  const draw = () => { head(); fill(); };
  const tell = () => {
    const now = live.news().looked;
    host.hidden = !now;
    if (!now || (told && !now.error && now.number === told.number)) return;
    told = now;
    draw();
  };
  return { load: tell, tell, show: () => told && draw() };
}
