// Why the lines stand in this order, in words; the order itself is made in calypso_nb/workload/attention.py.

const stopped = ({ urgency }) => urgency > 1;
const urgent = ({ priority }) => priority ?? -Infinity;
const words = (priority) => (priority == null ? "no priority" : `priority ${priority}`);

// By what a line comes after the one above it.
function after(line, above) {
  if (!above) return "first";
  if (stopped(line) !== stopped(above)) return "only to tidy up, so after all work that has stopped";
  if (line.holds_up !== above.holds_up) return `after the line above by what it holds up: ${line.holds_up}, not ${above.holds_up}`;
  if (urgent(line) !== urgent(above)) return `holds up as many as the line above (${line.holds_up}), and comes after it by priority: ${line.priority ?? "none"}, not ${above.priority ?? "none"}`;
  return `equal to the line above in both, and began later: ${line.since} ago, not ${above.since}`;
}

export function impact(line, above) {
  const numbers = [stopped(line) ? "work has stopped" : "to tidy up", `holds up ${line.holds_up}`, words(line.priority), line.since === "–" ? "since when is unknown" : `for ${line.since}`];
  return `${numbers.join(" · ")}: ${after(line, above)}`;
}
