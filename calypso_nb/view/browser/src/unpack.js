// What Python has packed: gzipped and, where it is text, in base64 (bundle.py).

// A symbol, for an element's id is a name of the window too.
const bundles = (globalThis[Symbol.for("calypso-nb.bundles")] ??= new Map());

export const bytesOf = (text) => Uint8Array.from(atob(text), (char) => char.charCodeAt(0));

const unzipped = (bytes) => new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip")));

export const unpackData = (bytes) => unzipped(bytes).json();

// The bundle as the module that it is: once however many views a document has.
export function unpackBundle(packed) {
  if (!bundles.has(packed)) bundles.set(packed, imported(packed));
  return bundles.get(packed);
}

async function imported(packed) {
  const code = new Blob([await unzipped(bytesOf(packed)).blob()], { type: "text/javascript" });
  const url = URL.createObjectURL(code);
  return import(url).finally(() => URL.revokeObjectURL(url));
}
