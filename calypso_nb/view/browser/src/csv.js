// Tasks as CSV that a spreadsheet opens without running anything. The same stands for Python in calypso_nb/text/csv.py,
// which says why; a test compares.

import { make } from "./dom.js";

const SAVED_MS = 60_000;
const FORMULA = /(?:^|(?<=[,;|"\t\r\n]))(?=['=+\-@\t\r\n\0\uff1d\uff0b\uff0d\uff20])/g;

const guarded = (text) => text.replace(FORMULA, "'") || "'";
const quoted = (text) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
function cell(value) {
  if (value == null) return "";
  if (typeof value === "number") return String(value);
  return quoted(guarded(Array.isArray(value) ? `[${value.map((item) => JSON.stringify(item)).join(", ")}]` : value));
}

// A line with the names of columns, and one per row.
export function csvOf(rows, columns) {
  const lines = [columns.map(({ key }) => key), ...rows.map((row) => columns.map(({ by, saved = by }) => cell(saved(row))))];
  return lines.map((line) => `${line.join()}\r\n`).join("");
}

// Excel takes a text for UTF-8 if it begins with a byte order mark.
export function download(text, name) {
  const url = URL.createObjectURL(new Blob(["\ufeff", text], { type: "text/csv;charset=utf-8" }));
  const link = document.body.appendChild(make("a", { href: url, download: name, hidden: true }));
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), SAVED_MS);
}
