// The charts, which Vega draws from specs that Python makes.

import vegaEmbed from "vega-embed";
import { chartTable } from "./chart_table.js";
import { count, make, printed } from "./dom.js";
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

const PAPER = 690;  // how many pixels wide a chart is on A4, as in view.css

// What stands in the place of a chart that could not be drawn.
export const failure = (error) => make("p", { class: "calypso-note", role: "alert" }, `This chart could not be drawn: ${error.message}`);

// Draws any Vega-Lite or Vega spec, and what it says as a table below; `ast` interprets expressions, so a page needs no
// right to `eval`. `run` draws the view again. Vega only logs what goes wrong when it draws: here it is thrown.
// `marks` is what marks open, if they do: see `chartTable`.
export async function drawChart(host, spec, marks) {
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
  const canvas = make("div", { class: "calypso-canvas" });
  host.replaceChildren(canvas);
  const { view, finalize } = await vegaEmbed(canvas, spec, { ...quiet, renderer: "svg", ast: true, tooltip, config });
  const checked = () => {
    if (wrong) throw wrong;
    // Vega says of a container without marks that it is a mark, which has no name.
    for (const empty of canvas.querySelectorAll('[role="graphics-symbol"]:empty')) empty.setAttribute("aria-hidden", "true");
  };
  checked();
  const table = chartTable(view, spec.description ?? "Chart", marks);
  host.append(table.node);
  const run = async () => { await view.runAsync(); checked(); table.fill(); };
  if (marks) {
    view.addEventListener("click", (event, item) => {
      if (item?.datum && marks.opens(item.datum)) marks.press(item.datum, event.ctrlKey || event.shiftKey || event.metaKey);
    });
  }
  if (spec.width !== "container") return { view, run, finalize };
  // Vega follows its container, but not onto paper.
  let width = canvas.clientWidth;
  const fit = (most) => {
    width = canvas.clientWidth || width;
    if (width) view.width(Math.min(most, width)).runAsync();
  };
  const unprint = printed(() => fit(PAPER), () => fit(Infinity));
  return { view, run, finalize: () => { unprint(); finalize(); } };
}

// What stands for nobody in the chart, and for an agent who is called just that.
const AGENT_OF = new Map([[UNASSIGNED, null], [`“${UNASSIGNED}”`, UNASSIGNED]]);

// What a click on a bar chooses, by the chart's name.
const PICKS = {
  load: ({ who }, filter, adding) => ({ agents: picked(filter.agents, AGENT_OF.has(who) ? AGENT_OF.get(who) : who, adding) }),
  backlog: ({ day, what }, _filter, _adding, rows) => ({ statuses: [], ids: rows.find((one) => one.day === day && one.what === what).ids }),
};
// The field of the filter that a chart leaves out, as it is what its own bars choose.
const OWN = { load: "agents" };

const DAYS = 14;
// What came and what was finished on each of the last days. A task was finished at its last edit at the latest.
function perDay(rows, { generated_at }) {
  const last = Date.parse(generated_at);
  const days = Array.from({ length: DAYS }, (_, i) => new Date(last - (DAYS - 1 - i) * 86_400_000).toISOString().slice(0, 10));
  const counted = days.flatMap((day) => ["new", "finished, at most"].map((what) => ({ day, what, n: 0, ids: [] })));
  const places = new Map(counted.map((one) => [`${one.day} ${one.what}`, one]));
  const add = (time, what, id) => {
    if (!(time >= days[0])) return;
    const one = places.get(`${time.slice(0, 10)} ${what}`);
    if (one) { one.n += 1; one.ids.push(id); }
  };
  for (const { id, status, created_at, updated_at } of rows) {
    add(created_at, "new", id);
    if (status === "complete") add(updated_at, "finished, at most", id);
  }
  return counted;
}

const MOST_AGENTS = 60;

// How many tasks of each status each agent has.
function byStatus(rows) {
  const agents = new Map();
  for (const { agent, status } of rows) {
    if (!agents.has(agent)) agents.set(agent, new Map(STATUSES.map((one) => [one, 0])));
    agents.get(agent).set(status, agents.get(agent).get(status) + 1);
  }
  return agents;
}

// The load of each agent, whichever are chosen: those who are not are dimmed. What stands where, and how far the axis
// goes, depends on the statuses alone: no other filter makes a bar jump, and who has nothing left keeps its line.
function loads({ view: { filter: { agents, statuses }, rows }, without }) {
  const counting = STATUSES.filter((status) => !statuses.length || statuses.includes(status));
  const sum = (counts, of = counting) => of.reduce((all, status) => all + counts.get(status), 0);
  const open = (counts) => sum(counts, counting.filter((status) => status !== "complete"));
  const all = [...byStatus(rows)].filter(([, counts]) => sum(counts)).sort(([, a], [, b]) => open(b) - open(a) || sum(b) - sum(a));
  const shown = byStatus(without("agents").map((i) => rows[i]));
  const bars = all.slice(0, MOST_AGENTS).flatMap(([agent], place) => counting.map((status) => ({
    agent, status, is_open: status !== "complete", n: shown.get(agent)?.get(status) ?? 0, place, dimmed: agents.length > 0 && !agents.includes(agent) })));
  return {
    rows: bars, nothing: !bars.some(({ n }) => n), most: Math.max(1, ...all.slice(0, MOST_AGENTS).map(([, counts]) => sum(counts))),
    note: all.length > MOST_AGENTS ? `… and ${count(all.length - MOST_AGENTS)} more agents with less work` : "",
  };
}

// The backlog is of all tasks, whatever their status.
function backlog({ view, without }) {
  const rows = without("statuses", "ids").map((i) => view.rows[i]);
  return { rows: perDay(rows, view.payload.meta), nothing: !rows.length };
}

// What is shown of the tasks that pass the filter, by the chart's name.
const SHOWN = { load: loads, backlog };

export const charts = (name) => (host, context) => {
  const { view, choose, go } = context;
  const chart = view.payload.charts.find(({ id }) => id === name);
  const canvas = make("div", { class: "calypso-chart calypso-clickable", "data-chart": name });
  const notes = make("div");
  host.append(make("figure", {}, make("figcaption", {}, make("h3", {}, chart.title), make("p", {}, chart.description)), canvas, notes));
  let drawing = null;
  let shown = [];
  let drawn = null;
  const end = () => {
    drawing?.finalize();
    drawing = drawn = null;
  };
  const draw = async () => {
    const press = (datum, adding) => {
      const change = PICKS[name](datum, view.filter, adding, shown);
      if (OWN[name]) choose(change);
      else go("tasks", change);
    };
    drawing = await drawChart(canvas, structuredClone(chart.spec), { opens: ({ sum_n }) => sum_n != null, press });
  };
  const show = async () => {
    const { rows, nothing, most, note } = SHOWN[name](context);
    shown = rows;
    const why = view.rows.length ? "No task matches" : "There are no tasks";
    notes.replaceChildren(nothing ? make("p", { class: "calypso-nothing" }, why) : note ?? "");
    try {
      canvas.classList.remove("calypso-empty"); // Vega measures what it draws in.
      if (!drawing) await draw();
      canvas.classList.toggle("calypso-empty", nothing);
      // What looks the same is not drawn again, which takes longer than all else; the tasks behind it may be others.
      const looks = JSON.stringify([most, rows], (key, value) => (key === "ids" ? undefined : value));
      if (looks === drawn) return;
      if (most) drawing.view.signal("most", most);
      drawing.view.data("tasks", rows);
      await drawing.run();
      drawn = looks;
    } catch (error) {
      end(); // It is drawn anew when there is something else to show.
      canvas.classList.add("calypso-empty");
      notes.replaceChildren(failure(error));
    }
    view.views[name] = drawing?.view;
  };
  return { show, destroy: end };
};
