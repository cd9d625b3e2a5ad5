// The same view as an anywidget, its filter shared with Python.

import { hostedAgents, hostedStatuses, viewsOf } from "./hosted.js";
import { mount } from "./view.js";

export async function render({ model, el }) {
  el.classList.add("calypso-view", "calypso-live");
  // The lab's own keys, such as D D for "delete cell", are not meant for what is typed here. It asks only the
  // element that has the focus.
  el.addEventListener("focusin", ({ target }) => target.setAttribute("data-lm-suppress-shortcuts", ""));
  const waiting = new Map();
  const own = Math.random().toString(36).slice(2);
  let asked = 0;
  let lost = {};
  // A kernel that was restarted knows nothing of this view; ipywidgets would say so in the console alone.
  const send = (content) => {
    try {
      model.send(content);
    } catch {
      lost = { error: "The kernel behind this view is gone. Run the cell again.", about: "data", busy: false };
      view.tell();
      throw new Error(lost.error);
    }
  };
  const ask = (what, content = {}) => new Promise((done, fail) => {
    const request = `${own}-${(asked += 1)}`;
    waiting.set(request, { done, fail });
    send({ ask: what, request, ...content });
  });
  const set = (name, value) => { model.set(name, value); model.save_changes(); };
  const live = {
    news: () => ({ ...model.get("news"), ...lost }),
    every: () => model.get("every"),
    setEvery: (seconds) => set("every", seconds),
    refresh: (timed) => send({ ask: "refresh", timed }),
    ask,
  };
  const [statuses, agents] = await Promise.all([viewsOf(model, model.get("statuses")), viewsOf(model, model.get("agents"))]);
  let shown = null;
  const view = mount(el, model.get("payload"), {
    filter: model.get("filter"),
    onFilter: (filter) => { shown = filter; set("filter", filter); },
    live: model.get("live") ? live : undefined,
    hosted: { ...(statuses.length && { statuses: hostedStatuses(statuses) }), ...(agents.length && { agents: hostedAgents(agents[0], () => model.get("offered")) }) },
  });
  const listeners = {
    "change:payload": () => view.update(model.get("payload")),
    // What was chosen here is drawn already.
    "change:filter": () => model.get("filter") !== shown && view.setFilter(model.get("filter")),
    "change:news": () => view.tell(),
    "change:every": () => view.tell(),
    "msg:custom": ({ request, task, error }) => {
      const { done, fail } = waiting.get(request) ?? {};
      waiting.delete(request);
      if (error != null) fail?.(new Error(error));
      else done?.(task);
    },
  };
  for (const [event, listener] of Object.entries(listeners)) model.on(event, listener);
  return () => {
    for (const [event, listener] of Object.entries(listeners)) model.off(event, listener);
    view.destroy();
  };
}
