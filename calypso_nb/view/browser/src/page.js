// Brings the views and the plain charts of a page to life.

import { drawChart, failure } from "./charts.js";
import { make } from "./dom.js";
import { mount } from "./view.js";

export function drawAll(drawings) {
  for (const { kind, data, host } of drawings) {
    if (kind === "view") mount(host, data);
    else host.__calypso = { ready: drawPlain(host, data) };
  }
}

async function drawPlain(host, spec) {
  const canvas = host.appendChild(make("div", { class: "calypso-chart" }));
  try {
    await drawChart(canvas, spec);
  } catch (error) {
    canvas.replaceWith(failure(error));
  }
}
