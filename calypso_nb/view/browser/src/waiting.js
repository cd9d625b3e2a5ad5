// The lines of the tree of who waits for whom, each with what stands above it, and the longest chain.

export function waiting({ id, depth, holds_up, longest, state }, archived = () => false) {
  const lines = id.map((number, i) => ({ id: number, depth: depth[i], holds_up: holds_up[i], longest: longest[i],
    endless: state[i] === "never ends", waiting: depth[i + 1] > depth[i] }));
  const above = [];
  for (const line of lines) {
    above.length = line.depth;
    const top = above.at(-1);
    line.blocker = top?.id ?? null;
    // What waits for an archived task, or in a circle, can be freed itself.
    line.stuck = line.endless ? !archived(line.id) : Boolean(top?.endless && archived(top.id));
    above.push(line);
  }
  longestOf(lines);
  return lines;
}

// Marks the first of the longest chains, if more than one waits in it for another.
function longestOf(lines) {
  let start = -1;
  lines.forEach(({ depth, longest }, i) => { if (!depth && longest > (lines[start]?.longest ?? 1)) start = i; });
  let next = lines[start];
  for (let i = start; next && i < lines.length && (i === start || lines[i].depth); i += 1) {
    if (lines[i].depth !== next.depth || lines[i].longest !== next.longest) continue;
    lines[i].critical = true;
    if (!next.longest) break;
    next = { depth: next.depth + 1, longest: next.longest - 1 };
  }
}
