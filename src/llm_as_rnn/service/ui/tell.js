// An outcome, told by hand.

import { element } from "./dom.js";
import { ask } from "./talk.js";
import { answers, labelled, openDialog } from "./words.js";

const READ = {
  number: (text) => Number(text),
  ranked: (text) => text.split("\n").map((line) => line.trim()).filter(Boolean),
};

function control(field) {
  if (field.kind === "number") return element("input", { type: "number", step: "any", required: "" });
  if (field.kind === "ranked") return element("textarea", { rows: 4, required: "" });
  if (!field.options?.length) return element("input", { type: "text", required: "" });
  const options = field.options.map((one) => element("option", {}, typeof one === "string" ? one : one.name ?? String(one)));
  return element("select", { required: "" }, element("option", { value: "" }, "choose"), ...options);
}

// Ask what came, and tell it; `replaces` is the number of the outcome that this one corrects, if it does.
export function tellOutcome(session, task, step, told) {
  const fields = task.content.answer.map((field) => ({ field, input: control(field) }));
  const about = [step.said ? element("p", { class: "note" }, `Predicted: ${answers(step.said)}`) : "",
    step.replaces === undefined ? "" : element("p", { class: "note" }, "What was told before stays on record; this outcome takes its place.")];
  const inputs = fields.flatMap(({ field, input }) => labelled(`${field.name}${field.unit ? `, ${field.unit}` : ""}${field.kind === "ranked" ? ", a line each, the likeliest first" : ""}`, input));
  const title = step.replaces === undefined ? `What came of ${step.id}` : `Correct what came of ${step.id}`;
  openDialog(title, [...about, ...inputs], "Tell it", async () => {
    const y = Object.fromEntries(fields.map(({ field, input }) => [field.name, (READ[field.kind] || String)(input.value)]));
    const body = step.replaces === undefined ? { y } : { y, replaces: step.replaces };
    await ask(`/v1/sessions/${encodeURIComponent(session)}/predictions/${encodeURIComponent(step.id)}/outcome`, { method: "PUT", body });
    told();
  });
}
