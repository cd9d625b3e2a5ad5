// The script of the anywidget: built into assets/widget_loader.js.

import { unpack } from "./unpack.js";

const render = async (context) => (await unpack(context.model.get("bundle"))).render(context);

export default { render };
