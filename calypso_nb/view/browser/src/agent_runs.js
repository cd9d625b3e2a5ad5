// What `run-agent` runs and ran for an agent, by what schedulers wrote on the tasks whose comments were read.

import { count, make, said, visible } from "./dom.js";
import { refill } from "./keyed.js";
import { titleLink } from "./links.js";
import { number } from "./mentions.js";
import { readableHours } from "./rows.js";

const AT_MOST = 8;
const MOST_LETTERS = 200;
// From here on, how long a run took is told in minutes.
const LAST_SECONDS = 90;
const PROBLEMS = { failed: "stuck", lost: "stuck", silent: "stuck", "over time": "stuck", cancelled: "slow" };
const GOING_ON = new Set(["running", "silent"]);
const USED = { input_tokens: (n) => `${count(n)} tokens in`, output_tokens: (n) => `${count(n)} tokens out`, cost_usd: (usd) => `${usd.toFixed(2)} USD` };

const percent = (share) => (share == null ? "–" : `${Math.round(share * 100)}%`);
const minutes = (value) => (value == null ? "–" : readableHours(value / 60));

export function agentRuns({ view, clock, open, known }) {
  const node = make("section", { class: "calypso-agent-runs" });
  // Seconds count on while a run goes on, so they are told when it began.
  const took = ({ outcome, seconds }) => (GOING_ON.has(outcome) || seconds == null ? "" : `, ${seconds < LAST_SECONDS ? `${Math.round(seconds)} s` : readableHours(seconds / 3600)}`);
  const line = (run) => make("li", { "data-line": run.run, "data-problem": PROBLEMS[run.outcome] },
    make("time", { datetime: run.started_at, title: clock.title(run.started_at) }, clock.short(run.started_at, view.payload.meta.generated_at)),
    number(run.id, open), make("span", { class: "calypso-looked-what" }, run.outcome),
    make("span", { class: "calypso-happened-said" }, titleLink({ id: run.id, title: known(run.id)?.title }, open),
      make("span", { class: "calypso-why", dir: "auto", title: visible(run.why ?? "") },
        visible(`${run.recipe ?? "?"} on ${run.host}${took(run)}${run.attempt > 1 ? `, try ${run.attempt}` : ""}: ${run.why ?? ""}`.slice(0, MOST_LETTERS)))));
  const total = (of) => make("tr", {}, make("td", {}, said((of.recipe ?? "?").slice(0, MOST_LETTERS))), ...[count(of.runs), count(of.succeeded), count(of.failed),
    percent(of.success_rate), minutes(of.median_minutes), of.tries.toFixed(1)].map((value) => make("td", {}, value)));
  const heads = { Recipe: "", Runs: "", Succeeded: "", Failed: "Failed, took too long, or lost", Success: "Of those that succeeded or failed", "Half within": "Of those that succeeded", Tries: "Runs per task" };
  const used = (totals) => {
    const sum = (name) => totals.reduce((all, of) => (of[name] == null ? all : (all ?? 0) + of[name]), null);
    const ended = sum("runs") - sum("going_on");
    const parts = Object.entries(USED).filter(([name]) => sum(`told_${name}`))
      .map(([name, words]) => `${words(sum(name))} by ${count(sum(`told_${name}`))} of ${count(ended)} runs`);
    return parts.length ? `Used, as they said: ${parts.join(", ")}` : "";
  };
  const show = (agent) => {
    const of = (runs) => (runs ?? []).filter((run) => run.agent === agent);
    const [runs, totals] = [of(view.payload.runs), of(view.payload.run_totals)];
    node.hidden = runs.length === 0;
    refill(node, [runs, totals, runs.map(({ id }) => known(id)?.title), clock.local()], () => [
      make("h4", { title: "Of the tasks whose comments were read" }, `Runs: ${count(runs.length)}`),
      make("ol", { class: "calypso-happened", "aria-label": "Runs" }, ...runs.slice(0, AT_MOST).map(line)),
      runs.length > AT_MOST && make("p", { class: "calypso-why" }, `… and ${count(runs.length - AT_MOST)} more: calypso-nb runs`),
      make("table", { class: "calypso-run-totals" },
        make("thead", {}, make("tr", {}, ...Object.entries(heads).map(([head, title]) => make("th", { scope: "col", title: title || null }, head)))),
        make("tbody", {}, ...totals.map(total))),
      make("p", { class: "calypso-why" }, used(totals)),
    ]);
  };
  return { node, show };
}
