"use strict";
// The trace viewer. It only ever sets text, never markup: what it shows was written by models.
(async () => {
  const data = JSON.parse(document.getElementById("data").textContent);
  if (!data.parts.length) return;

  const byId = (id) => document.getElementById(id);
  const methodBox = byId("method"), sequenceBox = byId("sequence"), slider = byId("step");
  const UPDATES = { accepted: "good", kept: "", rolled_back: "bad", skipped: "" };
  const SIGNS = { "=": "", "+": "+", "-": "−", "~": "~" };
  const CLASSES = { "=": "same", "+": "added", "-": "removed", "~": "edited" };
  const SIGN_NAMES = { "+": "added", "-": "removed", "~": "edited" };
  let trace, wanted, at = 0;

  // A trace is a stretch of one sequence under one method; those of one stretch are in one part, and share its pool.
  const traces = data.parts.flatMap((part, number) => part.methods.map((method, place) => ({
    method: data.methods[method],
    sequence: part.sequence,
    name: part.whole === false ? `${part.sequence}, t = ${part.first} to ${part.last}` : part.sequence,
    memory: (part.memory || []).includes(method),
    first: part.first,
    last: part.last,
    part: number,
    place,
  })));

  // Building blocks ------------------------------------------------------------------------------------------------

  function element(tag, attributes = {}, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...children);
    return made;
  }

  function shape(tag, attributes, ...children) {
    const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...children);
    return made;
  }

  const pooled = (place) => trace.pool[place];
  const unit = (name) => (data.units[name] ? ` ${data.units[name]}` : "");
  const dated = (step) => (step.when === undefined ? "" : `, ${pooled(step.when)}`);
  const number = (value) => value.toLocaleString("en");
  const hasMemory = () => trace.steps.some((step) => step.memory);

  // Unpacking ------------------------------------------------------------------------------------------------------

  const unpacking = new Map();

  async function unpack(id) {
    const bytes = Uint8Array.from(atob(byId(id).textContent), (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return JSON.parse(await new Response(stream).text());
  }

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
    if (!unpacking.has(one.part)) unpacking.set(one.part, unpack(`part-${one.part}`));
    const part = await unpacking.get(one.part);
    one.pool = part.pool;
    one.steps = one.steps || stepsOf(part.traces[one.place]);
  }

  // Which step -----------------------------------------------------------------------------------------------------

  // Whether it was chosen: not if another one was while it was unpacked.
  async function chooseTrace(method, isIt) {
    const ofMethod = traces.filter((one) => one.method === method);
    const chosen = wanted = ofMethod.find(isIt) || ofMethod[0];
    byId("viewer").setAttribute("aria-busy", "true");
    await load(chosen);
    if (wanted !== chosen) return false;
    byId("viewer").removeAttribute("aria-busy");
    trace = chosen;
    methodBox.value = method;
    sequenceBox.replaceChildren(...ofMethod.map((one) => element("option", { value: one.part }, one.name)));
    sequenceBox.value = trace.part;
    slider.max = trace.steps.length - 1;
    byId("calls").open = !hasMemory();
    return true;
  }

  function go(place) {
    if (!trace) return; // a key that was pressed while the first steps were unpacked
    at = Math.max(0, Math.min(trace.steps.length - 1, place));
    showStep(trace.steps[at]);
    const where = new URLSearchParams({ method: trace.method, sequence: trace.sequence, t: trace.steps[at].t });
    history.replaceState(null, "", `#${where}`);
  }

  async function restore() {
    const where = new URLSearchParams(location.hash.slice(1));
    const favourite = traces.find((one) => one.memory) || traces[0], t = Number(where.get("t"));
    const method = traces.some((one) => one.method === where.get("method")) ? where.get("method") : favourite.method;
    const named = traces.filter((one) => one.method === method && one.sequence === where.get("sequence"));
    const there = named.find((one) => one.first <= t && t <= one.last) || named[0];
    await chooseTrace(method, (one) => one === there);
    at = Math.max(0, trace.steps.findIndex((step) => String(step.t) === where.get("t")));
    return where.has("t");
  }

  // One step -------------------------------------------------------------------------------------------------------

  function showStep(step) {
    slider.value = at;
    slider.setAttribute("aria-valuetext", `t = ${step.t}`);
    byId("position").textContent = `t = ${step.t} (${at + 1} of ${trace.steps.length})${dated(step)}`;
    byId("previous").disabled = at === 0;
    byId("next").disabled = at === trace.steps.length - 1;
    byId("observation").replaceChildren(
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
    byId("answers").replaceChildren(...step.answers.map((answer) => {
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
    if (!answered) trouble.push(element("p", { class: "note" }, "what the model wrote:"), element("pre", { tabindex: 0 }, pooled(step.raw)));
    for (const note of step.notes || []) trouble.push(element("p", { class: "note" }, note));
    byId("trouble").replaceChildren(...trouble);
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
    byId("recalled").replaceChildren(...(rows.length ? [element("h3", {}, title), element("ul", { class: "recalled" }, ...rows)] : []));
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
      if (given.length) row.append(element("p", { class: "prose detail" }, `chances: ${ranked(given)}`));
      if (told.length) row.append(element("p", { class: "prose detail" }, `as the model said: ${ranked(told)}`));
      return row;
    });
    byId("said").replaceChildren(...(rows.length ? [element("h3", {}, "How far to trust it"), element("ul", { class: "recalled" }, ...rows)] : []));
  }

  function showAdvice(step) {
    const rows = (step.advice || []).map(([field, believed]) =>
      element("li", {}, element("span", { class: "body" }, `${field}: believed ${ranked(believed)}`)));
    byId("advice").replaceChildren(...(rows.length ? [element("h3", {}, "Advice"), element("ul", { class: "recalled" }, ...rows)] : []));
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
    byId("feedback").replaceChildren(...parts);
  }

  // Memory ---------------------------------------------------------------------------------------------------------

  function showMemory(step) {
    const memory = step.memory;
    if (!memory) {
      const why = hasMemory() ? "There is none at this step." : "This method keeps no memory in language.";
      byId("memory").replaceChildren(element("h3", {}, "Memory"), element("p", { class: "note" }, why));
      return;
    }
    const parts = [...predictedWith(memory), element("h3", {}, "Memory after this step", element("span", { class: "status" }, `version ${memory.version}`))];
    if (memory.before !== undefined) parts.push(element("p", { class: "note" }, `Its outcome came late, when the memory was at version ${memory.before}: what is marked changed from there.`));
    if (memory.tokens !== undefined) parts.push(...fillBar(memory.tokens));
    for (const [name, items] of memory.sections) {
      parts.push(
        element("p", { class: "section-name" }, name),
        items.length ? element("ul", { class: "items" }, ...items.map(memoryItem)) : element("p", { class: "note" }, "empty"),
      );
    }
    byId("memory").replaceChildren(...parts);
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

  function memoryItem([id, since, mark, content]) {
    const body = element("span", { class: "body" });
    if (mark === "~") {
      for (const [change, text] of content) {
        body.append(change === "=" ? text : element(change === "+" ? "ins" : "del", {}, text));
      }
    } else {
      body.append(pooled(content));
    }
    const sign = element("span", { class: "sign", "aria-hidden": "true" }, SIGNS[mark]);
    const row = element("li", { class: CLASSES[mark], "data-item": id }, element("span", { class: "number" }, String(id)), sign, body);
    row.title = since === null ? `item ${id}, from the first memory` : `item ${id}, since t = ${since}`;
    if (SIGN_NAMES[mark]) body.prepend(element("span", { class: "hidden" }, `${SIGN_NAMES[mark]}: `));
    return row;
  }

  // Calls ----------------------------------------------------------------------------------------------------------

  function showCalls(step) {
    const calls = step.calls || [];
    byId("calls").hidden = false;
    byId("calls-title").textContent = calls.length === 1 ? "1 model call" : `${calls.length || "no"} model calls`;
    byId("call-list").replaceChildren(...calls.flatMap((call) => {
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

  function asked(call) {
    if (!call.asked) {
      const why = data.unasked ? `: ${data.unasked}` : " in this run";
      return element("p", { class: "note" }, `What was asked is not recorded${why}.`);
    }
    const many = call.asked.length === 1 ? "1 message" : `${call.asked.length} messages`;
    return element("details", { class: "asked" }, element("summary", {}, `asked in ${many}`), ...call.asked.flatMap(([role, lines]) => [
      element("p", { class: "call-head" }, role),
      element("pre", { tabindex: 0 }, lines.map(pooled).join("\n")),
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
    const now = document.querySelector("#timeline .now");
    if (now) now.setAttribute("x", NAME_WIDTH + at * slot);
  }

  // Start ----------------------------------------------------------------------------------------------------------

  async function changeTrace(method, part) {
    const t = trace.steps[at].t;
    if (!(await chooseTrace(method, (one) => one.part === part))) return;
    drawTimeline();
    const same = trace.steps.findIndex((step) => step.t === t);
    go(same < 0 ? 0 : same);
  }

  methodBox.replaceChildren(...data.methods.filter((name) => traces.some((one) => one.method === name)).map((name) => element("option", {}, name)));
  methodBox.addEventListener("change", () => changeTrace(methodBox.value, trace.part));
  sequenceBox.addEventListener("change", () => changeTrace(trace.method, Number(sequenceBox.value)));
  slider.addEventListener("input", () => go(Number(slider.value)));
  byId("previous").addEventListener("click", () => go(at - 1));
  byId("next").addEventListener("click", () => go(at + 1));
  document.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    // Lists, choices and what scrolls sideways have a use of their own for these keys.
    if (!step || event.altKey || event.ctrlKey || event.metaKey || event.target.closest("select, .scroll, .tabs")) return;
    event.preventDefault();
    go(at + step);
  });
  if (!window.DecompressionStream) {
    byId("steps").append(element("p", { class: "note" }, "This browser is too old to unpack the steps."));
    return;
  }
  const linked = await restore();
  byId("viewer").hidden = false;
  new ResizeObserver(drawTimeline).observe(byId("timeline"));
  drawTimeline();
  showStep(trace.steps[at]);
  if (linked) byId("steps").scrollIntoView();
})();
