// The same view as an anywidget, its filter shared with Python, and its payload with all views of the model.

import { asks } from "./asks.js";
import { hostedAgents, hostedStatuses, viewsOf } from "./hosted.js";
import { mount } from "./view.js";

export async function render({ model, el }, source) {
  el.classList.add("calypso-view", "calypso-live");
  // The lab's own keys, such as D D for "delete cell", are not meant for what is typed here. It asks only the
  // element that has the focus.
  el.addEventListener("focusin", ({ target }) => target.setAttribute("data-lm-suppress-shortcuts", ""));
  const [statuses, agents] = await Promise.all([viewsOf(model, model.get("statuses")), viewsOf(model, model.get("agents"))]);
  let view = null;
  let failure = "";
  const kernel = asks(model, [...statuses, ...agents].map(({ child }) => child), () => view?.tell());
  // A kernel that has gone says nothing itself.
  const news = () => {
    const [told, lost] = [{ ...model.get("news"), ...model.get("happened") }, kernel.lost() || failure];
    return lost ? { ...told, error: lost, about: "kernel", busy: false } : told;
  };
  const refresh = (timed) => {
    try {
      kernel.send({ ask: "refresh", timed, ids: view.visible() });
    } catch (error) {
      failure = error.message;
      view.tell();
    }
  };
  const set = (name, value) => { model.set(name, value); model.save_changes(); };
  const live = {
    acts: model.get("acts"),
    news,
    refresh,
    ask: kernel.ask,
    counts: () => model.get("counts"),
    every: () => model.get("every"),
    setEvery: (seconds) => set("every", seconds),
  };
  let shown = null;
  view = mount(el, source.payload(), {
    filter: model.get("filter"),
    onFilter: (filter) => { shown = filter; set("filter", filter); },
    live: model.get("live") ? live : undefined,
    hosted: { ...(statuses.length && { statuses: hostedStatuses(statuses) }), ...(agents.length && { agents: hostedAgents(agents[0], () => model.get("offered")) }) },
  });
  const listeners = {
    // What was chosen here is drawn already.
    "change:filter": () => model.get("filter") !== shown && view.setFilter(model.get("filter")),
    "change:news": () => { failure = ""; view.tell(); },
    "change:happened": () => view.tell(),
    "change:every": () => view.tell(),
    "msg:custom": kernel.answered,
  };
  for (const [event, listener] of Object.entries(listeners)) model.on(event, listener);
  const end = source.listen((payload, change) => view.update(payload, change));
  return () => {
    for (const [event, listener] of Object.entries(listeners)) model.off(event, listener);
    end();
    kernel.destroy();
    view.destroy();
  };
}
