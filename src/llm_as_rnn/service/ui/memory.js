// The memory: as it is, with what a person may do about it; and how it came about.

import { element, fill, memoryItems } from "./dom.js";
import { ask } from "./talk.js";
import { labelled, openDialog, time } from "./words.js";

// The present memory. `credits()` gives what became of notes that were shown again, by their text.
export function makeMemory(place, path, page, credits, signal) {
  const head = element("div", { class: "controls" }), body = element("div", { class: "sections" });
  place.append(head, body);
  let memory;

  async function show() {
    memory = await ask(`${path}/memory`, { signal });
    const edit = element("button", { type: "button" }, "Edit");
    edit.addEventListener("click", () => editMemory(memory));
    fill(head, element("span", { class: "status" }, `version ${memory.version}`),
      element("span", { class: "detail" }, `${memory.tokens === null ? "" : `${memory.tokens} tokens, `}by ${memory.author}`), edit);
    fill(body, ...memory.sections.map((section) => element("section", { "aria-label": section.name },
      element("h3", { class: "section-name" }, section.name),
      section.items.length ? element("ul", { class: "notes" }, ...section.items.map(note)) : element("p", { class: "note" }, "empty"))));
  }

  function note(text) {
    const pinned = (memory.pinned || []).includes(text), credit = credits().get(text);
    const button = element("button", { type: "button", class: "small", "aria-pressed": String(pinned) }, pinned ? "Pinned" : "Pin",
      element("span", { class: "hidden" }, ` this note: ${text}`));
    button.title = pinned ? "no update drops or alters it; press to let it go" : "no update shall drop or alter it";
    button.addEventListener("click", () => pin(text, !pinned));
    const row = element("li", {}, element("span", { class: "body" }, text), button);
    if (credit) row.append(element("span", { class: "detail" }, `shown again at ${credit.shown} of the steps below, followed at ${credit.followed}, right at ${credit.right}`));
    return row;
  }

  async function pin(text, wanted) {
    try {
      if (wanted) await ask(`${path}/memory/pins`, { method: "PUT", body: { item: text } });
      else await ask(`${path}/memory/pins?${new URLSearchParams({ item: text })}`, { method: "DELETE" });
      page.complain(null);
      page.say(wanted ? "The note is pinned." : "The note may change again.");
      await show();
    } catch (error) {
      page.complain(error);
    }
  }

  function editMemory(of) {
    const areas = of.sections.map((section) => ({ name: section.name, area: element("textarea", { rows: Math.max(3, section.items.length + 1) }, section.items.join("\n")) }));
    openDialog("Edit the memory", [
      element("p", { class: "note" }, `A note a line. What you save becomes a new version, with your key's name for its author; version ${of.version} stays.`),
      ...areas.flatMap(({ name, area }) => labelled(name, area)),
    ], "Save", async () => {
      const sections = areas.map(({ name, area }) => ({ name, items: area.value.split("\n").map((line) => line.trim()).filter(Boolean) }));
      await ask(`${path}/memory`, { method: "PUT", body: { sections }, headers: { "If-Match": `"${of.version}"` } });
      page.say("The memory is saved as a new version.");
    });
  }

  return { show };
}

// How the memory changed: the latest change first, each unfolded on its own.
export function makeHistory(place, path, page, signal) {
  const list = element("ol", { class: "history" }), earlier = element("button", { type: "button" }, "Show earlier ones");
  const shown = new Map();
  place.append(list, earlier);
  earlier.addEventListener("click", () => load(Math.min(...shown.keys())).catch(page.complain));

  async function load(before) {
    const limit = 20, query = before === undefined ? "" : `&before=${before}`;
    const found = await ask(`${path.replace("/v1/", "/ui/")}/memories?limit=${limit}${query}`, { signal });
    const isGap = shown.size && before === undefined && found.length === limit && found.at(-1).revision > Math.max(...shown.keys());
    if (isGap) shown.clear(); // more came than is on a page: what was there before is shown again when it is asked for
    for (const change of found) if (!shown.has(change.revision)) shown.set(change.revision, entry(change));
    const order = [...shown.keys()].sort((a, b) => b - a).map((revision) => shown.get(revision));
    order.forEach((one, at) => { if (list.children[at] !== one) list.insertBefore(one, list.children[at] || null); });
    while (list.children.length > order.length) list.lastElementChild.remove();
    order.forEach((one, at) => { one.querySelector("button").hidden = at === 0; });
    if (before !== undefined || !earlier.dataset.known || isGap) {
      earlier.hidden = found.length < limit;
      earlier.dataset.known = "yes";
    }
  }

  function entry(change) {
    const restore = element("button", { type: "button" }, `Restore version ${change.version}`);
    restore.addEventListener("click", () => restoreVersion(change.version));
    const marks = change.sections.flatMap(([, items]) => items.map((item) => item[2])), count = (mark) => marks.filter((one) => one === mark).length;
    const what = [["+", "added"], ["~", "edited"], ["-", "removed"]].filter(([mark]) => count(mark)).map(([mark, word]) => `${count(mark)} ${word}`);
    const from = change.t === undefined ? "" : `, learned from step ${change.t}`;
    return element("li", {}, element("details", {},
      element("summary", {}, element("b", {}, `version ${change.version}`), ` by ${change.author}${from}, `, time(change.created),
        element("span", { class: "detail" }, ` ${what.length ? what.join(", ") : "nothing changed"}`)),
      ...(change.reason ? [element("p", { class: "note" }, change.reason)] : []),
      ...change.sections.flatMap(([name, items]) => [element("p", { class: "section-name" }, name), memoryItems(items, (text) => text)]),
      element("div", { class: "buttons" }, restore)));
  }

  function restoreVersion(version) {
    openDialog(`Restore version ${version}?`, [element("p", {}, "Its text comes back as a new version; nothing is lost, and predictions go on waiting.")], "Restore", async () => {
      await ask(`${path}/memory/restore`, { method: "POST", body: { version } });
      page.say(`Version ${version} is back, as a new version.`);
    });
  }

  return { show: () => load() };
}
