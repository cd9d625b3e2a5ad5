// The Altair charts of a notebook, each in an output of its own (chart_renderer.py).

import { drawChart, failure } from "./charts.js";
import { make } from "./dom.js";
import { bytesOf, unpackData } from "./unpack.js";

const seen = new WeakSet();
let drawn = [];

// Draws each output that is not drawn yet, and lets go of those that are shown no more. The specs stand in script
// elements, which no text by somebody else can hold that a notebook shows as HTML.
export function drawOutputs() {
  const gone = drawn.filter(({ host }) => !host.isConnected);
  drawn = drawn.filter(({ host }) => host.isConnected);
  for (const { finalize } of gone) finalize();
  for (const host of document.querySelectorAll(".calypso-output")) {
    const packed = host.querySelector("script")?.textContent;
    if (!packed || seen.has(host)) continue;
    seen.add(host);
    draw(host, packed);
  }
}

async function draw(host, packed) {
  const canvas = make("div", { class: "calypso-chart" });
  try {
    const spec = await unpackData(bytesOf(packed));
    host.replaceChildren(canvas);
    drawn.push({ host, finalize: (await drawChart(canvas, spec)).finalize });
  } catch (error) {
    host.replaceChildren(failure(error));
  }
}
