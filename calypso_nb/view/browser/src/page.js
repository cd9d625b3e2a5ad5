// Brings every view and every plain chart of a document to life.

import { drawChart } from "./charts.js";
import { make } from "./dom.js";
import { mount } from "./view.js";

const dataOf = (host) => JSON.parse(host.querySelector('script[type="application/json"]').textContent);
const failed = (host, error) => host.prepend(make("p", { class: "calypso-note", role: "alert" },
  `The interactive part could not be drawn in this browser: ${error.message}`));

export function drawDocument() {
  for (const host of document.querySelectorAll(".calypso-view")) mount(host, dataOf(host));
  for (const host of document.querySelectorAll(".plain-chart")) {
    drawChart(host.appendChild(make("div", { class: "calypso-chart" })), dataOf(host))
      .then((result) => { host.__calypso = result; }, (error) => failed(host, error));
  }
}
