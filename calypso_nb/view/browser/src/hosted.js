// In the lab: the status and agent filters as the ipywidgets of the dashboard.

import { CHOICES, chooser } from "./controls.js";
import { visible } from "./dom.js";

// The views of ipywidgets that the model names, by the model of each.
export async function viewsOf(model, references) {
  const manager = model.widget_manager;
  return Promise.all(references.map(async (reference) => {
    const child = await manager.get_model(reference.slice("IPY_MODEL_".length));
    return { child, node: (await manager.create_view(child)).el };
  }));
}

// What is chosen in widgets goes into the filter at once, and not by way of the kernel, which may be busy; what
// else changes the filter goes into the widgets. Neither answers to itself.
function tied(children, key, { view, choose }, { trait, read, write }) {
  let writing = false;
  const same = () => JSON.stringify(read()) === JSON.stringify(view.filter[key]);
  const chosen = () => writing || same() || choose({ [key]: read() });
  children.forEach((child) => child.on(`change:${trait}`, chosen));
  const show = () => {
    if (same()) return;
    writing = true;
    write(view.filter[key]);
    children.forEach((child) => child.save_changes());
    writing = false;
  };
  return { show, destroy: () => children.forEach((child) => child.off(`change:${trait}`, chosen)) };
}

// What was chosen before comes first, in its order.
const inOrder = (now, before) => [...before.filter((one) => now.includes(one)), ...now.filter((one) => !before.includes(one))];

export const hostedStatuses = (views) => (context) => {
  const children = views.map(({ child }) => child);
  const nameOf = (child) => child.get("description");
  const pressed = () => children.filter((child) => child.get("value")).map(nameOf);
  const part = tied(children, "statuses", context, {
    trait: "value",
    read: () => inOrder(pressed(), context.view.filter.statuses),
    write: (statuses) => children.forEach((child) => child.set("value", statuses.includes(nameOf(child)))),
  });
  const show = () => {
    part.show();
    views.forEach(({ child, node }) => {
      node.dataset.status = nameOf(child);
      node.setAttribute("aria-pressed", child.get("value"));
    });
  };
  return { ...part, show, nodes: views.map(({ node }) => node) };
};

// The first of the widget's options stands for tasks of nobody.
export const hostedAgents = ({ child, node }) => (context) => chooser(CHOICES[0], context, () => {
  const options = () => child.get("_options_labels").map((name, i) => (i ? name : null));
  const part = tied([child], "agents", context, {
    trait: "index",
    read: () => inOrder(child.get("index").map((i) => options()[i]), context.view.filter.agents),
    write: (agents) => child.set("index", options().flatMap((agent, i) => (agents.includes(agent) ? [i] : []))),
  });
  // The widget's own words keep control characters, have no direction and are cut where they are long; and it
  // offers agents who have gone.
  const fill = (values, text) => node.querySelectorAll("option").forEach((option, i) => {
    const name = child.get("_options_labels")[i];
    Object.assign(option, { textContent: visible(name), title: visible(name), dir: "auto" });
    const agent = options()[i];
    const known = values.includes(agent) || context.view.filter.agents.includes(agent);
    option.hidden = !known || !name.toLowerCase().includes(text);
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
  return { ...part, node, fill };
});
