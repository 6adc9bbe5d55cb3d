// The list of sessions: filtered, searched, a page at a time.

import { element, fill, number } from "./dom.js";
import { ask, oneAtATime } from "./talk.js";
import { labelled, table, time } from "./words.js";

const PAGE = 50;
const LOOK = 5000;

export async function showList(page, query, signal) {
  page.title("Sessions");
  const search = element("input", { type: "search", id: "search", value: query.get("search") || "", maxlength: 200 });
  const task = element("select", { id: "task" }, element("option", { value: "" }, "all"));
  const status = element("select", { id: "of-status" }, ...["all", "active", "archived"].map((name) => element("option", { value: name === "all" ? "" : name }, name)));
  const form = element("form", { class: "controls", role: "search" },
    ...labelled("Search", search), ...labelled("Task", task), ...labelled("Status", status));
  const found = element("div", { id: "found" }), before = element("button", { type: "button" }, "Previous"), next = element("button", { type: "button" }, "Next");
  const count = element("p", { class: "note", role: "status" });
  page.main.replaceChildren(element("h1", {}, "Sessions"), form, count, found, element("nav", { class: "paging", "aria-label": "Pages" }, before, next));

  const tasks = await ask("/v1/tasks", { signal });
  task.append(...[...new Set(tasks.map((one) => one.name))].map((name) => element("option", {}, name)));
  task.value = query.get("task") || "";
  status.value = query.get("status") || "";
  let pages = [""]; // behind which session each page begins, up to the one that is shown

  const load = oneAtATime(async () => {
    const wanted = { after: pages.at(-1), limit: PAGE + 1, search: search.value, task: task.value, status: status.value };
    const filled = Object.entries(wanted).filter(([, value]) => value !== "");
    const sessions = await ask(`/v1/sessions?${new URLSearchParams(filled)}`, { signal });
    const shown = sessions.slice(0, PAGE);
    const begin = (pages.length - 1) * PAGE;
    count.textContent = shown.length ? `Sessions ${number(begin + 1)} to ${number(begin + shown.length)}, by name` : "There is no such session.";
    fill(found, ...(shown.length ? [table("Sessions", HEADS, shown.map(row), { class: "names sessions" })] : []));
    before.disabled = pages.length === 1;
    next.disabled = sessions.length <= PAGE;
    next.onclick = () => go([...pages, shown.at(-1).id]);
  });
  const look = () => load().then(() => page.complain(null), (error) => { if (!signal.aborted) page.complain(error); });

  function go(to) {
    pages = to;
    look();
  }

  function filter() {
    const asked = Object.entries({ search: search.value, task: task.value, status: status.value }).filter(([, value]) => value);
    history.replaceState(null, "", asked.length ? `#/?${new URLSearchParams(asked)}` : "#/");
    go([""]);
  }

  before.addEventListener("click", () => go(pages.slice(0, -1)));
  for (const one of [search, task, status]) one.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  const timer = setInterval(() => { if (!document.hidden) look(); }, LOOK);
  signal.addEventListener("abort", () => clearInterval(timer));
  await load();
}

const HEADS = ["session", { title: "task", class: "wide" }, { title: "status", class: "wide" }, "steps", "waiting", { title: "memory", class: "wide" }, "changed"];

function row(session) {
  const link = element("a", { href: `#/sessions/${encodeURIComponent(session.id)}` }, session.id);
  return element("tr", {},
    element("th", { scope: "row" }, link),
    element("td", { class: "wide" }, session.task),
    element("td", { class: "wide" }, session.status),
    element("td", {}, number(session.steps)),
    element("td", {}, number(session.waiting)),
    element("td", { class: "wide" }, session.memory_version === null ? "–" : `v${session.memory_version}`),
    element("td", {}, time(session.changed)));
}
