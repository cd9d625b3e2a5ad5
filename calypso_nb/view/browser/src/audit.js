// Which rules of the process are broken, if the report was made with an audit: the findings of each rule below it.

import { count, make, said, visible } from "./dom.js";
import { agentLink, taskLink } from "./links.js";
import { linked } from "./mentions.js";

const GROUPS = { kept: "Kept", "not checked": "Not checked", "no case": "Without a case", off: "Off" };

export function audit(host, context) {
  const { view, clock, open: openTask, known } = context;
  // What is open stays so, whatever is read again.
  const open = new Set();
  const folding = (name, summary, ...content) => make("details", { class: "calypso-rule", "data-rule": name, open: open.has(name),
    ontoggle: ({ target }) => open[target.open ? "add" : "delete"](name) }, make("summary", {}, ...summary), ...content);
  const counted = ({ broken, likely, kept, not_checked }) => [
    make("b", { class: "calypso-stuck" }, `broken ${count(broken)}`), likely ? ` · ${count(likely)} of these only likely` : "",
    kept ? ` · kept ${count(kept)}` : "", not_checked ? ` · not checked ${count(not_checked)}` : ""];
  const about = (rule) => [make("b", { class: "calypso-rule-name" }, rule.rule), " ", said(rule.text)];
  const finding = (found) => make("li", {},
    make("span", { class: "calypso-told-of" },
      found.task == null ? "" : taskLink(known(found.task) ?? { id: found.task }, openTask), " ",
      make("span", { class: "calypso-why" }, make("span", { dir: "auto" }, ...linked(found.evidence, context)), " → ", make("span", { dir: "auto" }, ...linked(found.to_do, context)))),
    make("span", { class: "calypso-beside" }, found.certainty === "likely" && make("em", { class: "calypso-slow" }, "likely"),
      found.agent == null ? "" : agentLink(context, found.agent),
      found.since && make("time", { datetime: found.since, title: clock.title(found.since) }, clock(found.since))));
  const broken = (rule, findings) => folding(rule.rule, [...about(rule), " ", make("span", { class: "calypso-counted" }, ...counted(rule))],
    rule.why && make("p", { class: "calypso-about-list", dir: "auto" }, visible(rule.why)),
    make("ul", { class: "calypso-findings", "aria-label": `Findings of ${rule.rule}` }, ...findings.map(finding)),
    findings.length < rule.broken && make("p", { class: "calypso-about-list" }, `the newest ${count(findings.length)} of ${count(rule.broken)}`));
  const others = (state, rules) => folding(state, [make("b", {}, `${GROUPS[state]}: ${count(rules.length)}`)],
    make("ul", { class: "calypso-findings", "aria-label": GROUPS[state] }, ...rules.map((rule) => make("li", {},
      make("span", { class: "calypso-told-of" }, ...about(rule), rule.why && make("span", { class: "calypso-why", dir: "auto" }, visible(rule.why))),
      make("span", { class: "calypso-beside" }, rule.kept ? `kept ${count(rule.kept)}` : "", rule.not_checked ? `not checked ${count(rule.not_checked)}` : "")))));
  let drawn = "";
  const show = () => {
    const { summary, rules, findings } = view.payload.audit ?? {};
    const now = JSON.stringify([summary, rules, findings, clock.local()]);
    if (!rules || now === drawn) return;
    drawn = now;
    const states = Map.groupBy(rules, ({ state }) => state);
    host.replaceChildren(make("h3", {}, "Audit"), make("p", { class: "calypso-about-list" }, said(summary), "; of all tasks of the report, whatever the filter"),
      ...(states.get("broken") ?? []).map((rule) => broken(rule, findings.filter((found) => found.rule === rule.rule))),
      ...Object.keys(GROUPS).filter((state) => states.has(state)).map((state) => others(state, states.get(state))));
  };
  return { show };
}
