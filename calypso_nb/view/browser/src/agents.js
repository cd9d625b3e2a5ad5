// The tab of agents: all of them in a table, or one agent's page.

import { agentPage } from "./agent_page.js";
import { agentTable } from "./agent_table.js";
import { make } from "./dom.js";

export function agents(host, context) {
  const { go } = context;
  const [all, one] = [make("div", { class: "calypso-all-agents" }), make("div", { class: "calypso-agent-page", hidden: true })];
  host.append(all, one);
  let opened = null;
  const table = agentTable(all, context);
  const showNow = () => {
    [all.hidden, one.hidden] = [opened != null, opened == null];
    if (opened != null) page.show(opened);
    else table.show();
  };
  // The page of an agent; null for none.
  const open = (agent) => {
    opened = agent;
    if (agent != null) go("agents");
    showNow();
    host.parentElement.scrollTop = 0;
    if (agent != null) page.focus();
  };
  const page = agentPage(one, context, () => open(null));
  const onPage = (act) => (...values) => { if (opened != null) act(...values); };
  return {
    open, opened: () => opened, show: showNow, selected: onPage(page.selected),
    move: onPage(page.move), openCurrent: onPage(page.openCurrent), toggleCurrent: onPage(page.toggleCurrent), act: onPage(page.act),
  };
}
