// The numbers above the filters, of the tasks that the filter lets through.

import { count, make } from "./dom.js";

export function numbers(host, { view }) {
  const show = (indices) => {
    const open = indices.map((i) => view.rows[i]).filter((row) => row.is_open);
    const blocked = open.some((row) => row.blocked == null) ? null : open.filter((row) => row.blocked).length;
    const oldest = open.reduce((a, b) => (b.age_hours != null && !(a?.age_hours >= b.age_hours) ? b : a), null);
    const known = oldest?.age_hours != null;
    const agents = new Set(open.map((row) => row.agent).filter((agent) => agent != null));
    const tiles = [
      ["open", "Open", count(open.length)],
      ["idle", "Idle", count(open.filter((row) => row.status === "idle").length)],
      ["working", "Working", count(open.filter((row) => row.status === "working").length)],
      ["unassigned", "Unassigned", count(open.filter((row) => row.agent == null).length)],
      ["blocked", "Blocked", blocked == null ? "–" : count(blocked), blocked == null && "unknown"],
      ["agents", "Agents with work", count(agents.size)],
      ["oldest", "Oldest open", known ? oldest.age : "–", known && `#${oldest.id}`],
    ];
    host.replaceChildren(make("dl", {}, ...tiles.map(([name, label, value, note]) =>
      make("div", { "data-number": name }, make("dt", {}, label), make("dd", {}, value, note ? make("small", {}, note) : "")))));
  };
  return { show };
}
