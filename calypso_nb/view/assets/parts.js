// ---- the parts of a view, in the order in which they stand; those that are `live` need a kernel

const PARTS = {
  refresh: { make: refresh, live: true },
  numbers: { make: numbers },
  controls: { make: controls },
  attention: { make: attention },
  charts: { make: charts },
  table: { make: table },
  answers: { make: answers },
  details: { make: details, live: true },
};
