// Named views, kept by the browser for each server, or for as long as the document is open if it keeps nothing.

const MOST = 50;

// server() names it.
export function stored(server) {
  const key = () => `calypso-nb views ${server()}`;
  let kept = null;
  const read = () => {
    try {
      const entries = JSON.parse(localStorage.getItem(key()) ?? "[]");
      return new Map(entries.filter((entry) => Array.isArray(entry) && entry.length === 2 && entry.every((text) => typeof text === "string")).slice(0, MOST));
    } catch {
      return new Map();
    }
  };
  const all = () => kept ?? read();
  const change = (views) => {
    const entries = [...views].slice(-MOST);
    try {
      localStorage.setItem(key(), JSON.stringify(entries));
      kept = null;
    } catch {
      kept = new Map(entries);
    }
  };
  return {
    all,
    set: (name, text) => change(new Map([...all()].filter(([other]) => other !== name)).set(name, text)),
    remove: (name) => change(new Map([...all()].filter(([other]) => other !== name))),
  };
}
