// Asks for the comments and links of tasks whose rows are in sight, if nobody has counted those yet.

const PAUSE_MS = 300;

export function counts(_, { view, root, live, row }) {
  const asked = new Set();
  let timer = null;
  const look = async () => {
    const ids = view.handle.visible().filter((id) => row(id)?.comments === null && !asked.has(id));
    if (!ids.length) return;
    ids.forEach((id) => asked.add(id));
    try {
      await live.ask("counts", { ids });
    } catch {
      ids.forEach((id) => asked.delete(id)); // What is in sight later is asked for again.
    }
  };
  // Once somebody looks longer than they scroll.
  const soon = () => {
    if (view.tab !== "tasks" || !live.counts?.()) return;
    clearTimeout(timer);
    timer = setTimeout(look, PAUSE_MS);
  };
  root.addEventListener("scroll", soon, { capture: true, passive: true });
  const destroy = () => {
    clearTimeout(timer);
    root.removeEventListener("scroll", soon, { capture: true });
  };
  return { show: soon, tab: soon, destroy };
}
