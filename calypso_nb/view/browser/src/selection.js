// The tasks that are selected, in the order in which they were, wherever that was done.

export function selection(changed) {
  let chosen = new Set();
  const followers = new Set();
  const set = (ids) => {
    chosen = new Set(ids);
    changed();
    followers.forEach((follower) => follower());
  };
  return {
    has: (id) => chosen.has(id),
    ids: () => [...chosen],
    toggle: (id) => set(chosen.has(id) ? [...chosen].filter((other) => other !== id) : [...chosen, id]),
    set,
    clear: () => set([]),
    // Forgets the tasks that have gone.
    keep: (known) => { if ([...chosen].some((id) => !known(id))) set([...chosen].filter(known)); },
    follow: (follower) => followers.add(follower),
  };
}
