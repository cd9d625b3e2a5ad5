// What a view asks of its kernel, and what it says if no answer can come.

const LOST = "No kernel runs behind this view. Run the cell again.";
const LATE = "No answer from the kernel in two minutes.";
const LOOK_MS = 1000;
const MOST_MS = 120_000;

// `children` are models of other widgets of the dashboard: Jupyter says of them, and of no view's own model, whether
// a kernel knows them. `lost` is called when it no longer does.
export function asks(model, children, lost) {
  const waiting = new Map();
  const own = Math.random().toString(36).slice(2);
  let [asked, timer] = [0, null];
  const isLost = () => {
    const kernel = model.widget_manager?.kernel;
    return children.some(({ comm_live }) => comm_live === false) || kernel === null || Boolean(kernel?.isDisposed) || kernel?.status === "dead";
  };
  const send = (content) => {
    if (isLost()) throw new Error(LOST);
    try {
      model.send(content);
    } catch {
      throw new Error(LOST);
    }
  };
  const settle = (request, how, value) => {
    waiting.get(request)?.[how](value);
    waiting.delete(request);
    if (waiting.size) return;
    clearInterval(timer);
    timer = null;
  };
  // An answer may wait for a cell that runs, but not for a kernel that has gone.
  const look = () => {
    const gone = isLost();
    for (const [request, { since }] of [...waiting]) {
      const late = model.widget_manager?.kernel?.status !== "busy" && Date.now() - since > MOST_MS;
      if (gone || late) settle(request, "fail", new Error(gone ? LOST : LATE));
    }
  };
  const ask = (what, content = {}) => new Promise((done, fail) => {
    const request = `${own}-${(asked += 1)}`;
    send({ ask: what, request, ...content });
    waiting.set(request, { done, fail, since: Date.now() });
    timer ??= setInterval(look, LOOK_MS);
  });
  const answered = ({ request, task, error }) => {
    if (error != null) settle(request, "fail", new Error(error));
    else settle(request, "done", task);
  };
  children.forEach((child) => child.on("comm_live_update", lost));
  const destroy = () => {
    clearInterval(timer);
    children.forEach((child) => child.off("comm_live_update", lost));
  };
  return { ask, send, answered, lost: () => (isLost() ? LOST : ""), destroy };
}
