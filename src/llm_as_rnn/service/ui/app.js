// The page: which part of it is shown, and who may look. What comes from data is only ever set as text.

import { element } from "./dom.js";
import { showList } from "./list.js";
import { showSession } from "./session.js";
import { ask, key } from "./talk.js";

const main = document.getElementById("main"), problem = document.getElementById("problem");
const live = document.getElementById("live"), forget = document.getElementById("forget");
let leave = new AbortController();

// What every part of the page is given.
const page = {
  main,
  say(text) { live.textContent = text; },
  // Show what is wrong, in a line; nothing is wrong any more where there is no error.
  complain(error) {
    if (error?.name === "AbortError") return;
    if (error?.status === 401) return askForKey(key.get() ? error.message : "");
    problem.textContent = error ? error.message : "";
    problem.hidden = !error;
  },
  title(text) { document.title = `${text} | llm-as-rnn`; },
};

async function show() {
  leave.abort();
  leave = new AbortController();
  const { signal } = leave;
  page.complain(null);
  page.say("");
  forget.hidden = !key.get();
  const [path, query] = location.hash.replace(/^#/, "").split("?");
  const named = path.match(/^\/sessions\/(.+)$/);
  try {
    if (named) await showSession(page, decodeURIComponent(named[1]), new URLSearchParams(query), signal);
    else await showList(page, new URLSearchParams(query), signal);
  } catch (error) {
    if (!signal.aborted) page.complain(error);
  }
}

function askForKey(why) {
  leave.abort();
  page.title("Key");
  const input = element("input", { id: "key", type: "password", autocomplete: "off", required: "", "aria-describedby": "key-note" });
  const form = element("form", { class: "key" },
    element("h1", {}, "A key is needed"),
    element("p", { class: "note", id: "key-note" }, "It is one that llm-as-rnn serve keys create has shown. It is kept for as long as this tab is open."),
    element("label", { for: "key" }, "Key"), input,
    element("button", { type: "submit" }, "Look"));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    key.set(input.value.trim());
    try {
      await ask("/v1/sessions?limit=1");
    } catch (error) {
      if (error.status === 401) key.forget();
      problem.textContent = error.message;
      problem.hidden = false;
      return;
    }
    show();
  });
  key.forget();
  forget.hidden = true;
  problem.textContent = why;
  problem.hidden = !why;
  main.replaceChildren(form);
  input.focus();
}

forget.addEventListener("click", () => {
  key.forget();
  show();
});
document.getElementById("skip").addEventListener("click", (event) => {
  event.preventDefault(); // addresses of this page say what is shown
  main.focus();
});
addEventListener("hashchange", show);
show();
