// The parts of a view, each in its place: the head, which is always in sight, a tab, or nothing that takes room.
// Those that are `live` need a kernel.

import { address } from "./address.js";
import { agents } from "./agents.js";
import { attention } from "./attention.js";
import { audit } from "./audit.js";
import { blocking } from "./blocking.js";
import { charts } from "./charts.js";
import { zone } from "./clock.js";
import { controls } from "./controls.js";
import { counts } from "./counts.js";
import { flow } from "./flow.js";
import { groups } from "./groups.js";
import { keys } from "./keys.js";
import { looked } from "./looked.js";
import { numbers } from "./numbers.js";
import { paper } from "./paper.js";
import { parents } from "./parents.js";
import { quick } from "./quick.js";
import { refresh } from "./refresh.js";
import { table } from "./table.js";
import { tabs } from "./tabs.js";
import { task } from "./task.js";
import { team } from "./team.js";
import { toasts } from "./toasts.js";
import { views } from "./views.js";

// The tabs, and their names.
export const TABS = { now: "Now", agents: "Agents", tasks: "Tasks", flow: "Flow", blocking: "Blocking", audit: "Audit" };
// What stands on paper whichever tab is looked at; of the others only the one that is.
export const PRINTED = ["now", "tasks", "blocking"];

export const PARTS = {
  address: { make: address },
  refresh: { make: refresh, place: "head", live: true },
  tabs: { make: tabs, place: "head" },
  quick: { make: quick, place: "head" },
  views: { make: views, place: "head" },
  keys: { make: keys, place: "head" },
  zone: { make: zone, place: "head" },
  controls: { make: controls, place: "head" },
  paper: { make: paper, place: "head" },
  numbers: { make: numbers, place: "now" },
  attention: { make: attention, place: "now" },
  team: { make: team, place: "now" },
  looked: { make: looked, place: "now", live: true },
  backlog: { make: charts("backlog"), place: "now" },
  agents: { make: agents, place: "agents" },
  groups: { make: groups, place: "agents" },
  load: { make: charts("load"), place: "agents" },
  table: { make: table, place: "tasks" },
  flow: { make: flow, place: "flow" },
  blocking: { make: blocking, place: "blocking" },
  parents: { make: parents, place: "blocking" },
  audit: { make: audit, place: "audit" },
  task: { make: task },
  counts: { make: counts, live: true },
  toasts: { make: toasts },
};
