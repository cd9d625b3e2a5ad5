// In the lab: the status and agent filters as the ipywidgets of the dashboard. A click on one of them changes
// the view's filter and not the widget, which follows the filter in Python (`link` in dashboard.py): so a click
// does not wait for the kernel, and what a busy kernel says late of an earlier click does not undo a later one.

import { chooser } from "./chooser.js";
import { count, visible } from "./dom.js";
import { CHOICES, toggled } from "./filter.js";

// The views of ipywidgets that the model names, by the model of each: none in a front end such as marimo, which can't
// put one widget into another. There the view makes controls of its own.
export async function viewsOf(model, references) {
  const manager = model.widget_manager;
  if (!manager?.create_view) return [];
  return Promise.all(references.map(async (reference) => {
    const child = await manager.get_model(reference.slice("IPY_MODEL_".length));
    return { child, node: (await manager.create_view(child)).el };
  }));
}

// Takes an event of a widget's element before the widget itself does.
function take(node, type, handle) {
  node.addEventListener(type, (event) => {
    event.stopImmediatePropagation();
    event.preventDefault();
    handle(event);
  }, { capture: true });
}

// Shows the filter again after the widget has shown its own value; returns how to end that.
function after(child, show) {
  child.on("change", show);
  return () => child.off("change", show);
}

export const hostedStatuses = (views) => ({ view, choose }) => {
  const show = () => views.forEach(({ child, node }) => {
    node.dataset.status = child.get("description");
    node.setAttribute("aria-pressed", view.filter.statuses.includes(node.dataset.status));
  });
  views.forEach(({ node }) => take(node, "click", () => choose({ statuses: toggled(view.filter.statuses, node.dataset.status) })));
  const ends = views.map(({ child }) => after(child, show));
  return { nodes: views.map(({ node }) => node), show, destroy: () => ends.forEach((end) => end()) };
};

// `offered` is who stands for each of the widget's options, null for tasks of nobody.
export const hostedAgents = ({ child, node }, offered) => (context) => chooser(CHOICES[0], context, (_key, _words, { view, choose }) => {
  const options = () => [...node.querySelectorAll("option")];
  const mark = () => options().forEach((option, i) => { option.selected = view.filter.agents.includes(offered()[i]); });
  // How many tasks each would show stands behind its name, which stays the widget's own.
  const show = (counts) => {
    mark();
    options().forEach((option, i) => {
      const number = count(counts.get(offered()[i]) ?? 0);
      option.dataset.count = number;
      option.setAttribute("aria-description", `${number} tasks`);
    });
  };
  // The widget's own words keep control characters, have no direction and are cut where they are long; and it
  // offers agents who have gone.
  const fill = (values, text) => {
    options().forEach((option, i) => {
      const agent = offered()[i];
      if (agent != null) Object.assign(option, { textContent: visible(agent), title: visible(agent), dir: "auto" });
      const known = values.includes(agent) || view.filter.agents.includes(agent);
      option.hidden = !known || !(agent ?? option.textContent).toLowerCase().includes(text);
    });
    mark();
  };
  take(node, "change", () => {
    const selected = offered().filter((_agent, i) => options()[i]?.selected);
    const before = view.filter.agents.filter((agent) => selected.includes(agent));
    choose({ agents: [...before, ...selected.filter((agent) => !before.includes(agent))] });
  });
  // A click adds or takes away, as with checkboxes; without this it would need Ctrl.
  node.addEventListener("mousedown", (event) => {
    if (event.target.tagName !== "OPTION") return;
    event.preventDefault();
    const select = event.target.parentElement;
    const top = select.scrollTop;
    event.target.selected = !event.target.selected;
    select.dispatchEvent(new Event("change", { bubbles: true }));
    select.focus();
    select.scrollTop = top;
  });
  return { node, fill, show, destroy: after(child, mark) };
});
