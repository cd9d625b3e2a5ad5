// What has changed in a payload (delta.py), put into it. What has not changed stays the same object.

// Where the rows of a table stood before, null for new ones.
export const placesBefore = ({ kept }) => kept.flatMap(([first, length]) => Array.from({ length }, (_, i) => (first < 0 ? null : first + i)));

function columnsAfter(columns, { changed }, places) {
  const moved = places.some((place, i) => place !== i) || places.length !== columns.id?.length;
  const names = new Set([...Object.keys(columns), ...Object.keys(changed)]);
  return Object.fromEntries([...names].map((name) => {
    if (!moved && !changed[name]) return [name, columns[name]];
    const values = places.map((place) => (place == null ? null : columns[name][place]));
    const [at, now] = changed[name] ?? [[], []];
    at.forEach((place, i) => { values[place] = now[i]; });
    return [name, values];
  }));
}

function linesAfter(lines, { changed }, places) {
  const fresh = new Map();
  for (const [name, [at, values]] of Object.entries(changed)) {
    at.forEach((place, i) => fresh.set(place, Object.assign(fresh.get(place) ?? {}, { [name]: values[i] })));
  }
  return places.map((place, i) => (fresh.has(i) ? { ...lines[place], ...fresh.get(i) } : lines[place]));
}

export function payloadAfter(payload, { tables, parts }) {
  const after = Object.entries(tables).map(([name, change]) => {
    const put = Array.isArray(payload[name]) ? linesAfter : columnsAfter;
    return [name, put(payload[name], change, placesBefore(change))];
  });
  return { ...payload, ...parts, ...Object.fromEntries(after) };
}
