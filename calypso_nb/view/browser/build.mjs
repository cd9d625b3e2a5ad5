// Put the modules of src/ and what they import into the files that Python sends: node build.mjs [FOLDER]

import { readdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const folder = process.argv[2] ?? join(here, "..", "assets");
const { metafile } = await build({
  absWorkingDir: here,
  entryPoints: ["bundle", "chart_loader", "page_loader", "widget_loader"].map((name) => `src/${name}.js`),
  outdir: folder,
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  legalComments: "none",
  metafile: true,
});

// What the minified code leaves out: the licence of each package that is in it.
const files = Object.values(metafile.outputs).flatMap(({ inputs }) =>
  Object.entries(inputs).filter(([, { bytesInOutput }]) => bytesInOutput > 0).map(([file]) => file));
const inside = files.map((file) => file.match(/.*node_modules\/(?:@[^/]+\/)?[^/]+/)?.[0]).filter(Boolean);
const packages = new Map();
for (const place of [...new Set(inside)].sort()) {
  const { name, version, license } = JSON.parse(await readFile(join(here, place, "package.json"), "utf8"));
  const file = (await readdir(join(here, place))).sort().find((entry) => /^licen[cs]e/i.test(entry));
  const text = file ? (await readFile(join(here, place, file), "utf8")).replace(/\r\n/g, "\n").trim() : `Licence: ${license}`;
  packages.set(text, [...(packages.get(text) ?? []), `${name} ${version} (${license})`]);
}
const intro = "bundle.js holds code of these packages, under these licences.";
const parts = [...packages].map(([text, names]) => `${"-".repeat(80)}\n${names.join("\n")}\n\n${text}`);
await writeFile(join(folder, "LICENSES.txt"), `${[intro, ...parts].join("\n\n")}\n`);
