// The script of an Altair chart in a notebook: built into assets/chart_loader.js, and run once for each output that
// is shown. What draws is in one output only; what stands above that is drawn when that is there.

import { unpackBundle } from "./unpack.js";

const carrier = document.querySelector("script.calypso-bundle");
const bundle = (globalThis[Symbol.for("calypso-nb.charts")] ??= carrier && unpackBundle(carrier.textContent));
bundle?.then(({ drawOutputs }) => drawOutputs());
