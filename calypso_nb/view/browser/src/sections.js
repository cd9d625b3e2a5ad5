// Sections about the whole report: who waits for whom, how long work runs, queues, tags, parents.

import { drawChart, failure } from "./charts.js";
import { make } from "./dom.js";

export function sections(host, { view }) {
  let finalizers = [];
  const clear = () => { finalizers.forEach((finalize) => finalize()); finalizers = []; };
  const load = async () => {
    clear();
    const { charts: drawings, tables } = view.payload.sections;
    const body = make("div", { class: "calypso-sections-body" });
    host.replaceChildren(make("h3", {}, "All tasks in the report, regardless of filters"), body);
    await Promise.all(drawings.map(async (drawing) => {
      const canvas = make("div", { class: "calypso-chart", "data-section": drawing.id });
      body.append(section(drawing.title, drawing.nothing ?? drawing.spec.usermeta.subtitle, canvas));
      if (!drawing.spec) return;
      try {
        finalizers.push((await drawChart(canvas, structuredClone(drawing.spec))).finalize);
      } catch (error) {
        canvas.replaceWith(failure(error));
      }
    }));
    body.append(...tables.filter(({ rows }) => rows.length).map(({ title, heads, rows }) => section(title, "", make("table", { "aria-label": title },
      make("thead", {}, make("tr", {}, ...heads.map((head) => make("th", { scope: "col" }, head)))),
      make("tbody", {}, ...rows.map((row) => make("tr", {}, ...row.map((cell) => make("td", { dir: "auto" }, cell)))))))));
  };
  const section = (title, note, content) => make("details", { open: true },
    make("summary", {}, make("b", {}, title), note ? ` ${note}` : ""), content);
  return { load, show: () => {}, destroy: clear };
}
