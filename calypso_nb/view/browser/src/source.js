// The payload of a model, as it is after all that the kernel has sent: one for all views of the model. The model
// holds what was there when it was made (`packed`), and then the last change (`change`), which counts up a version.

import { payloadAfter } from "./delta.js";
import { unpackData } from "./unpack.js";

export function source(model) {
  let [payload, version, wait] = [null, -1, Promise.resolve()];
  const listeners = new Set();
  const tell = (change) => listeners.forEach((listener) => listener(payload, change));
  // What this one has missed, such as while a page was loaded, is asked for whole.
  const catchUp = () => {
    try {
      model.send({ ask: "payload", version });
    } catch { /* Without a kernel there is nothing that could be newer. */ }
  };
  const inTurn = (name, take) => {
    const bytes = model.get(name);
    wait = wait.then(() => unpackData(bytes)).then(take);
    return wait;
  };
  const whole = (next) => {
    [payload, version] = [next.payload, next.version];
    tell(null);
  };
  const changed = (change) => {
    if (change.version <= version) return;
    if (change.version > version + 1) return catchUp();
    payload = payloadAfter(payload, change);
    version = change.version;
    tell(change);
  };
  model.on("change:packed", () => inTurn("packed", whole));
  model.on("change:change", () => inTurn("change", changed));
  const first = inTurn("packed", whole).then(catchUp);
  return {
    ready: () => first.then(() => wait),
    payload: () => payload,
    listen: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}
