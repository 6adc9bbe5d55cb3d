// A run's steps, also while it goes on. The key comes behind the address's number sign, which browsers send nowhere, and
// is taken out of it at once.

import { element, fill, number } from "./dom.js";
import { ask, follow, key, oneAtATime } from "./talk.js";
import { makeViewer } from "./viewer.js";

const byId = (id) => document.getElementById(id);
const where = Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
let index, viewer;

if (where.key) {
  key.set(where.key);
  delete where.key;
  history.replaceState(null, "", `#${new URLSearchParams(where)}`);
}
if (where.t !== undefined) where.t = Number(where.t);

function complain(error) {
  byId("problem").textContent = error ? error.message : "";
  byId("problem").hidden = !error;
}

function load(place) {
  const { sequence, first, methods } = index.parts[place];
  return ask(`data/part?${new URLSearchParams({ sequence, first, methods })}`);
}

const show = oneAtATime(async () => {
  index = await ask("data/index");
  document.title = `${index.title} | llm-as-rnn`;
  byId("title").textContent = index.title;
  byId("credentialed").hidden = !index.credentialed;
  fill(byId("facts"), ...index.facts.map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, value))));
  byId("count").textContent = index.steps ? `${number(index.steps)} steps${index.status === "running" ? " so far" : ""}` : "No step is recorded yet.";
  if (viewer) await viewer.refresh(index);
  else if (index.parts.length) {
    viewer = await makeViewer(byId("viewer"), {
      index, load, where,
      latest: index.status === "running",
      moved: (to) => history.replaceState(null, "", `#${new URLSearchParams(to)}`),
    });
  }
  complain(null);
});

show().catch(complain);
follow("data/events", () => show().catch(complain),
  (yes) => { if (!yes) complain(new Error("nothing new comes: llm-as-rnn view was ended, or cannot be reached")); },
  new AbortController().signal).catch(complain);
