// The bundle, gzipped and in base64, as the module that it is: once however many views a document has.

// A symbol, for an element's id is a name of the window too.
const unpacked = (globalThis[Symbol.for("calypso-nb.bundles")] ??= new Map());

export function unpack(packed) {
  if (!unpacked.has(packed)) unpacked.set(packed, imported(packed));
  return unpacked.get(packed);
}

async function imported(packed) {
  const bytes = Uint8Array.from(atob(packed), (char) => char.charCodeAt(0));
  const source = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const code = new Blob([await new Response(source).blob()], { type: "text/javascript" });
  const url = URL.createObjectURL(code);
  return import(url).finally(() => URL.revokeObjectURL(url));
}
