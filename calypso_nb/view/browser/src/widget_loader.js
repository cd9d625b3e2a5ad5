// The script of the anywidget: built into assets/widget_loader.js. What it exports is made for each model.

import { source } from "./source.js";
import { unpackBundle } from "./unpack.js";

export default () => {
  let data;
  return {
    // It may take no time: what the kernel sends meanwhile waits for its end.
    initialize: ({ model }) => { data = source(model); },
    render: async (context) => {
      const [{ render }] = await Promise.all([unpackBundle(context.model.get("bundle")), data.ready()]);
      return render(context, data);
    },
  };
};
