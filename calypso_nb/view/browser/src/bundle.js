// All that a page and a live dashboard run, Vega and DataTables included: built into assets/bundle.js.

export { drawAll } from "./page.js";
export { mount } from "./view.js";
export { render } from "./widget.js";
