// How work flows. It is measured once somebody looks, and again if the tasks have changed when they look again, or when
// they ask: it says of what moment it is.

import { failure } from "./charts.js";
import { make, said } from "./dom.js";
import { drawings } from "./drawings.js";
import { NO_FILTER } from "./filter.js";

export function flow(host, { view, live, open, go, later, parts }) {
  const body = make("div", { class: "calypso-flow-charts" });
  const about = make("p", { class: "calypso-about-list", role: "status" });
  const changed = make("span", { class: "calypso-slow" });
  const again = live && make("button", { type: "button", onclick: () => measure() }, "Measure again");
  host.append(make("div", { class: "calypso-flow-head" }, about, changed, again), body);
  // A mark that is a task opens it, and one that counts some shows these. Archived tasks are no rows.
  const press = ({ task_id, ids }) => {
    if (task_id != null) return open(task_id);
    const there = ids.filter((id) => view.places.has(id));
    if (!there.length) return parts().toasts.say("These tasks are archived: they are no longer on the board");
    return go("tasks", { ...NO_FILTER, ids: there });
  };
  const opens = ({ task_id, ids }) => task_id != null || ids?.length > 0;
  const { show: draw, clear } = drawings(body, { opens, press });
  // What the tasks were like when it was measured: it changes with any of them, and not with the time.
  const state = () => `${view.rows.length} ${view.rows.reduce((last, { updated_at }) => Math.max(last, Date.parse(updated_at ?? 0)), 0)}`;
  let [measuring, measured] = [Promise.resolve(), null];
  const once = async () => {
    try {
      if (!body.children.length) about.textContent = "Measuring …";
      const of = state();
      const shown = live ? await live.ask("flow") : view.payload.flow;
      about.replaceChildren(said(shown.about));
      await draw(shown.charts);
      measured = of;
    } catch (error) {
      about.replaceChildren(failure(error));
    }
    tell();
  };
  // One after the other: an answer that comes late draws over none that was asked for after it.
  const measure = () => {
    measuring = measuring.then(once);
    later(measuring);
  };
  const tell = () => { changed.textContent = live && measured && measured !== state() ? "Tasks have changed since" : ""; };
  let looking = false;
  return {
    tab: (name) => {
      const coming = !looking && name === "flow" && measured && measured !== state();
      looking = coming || (looking && name === "flow");
      if (coming) measure();
    },
    show: () => {
      tell();
      if (looking || measured === state()) return;
      looking = true;
      measure();
    },
    destroy: clear,
  };
}
