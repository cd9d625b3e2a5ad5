// The charts, which Vega draws from specs that Python makes.

import vegaEmbed from "vega-embed";
import { make, printed } from "./dom.js";
import { picked } from "./filter.js";
import { STATUSES, UNASSIGNED } from "./rows.js";

// currentColor lets the charts follow the page's theme with no repainting.
const CHART_CONFIG = {
  background: null,
  view: { stroke: null },
  axis: { labelColor: "currentColor", titleColor: "currentColor", titleFontWeight: "normal", titleOpacity: 0.7,
    gridColor: "currentColor", gridOpacity: 0.13, domainColor: "currentColor", domainOpacity: 0.35, ticks: false,
    labelPadding: 6, labelFontSize: 12, titleFontSize: 12 },
  text: { color: "currentColor", fontSize: 12 },
  legend: { labelColor: "currentColor", titleColor: "currentColor", labelFontSize: 12 },
  title: { color: "currentColor", subtitleColor: "currentColor" },
};

const PAPER = 660;  // how many pixels wide a chart is on A4

// What stands in the place of a chart that could not be drawn.
export const failure = (error) => make("p", { class: "calypso-note", role: "alert" }, `This chart could not be drawn: ${error.message}`);

// Draws any Vega-Lite or Vega spec; `ast` interprets expressions, so a page needs no right to `eval`. `run` draws
// the view again. Vega only logs what goes wrong when it draws: here it is thrown.
export async function drawChart(host, spec) {
  let wrong = null;
  const note = (...said) => {
    wrong ??= said[0] instanceof Error ? said[0] : new Error(said.join(" "));
    return logger;
  };
  const quietly = () => logger;
  const warn = (...said) => (/ failed$/.test(said[0]) ? note(...said) : logger); // such as "Loading failed"
  const logger = { level: quietly, error: note, warn, info: quietly, debug: quietly };
  const tooltip = { id: "calypso-tooltip", disableDefaultStyle: true };
  const quiet = { actions: false, defaultStyle: false, logger };
  const config = { ...CHART_CONFIG, font: getComputedStyle(host).fontFamily };
  const { view, finalize } = await vegaEmbed(host, spec, { ...quiet, renderer: "svg", ast: true, tooltip, config });
  const checked = () => { if (wrong) throw wrong; };
  const run = async () => { await view.runAsync(); checked(); };
  checked();
  if (spec.width !== "container") return { view, run, finalize };
  // Vega-Lite follows the window only; a sidebar, a tab or a sheet of paper changes the width as well.
  let width = host.clientWidth;
  const fit = (wanted) => {
    if (!wanted || wanted === width) return;
    width = wanted;
    view.width(width).runAsync();
  };
  const resizing = new ResizeObserver(() => fit(host.clientWidth));
  resizing.observe(host);
  const unprint = printed(() => fit(Math.min(PAPER, host.clientWidth)), () => fit(host.clientWidth));
  return { view, run, finalize: () => { resizing.disconnect(); unprint(); finalize(); } };
}

// What stands for nobody in the chart, and for an agent who is called just that.
const AGENT_OF = new Map([[UNASSIGNED, null], [`“${UNASSIGNED}”`, UNASSIGNED]]);

// What a click on a bar chooses, by the chart's name.
const PICKS = {
  load: ({ who }, filter, adding) => ({ agents: picked(filter.agents, AGENT_OF.has(who) ? AGENT_OF.get(who) : who, adding) }),
  age: ({ age_bucket }, filter, adding) => ({ ages: picked(filter.ages, age_bucket, adding) }),
  priority: ({ priority }, { priority: [low, high] }) => priority != null
    && { priority: low === priority && high === priority ? [null, null] : [priority, priority] },
};

// The rows of a chart: each distinct one once, with `n` saying how many tasks it stands for, so that Vega has
// as little to count with 20,000 tasks as with 200; or the top rows where the chart shows single tasks.
function chartRows({ fields, open_only, top }, rows, indices) {
  if (top) {
    const known = indices.map((i) => rows[i]).filter((row) => row.is_open && row.age_hours != null);
    known.sort((a, b) => b.age_hours - a.age_hours || a.id - b.id);
    return known.slice(0, top).map((row) => Object.fromEntries(fields.map((name) => [name, row[name]])));
  }
  const groups = new Map();
  for (const i of indices) {
    const row = rows[i];
    if (open_only && !row.is_open) continue;
    const values = fields.map((name) => row[name]);
    const key = JSON.stringify(values);
    const group = groups.get(key);
    if (group) group.n += 1;
    else groups.set(key, { ...Object.fromEntries(fields.map((name, j) => [name, values[j]])), n: 1 });
  }
  return [...groups.values()];
}

export function charts(host, { view, choose, open }) {
  const legend = make("p", { class: "calypso-legend", "aria-hidden": "true" },
    ...STATUSES.map((status) => make("span", { "data-status": status }, make("span", { class: "calypso-swatch" }), status)));
  const columns = [make("div"), make("div")];
  host.append(legend, make("div", { class: "calypso-grid" }, ...columns));
  let drawn = [];

  // Many agents make the first chart tall: then it has a column for itself.
  const columnOf = (i) => columns[i === 0 || (i % 2 === 0 && new Set(view.rows.map((row) => row.agent)).size < 20) ? 0 : 1];
  const clicked = (chart, datum, adding) => {
    if (chart.id === "oldest" && datum.id != null) open?.(datum.id);
    const change = PICKS[chart.id]?.(datum, view.filter, adding);
    if (change) choose(change);
  };
  // Where a chart stands, and how to draw it in there.
  const place = (chart, i) => {
    const canvas = make("div", { class: "calypso-chart", "data-chart": chart.id });
    if (PICKS[chart.id] || open) canvas.classList.add("calypso-clickable");
    const said = make("div");
    columnOf(i).append(make("figure", {}, make("figcaption", {}, make("h3", {}, chart.title), make("p", {}, chart.description)), canvas, said));
    return { chart, canvas, said, drawing: null };
  };
  const draw = async (placed) => {
    const { chart, canvas } = placed;
    placed.drawing = await drawChart(canvas, structuredClone(chart.spec));
    placed.drawing.view.addEventListener("click", (event, item) => {
      if (item?.mark?.marktype === "rect" && item.datum) clicked(chart, item.datum, event.ctrlKey || event.shiftKey || event.metaKey);
    });
  };
  const end = (placed) => {
    placed.drawing?.finalize();
    placed.drawing = null;
  };
  const load = () => {
    const specs = JSON.stringify(view.payload.charts);
    if (specs === host.specs) return;
    host.specs = specs;
    drawn.forEach(end);
    columns.forEach((column) => column.replaceChildren());
    drawn = view.payload.charts.map(place);
  };
  const fill = async (placed, indices) => {
    const { chart, canvas, said } = placed;
    const rows = chartRows(chart, view.rows, indices);
    const nothing = view.rows.length ? "No task matches" : "There are no tasks";
    said.replaceChildren(...(rows.length ? [] : [make("p", { class: "calypso-nothing" }, nothing)]));
    try {
      if (!placed.drawing) {
        canvas.classList.remove("calypso-empty"); // Vega measures what it draws in.
        await draw(placed);
      }
      canvas.classList.toggle("calypso-empty", !rows.length);
      placed.drawing.view.data("tasks", rows);
      await placed.drawing.run();
    } catch (error) {
      end(placed); // It is drawn anew when there is something else to show.
      canvas.classList.add("calypso-empty");
      said.replaceChildren(failure(error));
    }
  };
  const show = async (indices) => {
    await Promise.all(drawn.map((placed) => fill(placed, indices)));
    view.views = Object.fromEntries(drawn.map(({ chart, drawing }) => [chart.id, drawing?.view]));
  };
  return { load, show, destroy: () => drawn.forEach(end) };
}
