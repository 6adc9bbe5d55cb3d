// One session: its scores, what waits, its memory, its steps; followed as they change.

import { element, fill, number } from "./dom.js";
import { makeHistory, makeMemory } from "./memory.js";
import { makeScores } from "./scores.js";
import { ask, follow, oneAtATime } from "./talk.js";
import { tellOutcome } from "./tell.js";
import { makeViewer } from "./viewer.js";
import { makeWaiting } from "./waiting.js";
import { time } from "./words.js";

const STRETCH = 500;
const REST = 300;

export async function showSession(page, name, query, signal) {
  const path = `/v1/sessions/${encodeURIComponent(name)}`, parts = `/ui/sessions/${encodeURIComponent(name)}/steps`;
  page.title(name);
  let session = await ask(path, { signal });
  const task = await ask(`/v1/tasks/${encodeURIComponent(session.task)}?version=${session.task_version}`, { signal });
  const facts = element("dl", { class: "facts" }), place = (id, title) => element("section", { id, "aria-labelledby": `${id}-title` }, element("h2", { id: `${id}-title`, tabindex: -1 }, title));
  const at = {
    scores: place("scores", "Scores over time"),
    waiting: place("waiting", "Predictions that wait"),
    memory: place("memory-now", "The memory"),
    history: place("history", "How the memory changed"),
    steps: place("steps", "Step by step"),
  };
  const jump = element("nav", { class: "parts", "aria-label": "Parts of this page" }, ...Object.values(at).map((section) => {
    const button = element("button", { type: "button", class: "link" }, section.firstChild.textContent);
    button.addEventListener("click", () => section.firstChild.focus());
    return button;
  }));
  page.main.replaceChildren(
    element("p", { class: "kicker" }, element("a", { href: "#/" }, "Sessions"), " / ", task.title),
    element("h1", {}, name), facts, jump, at.scores, at.waiting, at.memory, at.history, at.steps);

  // Steps, by stretches
  let credits = new Map(), viewer, budget;
  const root = element("div", { id: "viewer", hidden: "" }), none = element("p", { class: "note" });
  at.steps.append(none, root);
  const index = () => ({
    methods: [session.method],
    units: Object.fromEntries(task.content.answer.filter((field) => field.unit).map((field) => [field.name, field.unit])),
    budget,
    parts: Array.from({ length: Math.ceil(session.steps / STRETCH) }, (_, place) => ({
      sequence: name,
      first: place * STRETCH,
      last: Math.min((place + 1) * STRETCH, session.steps) - 1,
      methods: [0],
      memory: session.memory_version === null ? [] : [0],
      whole: session.steps <= STRETCH,
    })),
  });
  const tell = (step) => tellOutcome(name, task, step, () => page.say("The outcome is kept, and will be learned."));

  async function load(part) {
    const found = await ask(`${parts}?after=${part * STRETCH - 1}&limit=${STRETCH}`, { signal });
    budget ??= found.budget;
    if (!found.traces.length) throw new Error(`steps ${part * STRETCH} to ${(part + 1) * STRETCH - 1} are not kept any more`);
    credits = credited(found);
    return found;
  }

  function told(step) {
    if (step.waits === "given_up") return [element("p", { class: "note" }, "It was given up, because too many waited.")];
    const button = element("button", { type: "button" }, step.told ? "Correct the outcome" : "Tell the outcome");
    button.addEventListener("click", () => tell({ id: String(step.id), replaces: step.told?.number }));
    return session.status === "active" ? [button] : [];
  }

  async function asked(step) {
    return (await ask(`${path}/predictions/${encodeURIComponent(step.id)}`, { signal })).asked;
  }

  async function showSteps() {
    none.textContent = session.steps ? "" : "Nothing has been predicted yet.";
    if (!session.steps) return;
    if (viewer) return viewer.refresh(index());
    const wanted = query.get("t"), t = wanted === null ? session.steps - 1 : Number(wanted);
    const first = load(Math.floor(Math.min(t, session.steps - 1) / STRETCH));
    await first; // which says how large the memory may become
    viewer = await makeViewer(root, {
      index: index(), load, tell: told, asked, latest: true, where: { sequence: name, t },
      moved: (to) => history.replaceState(null, "", `#/sessions/${encodeURIComponent(name)}?t=${to.t}`),
    });
    signal.addEventListener("abort", () => viewer.close());
  }

  const scores = makeScores(at.scores), waiting = makeWaiting(at.waiting, path, tell, signal);
  const memory = makeMemory(at.memory, path, page, () => credits, signal), past = makeHistory(at.history, path, page, signal);
  if (session.memory_version === null) for (const section of [at.memory, at.history]) section.hidden = true;

  const showAll = oneAtATime(async () => {
    showFacts(facts, session);
    const remembers = session.memory_version !== null;
    await Promise.all([
      ask(`/ui/sessions/${encodeURIComponent(name)}/scores`, { signal }).then(scores.show),
      waiting.show(),
      showSteps().then(() => remembers && memory.show()),
      remembers && past.show(),
    ]);
    await new Promise((done) => setTimeout(done, REST)); // a session that learns quickly is looked at now and then
  });

  let known = session.revision + session.steps;
  await showAll();
  const now = setInterval(() => showFacts(facts, session), 10000);
  signal.addEventListener("abort", () => clearInterval(now));
  follow(`${path}/events`, (kind, data) => {
    if (kind === "deleted") {
      page.complain(new Error("this session was deleted"));
      return;
    }
    if (data.changed === session.changed && known === data.revision + data.steps && data.due === session.due && data.status === session.status) return;
    known = data.revision + data.steps;
    session = data;
    showAll().then(() => page.complain(null), (error) => { if (!signal.aborted) page.complain(error); });
  }, (yes) => page.say(yes ? "live" : "the connection is gone, and will be tried again"), signal).catch(page.complain);
}

function showFacts(facts, session) {
  const share = session.prompt_tokens ? ` (${Math.round((100 * session.cached_tokens) / session.prompt_tokens)} % cached)` : "";
  const pairs = {
    status: session.status,
    method: session.method,
    task: `${session.task}, version ${session.task_version}`,
    steps: number(session.steps),
    waiting: session.due ? `${number(session.waiting)}, of which ${number(session.due)} told` : number(session.waiting),
    "memory version": session.memory_version === null ? "" : number(session.memory_version),
    "model calls": number(session.calls),
    "tokens read": session.prompt_tokens ? number(session.prompt_tokens) + share : "",
    "tokens written": session.completion_tokens ? number(session.completion_tokens) : "",
    changed: time(session.changed),
  };
  fill(facts, ...Object.entries(pairs).filter(([, value]) => value !== "").map(([name, value]) =>
    element("div", {}, element("dt", {}, name), element("dd", {}, value))));
}

// How often each note was shown again at the steps of a part, how often the answer was what it told, and how often that
// was right.
function credited(part) {
  const found = new Map();
  for (const trace of part.traces) {
    const fields = Object.entries(trace.answers);
    (trace.steps.recalled || []).forEach((notes, step) => {
      for (const note of notes || []) {
        const text = part.pool[note.text], credit = found.get(text) || { shown: 0, followed: 0, right: 0 }, followed = note.followed || [];
        const rights = fields.filter(([name]) => followed.includes(name)).map(([, columns]) => columns.right?.[step]);
        credit.shown += 1;
        if (followed.length) credit.followed += 1;
        if (rights.some((one) => one === true) && rights.every((one) => one !== false)) credit.right += 1;
        found.set(text, credit);
      }
    });
  }
  return found;
}
