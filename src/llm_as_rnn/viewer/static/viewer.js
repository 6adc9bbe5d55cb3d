// The viewer of steps: one component for the report, the service's page and a run that goes on.

import { element, fill, memoryItems, number, shape } from "./dom.js";

// What the viewer stands in ----------------------------------------------------------------------------------------

function frame() {
  const part = (tag, id, attributes = {}, ...children) => element(tag, { id, ...attributes }, ...children);
  const head = ["field", "predicted", "came"].map((name) => element("th", { scope: "col" }, name));
  const verdict = element("th", { scope: "col" }, element("span", { class: "hidden" }, "verdict"));
  const answers = element("table", { class: "answers" },
    element("caption", { class: "hidden" }, "What was predicted, and what came"),
    element("thead", {}, element("tr", {}, ...head, verdict)), part("tbody", "answers"));
  return [
    element("div", { class: "controls" },
      element("label", {}, "method ", part("select", "method")),
      element("label", {}, "sequence ", part("select", "sequence")),
      element("div", { class: "walk", role: "group", "aria-label": "Step" },
        part("button", "previous", { type: "button", "aria-label": "previous step" }, "←"),
        part("input", "step", { type: "range", min: 0, step: 1, "aria-label": "step" }),
        part("button", "next", { type: "button", "aria-label": "next step" }, "→"),
        part("output", "position", { "aria-live": "polite" }))),
    part("div", "timeline"),
    element("div", { class: "panels" },
      part("div", "step-panel", {},
        element("h3", {}, "Observation"), part("dl", "observation", { class: "pairs" }),
        element("h3", {}, "Prediction and outcome ", part("span", "status", { class: "status" })),
        answers,
        ...["trouble", "tell", "said", "recalled", "advice", "feedback"].map((id) => part("div", id))),
      part("div", "memory-panel", {},
        part("div", "memory"),
        part("details", "calls", {}, part("summary", "calls-title"), part("div", "call-list")))),
    element("p", { class: "note" }, "Keys ← and → walk through the steps."),
  ];
}

const UPDATES = { accepted: "good", kept: "", rolled_back: "bad", skipped: "" };

// Show steps in an element.
//
// `source` has: `index`, all that is known of the parts (as `report.packing.ViewerIndex`); `load(part)`, which promises
// what is in one (`viewer.trace.PartView`); `where`, what to show at first ({method, sequence, t}, all may be missing);
// and, if wanted, `moved(where)`, called when another step is shown; `asked(step)`, which promises the prompt of a step
// whose calls the parts do not hold; `tell(step)`, what can be done about a step; `latest`, to begin with the last step.
//
// What is given back can `refresh(index)` when there is more, and `close()`.
export async function makeViewer(root, source) {
  let data = source.index, trace, wanted, at = 0, traces = [];
  const inside = new Map(), closing = new AbortController(), listening = { signal: closing.signal };
  root.replaceChildren(...frame());
  for (const one of root.querySelectorAll("[id]")) inside.set(one.id, one);
  const byId = (id) => inside.get(id);
  const methodBox = byId("method"), sequenceBox = byId("sequence"), slider = byId("step");

  // A trace is a stretch of one sequence under one method; those of one stretch are in one part, and share its pool.
  const tracesOf = (index) => index.parts.flatMap((part, place) => part.methods.map((method, within) => ({
    method: index.methods[method],
    sequence: part.sequence,
    name: part.whole === false ? `${part.sequence}, t = ${part.first} to ${part.last}` : part.sequence,
    memory: (part.memory || []).includes(method),
    first: part.first,
    last: part.last,
    part: place,
    place: within,
  })));

  const pooled = (place) => trace.pool[place];
  const unit = (name) => (data.units[name] ? ` ${data.units[name]}` : "");
  const dated = (step) => (step.when === undefined ? "" : `, ${pooled(step.when)}`);
  const hasMemory = () => trace.memory || trace.steps.some((step) => step.memory);

  // Unpacking ------------------------------------------------------------------------------------------------------

  let unpacking = new Map();

  // What there is of one step in columns, of which those without anything are left out.
  function row(columns, place) {
    return Object.fromEntries(Object.entries(columns).filter(([, column]) => column[place] !== null).map(([name, column]) => [name, column[place]]));
  }

  function stepsOf(columns) {
    const answers = Object.entries(columns.answers), trust = Object.entries(columns.trust);
    return columns.t.map((t, place) => ({
      t,
      ...row(columns.steps, place),
      answers: answers.map(([name, of]) => ({ name, ...row(of, place) })),
      said: trust.map(([field, of]) => ({ field, ...row(of, place) })).filter((said) => Object.keys(said).length > 1),
    }));
  }

  async function load(one) {
    if (!unpacking.has(one.part)) unpacking.set(one.part, source.load(one.part));
    const part = await unpacking.get(one.part);
    one.pool = part.pool;
    one.steps = one.steps || stepsOf(part.traces[one.place]);
  }

  // Which step -----------------------------------------------------------------------------------------------------

  // Whether it was chosen: not if another one was while it was loaded.
  async function choose(chosen) {
    const before = trace;
    wanted = chosen;
    root.setAttribute("aria-busy", "true");
    try {
      await load(chosen);
    } catch (error) {
      unpacking.delete(chosen.part); // to be tried again
      throw error;
    } finally {
      if (wanted === chosen) root.removeAttribute("aria-busy");
    }
    if (wanted !== chosen || closing.signal.aborted) return false;
    trace = chosen;
    if (!before || before.method !== trace.method) byId("calls").open = !hasMemory();
    options(methodBox, data.methods.filter((name) => traces.some((one) => one.method === name)).map((name) => [name, name]), trace.method);
    options(sequenceBox, traces.filter((one) => one.method === trace.method).map((one) => [one.part, one.name]), trace.part);
    slider.max = trace.steps.length - 1;
    drawTimeline();
    return true;
  }

  function options(box, pairs, chosen) {
    fill(box, ...pairs.map(([value, name]) => element("option", { value }, name)));
    box.value = chosen;
    box.parentElement.hidden = pairs.length < 2; // there is nothing to choose
  }

  const whereNow = () => ({ method: trace.method, sequence: trace.sequence, t: trace.steps[at].t });

  function go(place) {
    if (!trace) return; // a key that was pressed while the first steps were loaded
    at = Math.max(0, Math.min(trace.steps.length - 1, place));
    showStep(trace.steps[at]);
    if (source.moved) source.moved(whereNow());
  }

  // The trace that has a step, else the one that comes nearest to it.
  function tracesFor({ method, sequence, t }) {
    const favourite = (source.latest ? traces.findLast((one) => one.memory) || traces.at(-1) : traces.find((one) => one.memory)) || traces[0];
    const named = traces.filter((one) => one.method === (traces.some((one) => one.method === method) ? method : favourite.method));
    const within = named.filter((one) => one.sequence === sequence);
    const among = within.length ? within : named.includes(favourite) ? [favourite] : named;
    return among.find((one) => one.first <= t && t <= one.last) || (source.latest ? among.at(-1) : among[0]);
  }

  async function show(where) {
    if (!(await choose(tracesFor(where)))) return;
    const found = trace.steps.findIndex((step) => step.t === where.t);
    at = found >= 0 ? found : source.latest ? trace.steps.length - 1 : 0;
    showStep(trace.steps[at]);
  }

  // One step -------------------------------------------------------------------------------------------------------

  function showStep(step) {
    slider.value = at;
    slider.setAttribute("aria-valuetext", `t = ${step.t}`);
    byId("position").textContent = `t = ${step.t} (${at + 1} of ${trace.steps.length})${dated(step)}`;
    byId("previous").disabled = at === 0;
    byId("next").disabled = at === trace.steps.length - 1;
    fill(byId("observation"),
      ...Object.entries(pooled(step.observation)).flatMap(([name, value]) => [
        element("dt", {}, name), element("dd", {}, value),
      ]),
    );
    showAnswers(step);
    showSaid(step);
    showRecalled(step);
    showAdvice(step);
    showFeedback(step);
    showMemory(step);
    showCalls(step);
    markNow();
  }

  function showAnswers(step) {
    const status = byId("status");
    const answered = step.status === "ok" || step.status === "repaired";
    status.textContent = step.status.replace("_", " ");
    status.className = `status ${answered ? "" : "bad"}`;
    fill(byId("answers"), ...step.answers.map((answer) => {
      const verdict = element("td", {});
      if (answer.right !== undefined) {
        verdict.append(element("span", { class: answer.right ? "right" : "wrong" }, answer.right ? "✓ right" : "✗ wrong"));
      }
      if (answer.note) verdict.append(element("span", { class: "detail" }, `${answer.right === undefined ? "" : " "}${answer.note}`));
      const value = (text) => element("td", {}, text === undefined ? "–" : text + unit(answer.name));
      return element("tr", {}, element("th", { scope: "row" }, answer.name), value(answer.said), value(answer.came), verdict);
    }));
    const trouble = [];
    if (step.problem) trouble.push(element("p", { class: "note" }, step.problem));
    if (!answered && pooled(step.raw)) trouble.push(element("p", { class: "note" }, "what the model wrote:"), element("pre", { tabindex: 0 }, pooled(step.raw)));
    for (const note of step.notes || []) trouble.push(element("p", { class: "note" }, note));
    fill(byId("trouble"), ...trouble);
    byId("tell").replaceChildren(...(source.tell ? source.tell(step) : []));
  }

  function showRecalled(step) {
    const recalled = step.recalled || [];
    const rows = recalled.map((note) => {
      const tells = note.tells || [], followed = note.followed || [];
      const row = element("li", {}, element("span", { class: "body" }, pooled(note.text)));
      if (tells.length) {
        const all = followed.length === tells.length;
        const partly = followed.length ? `followed in ${followed.join(", ")}` : "not followed";
        row.append(element("span", { class: all ? "status good" : "status" }, all ? "followed" : partly));
      }
      return row;
    });
    const title = recalled.length > 1 ? "Recalled, the most alike first" : "Recalled";
    fill(byId("recalled"), ...(rows.length ? [element("h3", {}, title), element("ul", { class: "recalled" }, ...rows)] : []));
  }

  const ranked = (figures) => figures.map(([text, figure]) => `${pooled(text)} ${figure.toFixed(2)}`).join(", ");

  function showSaid(step) {
    const rows = (step.said || []).map((said) => {
      const row = element("li", {}), given = said.given || [], told = said.told || [];
      const words = [];
      if (said.chance !== undefined) words.push(`right with a chance of ${said.chance.toFixed(2)}`);
      if (said.low !== undefined) words.push(`between ${said.low} and ${said.high}${unit(said.field)}`);
      if (said.among !== undefined) words.push(`among ${pooled(said.among).map(pooled).join(", ")}${said.more ? ` and ${said.more} more` : ""}`);
      row.append(element("span", { class: "body" }, `${said.field}: ${words.join("; ")}`));
      if (said.held !== undefined) row.append(element("span", { class: said.held ? "status good" : "status bad" }, said.held ? "held" : "missed"));
      if (said.abstained) row.append(element("span", { class: "status bad" }, "held back"));
      if (said.guessed) row.append(element("span", { class: "status" }, "a guess: nothing to go by yet"));
      if (given.length) row.append(element("p", { class: "prose detail" }, `chances: ${ranked(given)}`));
      if (told.length) row.append(element("p", { class: "prose detail" }, `as the model said: ${ranked(told)}`));
      return row;
    });
    fill(byId("said"), ...(rows.length ? [element("h3", {}, "How far to trust it"), element("ul", { class: "recalled" }, ...rows)] : []));
  }

  function showAdvice(step) {
    const advised = new Map(step.advised || []);
    const rows = (step.advice || []).map(([field, believed]) => {
      const row = element("li", {}, element("span", { class: "body" }, `${field}: believed ${ranked(believed)}`)), said = advised.get(field);
      if (said) row.append(element("p", { class: "prose detail" }, `they said: ${said.map(([name, value]) => `${name} ${value}`).join(", ")}`));
      return row;
    });
    fill(byId("advice"), ...(rows.length ? [element("h3", {}, "Advice"), element("ul", { class: "recalled" }, ...rows)] : []));
  }

  function showFeedback(step) {
    const parts = [];
    if (step.feedback !== undefined) {
      parts.push(
        element("h3", {}, "Feedback", element("span", { class: "status" }, step.feedback_kind)),
        element("p", { class: "prose" }, pooled(step.feedback)),
      );
    }
    parts.push(element("h3", {}, "Update", element("span", { class: `status ${UPDATES[step.outcome]}` }, step.outcome.replace("_", " "))));
    if (step.reason) parts.push(element("p", { class: "prose" }, step.reason));
    fill(byId("feedback"), ...parts);
  }

  // Memory ---------------------------------------------------------------------------------------------------------

  function showMemory(step) {
    const memory = step.memory;
    if (!memory) {
      const why = step.waits ? "The outcome of this step was not learned, so it changed no memory." : hasMemory() ? "There is none at this step." : "This method keeps no memory in language.";
      fill(byId("memory"), element("h3", {}, "Memory"), element("p", { class: "note" }, why));
      return;
    }
    const parts = [...predictedWith(memory), element("h3", {}, "Memory after this step", element("span", { class: "status" }, `version ${memory.version}`))];
    if (memory.before !== undefined) {
      const came = step.answers.some((answer) => answer.came !== undefined);
      const when = came ? "Its outcome came late, when" : "No outcome came, as was seen when";
      parts.push(element("p", { class: "note" }, `${when} the memory was at version ${memory.before}: what is marked changed from there.`));
    }
    if (memory.tokens !== undefined) parts.push(...fillBar(memory.tokens));
    for (const [name, items] of memory.sections) parts.push(element("p", { class: "section-name" }, name), memoryItems(items, pooled));
    fill(byId("memory"), ...parts);
  }

  // With late outcomes the memory that made the prediction is an earlier one than the one that its update began with.
  function predictedWith(memory) {
    if (memory.made === undefined) return [];
    if (memory.before === undefined) return [element("p", { class: "note made" }, `The prediction was made with version ${memory.made}.`)];
    return [
      element("h3", {}, "Memory that made the prediction", element("span", { class: "status" }, `version ${memory.made}`)),
      element("div", { class: "made" }, ...(memory.shown || []).flatMap(([name, items]) => [
        element("p", { class: "section-name" }, name),
        items.length ? element("ul", { class: "recalled" }, ...items.map((item) => element("li", {}, pooled(item)))) : element("p", { class: "note" }, "empty"),
      ])),
    ];
  }

  function fillBar(tokens) {
    if (data.budget === undefined) return [element("p", { class: "fill-label" }, `${number(tokens)} tokens`)];
    const bar = element("div", {});
    bar.style.width = `${Math.min(100, (100 * tokens) / Math.max(1, data.budget))}%`;
    return [
      element("p", { class: "fill-label" }, `${number(tokens)} of ${number(data.budget)} tokens`),
      element("div", { class: tokens > data.budget ? "fill over" : "fill", "aria-hidden": "true" }, bar),
    ];
  }

  // Calls ----------------------------------------------------------------------------------------------------------

  function showCalls(step) {
    if (source.asked) return showAsked(step);
    const calls = step.calls || [];
    byId("calls-title").textContent = calls.length === 1 ? "1 model call" : `${calls.length || "no"} model calls`;
    fill(byId("call-list"), ...calls.flatMap((call) => {
      const figures = [
        `${number(call.prompt)} tokens read${call.cached === null ? "" : ` (${number(call.cached)} cached)`}`,
        `${number(call.completion)} written`,
        `${call.seconds.toFixed(2)} s`,
        `finish ${call.finish}`,
      ];
      if (call.retries) figures.push(`${call.retries} retries`);
      if (call.error) figures.push(call.error);
      return [
        element("p", { class: "call-head" }, element("b", {}, call.role), ` ${figures.join(", ")}`),
        asked(call),
        element("pre", { tabindex: 0, class: "answer" }, pooled(call.text)),
      ];
    }));
  }

  // What was asked at a step, where it is kept elsewhere and is fetched when somebody looks.
  async function showAsked(step) {
    byId("calls-title").textContent = "What the model was asked, and what it wrote";
    if (!byId("calls").open) return;
    let parts;
    try {
      const found = await source.asked(step);
      parts = found ? [
        element("p", { class: "call-head" }, element("b", {}, "predict"), ` ${found.seconds.toFixed(2)} s`),
        messages(found.messages.map((one) => [one.role, one.content]), true),
        element("pre", { tabindex: 0, class: "answer" }, found.answer),
      ] : [element("p", { class: "note" }, "No model was asked, or what it was asked is not kept any more.")];
    } catch (error) {
      parts = [element("p", { class: "note", role: "alert" }, error.message)];
    }
    if (trace.steps[at] === step) fill(byId("call-list"), ...parts);
  }

  function asked(call) {
    if (!call.asked) {
      const why = data.unasked ? `: ${data.unasked}` : " in this run";
      return element("p", { class: "note" }, `What was asked is not recorded${why}.`);
    }
    return messages(call.asked.map(([role, lines]) => [role, lines.map(pooled).join("\n")]), false);
  }

  function messages(pairs, open) {
    const many = pairs.length === 1 ? "1 message" : `${pairs.length} messages`;
    return element("details", open ? { class: "asked", open: "" } : { class: "asked" }, element("summary", {}, `asked in ${many}`), ...pairs.flatMap(([role, text]) => [
      element("p", { class: "call-head" }, role),
      element("pre", { tabindex: 0 }, text),
    ]));
  }

  // Timeline: a row for each field (right above the line, wrong below it; errors by size), then the memory's tokens --

  const NAME_WIDTH = 104, ROW = 26, MEMORY_ROW = 56;
  let slot = 0;

  function drawTimeline() {
    const width = byId("timeline").clientWidth;
    if (width <= NAME_WIDTH) return; // not laid out yet: the observer calls again
    const steps = trace.steps;
    slot = (width - NAME_WIDTH) / steps.length;
    const fields = steps[0].answers.map((answer) => answer.name);
    const height = fields.length * ROW + (hasMemory() ? MEMORY_ROW : 0);
    const svg = shape("svg", { width, height, "aria-hidden": "true" });
    svg.append(shape("rect", { class: "now", y: 0, width: Math.max(slot, 3), height }));
    fields.forEach((name, row) => svg.append(...fieldRow(name, row)));
    if (hasMemory()) svg.append(...memoryRow(fields.length * ROW, width));
    steps.forEach((step, place) => {
      const hit = shape("rect", { class: "hit", x: NAME_WIDTH + place * slot, y: 0, width: slot, height }, shape("title", {}, `t = ${step.t}${dated(step)}`));
      hit.addEventListener("click", () => go(place));
      svg.append(hit);
    });
    byId("timeline").replaceChildren(svg);
    markNow();
  }

  function fieldRow(name, row) {
    const middle = row * ROW + ROW / 2, bar = Math.min(slot * 0.7, 14);
    const answers = trace.steps.map((step) => step.answers[row]);
    const isNumber = answers.some((answer) => answer.error !== undefined);
    const answered = answers.filter((answer) => answer.said !== undefined && answer.error !== undefined);
    const largest = Math.max(...answered.map((answer) => answer.error), 0) || 1;
    const base = isNumber ? middle + 10 : middle;
    const parts = [
      shape("text", { x: 0, y: middle + 4 }, isNumber ? `${name} error` : name),
      shape("line", { class: "base", x1: NAME_WIDTH, x2: NAME_WIDTH + slot * answers.length, y1: base, y2: base }),
    ];
    answers.forEach((answer, place) => {
      const x = NAME_WIDTH + (place + 0.5) * slot - bar / 2;
      if (answer.said === undefined && (answer.right === false || answer.error !== undefined)) {
        parts.push(shape("text", { class: "down", x: x + bar / 2, y: middle + 8, "text-anchor": "middle" }, "×"));
      } else if (answer.error !== undefined) {
        const size = Math.max(1, (20 * answer.error) / largest);
        parts.push(shape("rect", { class: "size", x, y: base - size, width: bar, height: size }));
      } else if (answer.right !== undefined) {
        parts.push(shape("rect", { class: answer.right ? "up" : "down", x, y: answer.right ? middle - 9 : middle, width: bar, height: 9 }));
      }
    });
    return parts;
  }

  function memoryRow(top, width) {
    const tokens = trace.steps.map((step) => (step.memory && step.memory.tokens) || 0);
    const most = Math.max(...tokens, data.budget || 0, 1), bottom = top + MEMORY_ROW - 4;
    const y = (value) => bottom - ((MEMORY_ROW - 20) * value) / most;
    const edge = tokens.map((value, place) => `${place ? "L" : "M"}${NAME_WIDTH + place * slot} ${y(value)}H${NAME_WIDTH + (place + 1) * slot}`).join("");
    const parts = [
      shape("text", { x: 0, y: bottom - 14 }, "memory tokens"),
      shape("path", { class: "area", d: `${edge}V${bottom}H${NAME_WIDTH}Z` }),
      shape("path", { class: "edge", d: edge }),
      shape("line", { class: "base", x1: NAME_WIDTH, x2: width, y1: bottom, y2: bottom }),
    ];
    if (data.budget !== undefined) {
      parts.push(shape("line", { class: "limit", x1: NAME_WIDTH, x2: width, y1: y(data.budget), y2: y(data.budget) }));
      parts.push(shape("text", { x: 0, y: bottom }, `budget ${number(data.budget)}`));
    }
    return parts;
  }

  function markNow() {
    const now = byId("timeline").querySelector(".now");
    if (now) now.setAttribute("x", NAME_WIDTH + at * slot);
  }

  // Start ----------------------------------------------------------------------------------------------------------

  function complain(error) {
    byId("position").textContent = error.message;
  }

  async function changeTrace(method, part) {
    const t = trace.steps[at].t, ofMethod = traces.filter((one) => one.method === method);
    if (!(await choose(ofMethod.find((one) => one.part === part) || ofMethod[0]))) return;
    const same = trace.steps.findIndex((step) => step.t === t);
    go(same < 0 ? 0 : same);
  }

  // Take notice of further steps, and of what became of those that are there; whoever looks at the last one goes along.
  async function refresh(index) {
    if (!index.parts.length || wanted !== trace) return; // another one is being loaded, and will be as it is then
    const now = trace.steps[at], isLast = at === trace.steps.length - 1;
    const goesOn = isLast && traces.findLast((one) => one.method === trace.method && one.sequence === trace.sequence) === trace;
    const where = whereNow();
    data = index;
    traces = tracesOf(index);
    unpacking = new Map();
    if (goesOn) where.t = traces.findLast((one) => one.method === where.method && one.sequence === where.sequence).last;
    await show(where);
    if (goesOn && source.moved && trace.steps[at].t !== now.t) source.moved(whereNow());
  }

  traces = tracesOf(data);
  methodBox.addEventListener("change", () => changeTrace(methodBox.value, trace.part).catch(complain));
  sequenceBox.addEventListener("change", () => changeTrace(trace.method, Number(sequenceBox.value)).catch(complain));
  slider.addEventListener("input", () => go(Number(slider.value)));
  byId("previous").addEventListener("click", () => go(at - 1));
  byId("next").addEventListener("click", () => go(at + 1));
  byId("calls").addEventListener("toggle", () => { if (trace && source.asked) showAsked(trace.steps[at]); });
  document.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    // Lists, choices, texts and what scrolls sideways have a use of their own for these keys.
    const busy = "select, textarea, input:not([type=range]), dialog, .scroll, .tabs";
    if (!step || event.altKey || event.ctrlKey || event.metaKey || event.target.closest(busy)) return;
    event.preventDefault();
    go(at + step);
  }, listening);
  await show(source.where || {});
  root.hidden = false;
  const observer = new ResizeObserver(drawTimeline);
  observer.observe(byId("timeline"));
  drawTimeline();

  return {
    refresh,
    show: (where) => show(where).catch(complain),
    close() {
      closing.abort();
      observer.disconnect();
    },
  };
}
