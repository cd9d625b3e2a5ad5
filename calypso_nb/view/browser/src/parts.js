// The parts of a view, in the order in which they stand; those that are `live` need a kernel.

import { attention } from "./attention.js";
import { charts } from "./charts.js";
import { controls } from "./controls.js";
import { numbers } from "./numbers.js";
import { refresh } from "./refresh.js";
import { sections } from "./sections.js";
import { table } from "./table.js";
import { taskDialog } from "./task_dialog.js";

export const PARTS = {
  refresh: { make: refresh, live: true },
  numbers: { make: numbers },
  controls: { make: controls },
  attention: { make: attention },
  charts: { make: charts },
  table: { make: table },
  sections: { make: sections },
  task: { make: taskDialog, live: true },
};
