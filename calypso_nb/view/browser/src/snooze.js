// What is put aside for a while, and wakes again.

import { make, said, visible } from "./dom.js";

const HOUR = 3_600_000;
const ENDS = [
  ["for 4 hours", () => new Date(Date.now() + 4 * HOUR)],
  ["until tomorrow, 9:00", () => { const day = new Date(); day.setDate(day.getDate() + 1); day.setHours(9, 0, 0, 0); return day; }],
  ["for 3 days", () => new Date(Date.now() + 72 * HOUR)],
  ["for a week", () => new Date(Date.now() + 168 * HOUR)],
  ["until something changes", () => null],
];
// What the kernel knows a line by.
const lineOf = ({ about, id, agent, queue, facts }) => ({ about, id, agent, queue, facts });

export function snoozing({ live, hands, parts }) {
  const toast = (...what) => parts().toasts.say(...what);
  const wake = async (line) => {
    try {
      await live.ask("wake", { line: lineOf(line) });
      toast("It is back in the list");
    } catch (error) {
      toast(error.message, [], "calypso-refused");
    }
  };
  // Asks until when and why, at a button.
  const ask = (line, name, at) => {
    const why = make("input", { name: "why", placeholder: "Why", "aria-label": "Why", dir: "auto", autocomplete: "off" });
    const choices = ENDS.map(([text], i) => {
      const choice = make("input", { type: "radio", name: "until", value: i });
      choice.checked = choice.defaultChecked = i === 0;
      return make("label", {}, choice, text);
    });
    const problem = make("p", { class: "calypso-error", role: "alert", hidden: true });
    const submit = async (event) => {
      event.preventDefault();
      const [text, end] = ENDS[Number(form.querySelector("input:checked").value)];
      go.disabled = true;
      try {
        await live.ask("snooze", { line: lineOf(line), until: end()?.toISOString() ?? null, why: why.value });
        hands.box.close();
        toast(`Snoozed ${text}: ${name}`, [["Wake", () => wake(line)]]);
      } catch (error) {
        go.disabled = false;
        problem.hidden = false;
        problem.replaceChildren(visible(error.message));
      }
    };
    const go = make("button", { type: "submit", class: "calypso-go" }, "Snooze");
    const form = make("form", { class: "calypso-form", onsubmit: submit }, make("div", { class: "calypso-ends", role: "radiogroup", "aria-label": "Until when" }, ...choices), why,
      make("div", { class: "calypso-form-end" }, go, make("button", { type: "button", onclick: () => hands.box.close() }, "Cancel")));
    hands.box.open(at, "Snooze", [make("h4", { dir: "auto" }, visible(`Snooze: ${name}`)), form, problem]);
  };
  // A line that is put aside, with until when and why.
  const asleep = (line, name) => {
    const until = line.until == null ? "until something changes" : `until ${new Date(line.until).toLocaleString([], { dateStyle: "medium", timeStyle: "short" })}`;
    return make("li", {}, make("span", { class: "calypso-need" }, said(name), " ", make("small", {}, until, line.why ? ": " : "", line.why ? said(line.why) : "")),
      live && hands && make("button", { type: "button", onclick: () => wake(line) }, "Wake"));
  };
  return { ask, asleep };
}
