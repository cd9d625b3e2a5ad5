// Charts that Python has made whole. Those that are drawn anew change in their place, and only once they can be seen.

import { drawChart, failure } from "./charts.js";
import { make, said } from "./dom.js";

export function drawings(body, marks) {
  const shown = new Map();
  const figure = ({ id, title, spec }) => {
    const sentence = make("p", {}, said(spec.usermeta.subtitle));
    const place = make("div", { class: "calypso-drawing" });
    const node = make("figure", { "data-section": id }, make("figcaption", {}, make("h3", {}, title), sentence), place);
    return { node, sentence, place, drawn: null, finalize: () => {} };
  };
  const draw = async (one, { spec }) => {
    const canvas = make("div", { class: "calypso-chart calypso-coming" });
    one.place.append(canvas);
    let finalize = () => {};
    try {
      ({ finalize } = await drawChart(canvas, structuredClone(spec), marks));
    } catch (error) {
      canvas.replaceChildren(failure(error));
    }
    one.finalize();
    Object.assign(one, { finalize, drawn: JSON.stringify(spec) });
    one.sentence.replaceChildren(said(spec.usermeta.subtitle));
    const open = one.place.querySelector(".calypso-as-table[open]") && canvas.querySelector(".calypso-as-table");
    if (open) open.open = true;
    // What scrolls can be scrolled by keys.
    canvas.firstChild.tabIndex = 0;
    canvas.classList.remove("calypso-coming");
    one.place.replaceChildren(canvas);
  };
  const show = (charts) => Promise.all(charts.map((chart) => {
    if (!shown.has(chart.id)) {
      shown.set(chart.id, figure(chart));
      body.append(shown.get(chart.id).node);
    }
    const one = shown.get(chart.id);
    return one.drawn === JSON.stringify(chart.spec) ? null : draw(one, chart);
  }));
  return { show, clear: () => shown.forEach(({ finalize }) => finalize()) };
}
