// All that a page, a live dashboard and a chart in a notebook run, Vega included: built into assets/bundle.js.

export { drawOutputs } from "./outputs.js";
export { drawAll } from "./page.js";
export { mount } from "./view.js";
export { render } from "./widget.js";
