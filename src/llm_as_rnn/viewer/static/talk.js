// Asks the server that a page comes from, with a key where one is needed. It is kept for as long as the tab is open, and
// never stands in an address.

const KEPT = "llm-as-rnn-key";

export const key = {
  get: () => sessionStorage.getItem(KEPT),
  set: (value) => sessionStorage.setItem(KEPT, value),
  forget: () => sessionStorage.removeItem(KEPT),
};

// What the server would not do, in its own words (RFC 9457).
export class Problem extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

async function send(path, { method = "GET", body, headers = {}, signal } = {}) {
  const all = { ...headers };
  if (key.get()) all.Authorization = `Bearer ${key.get()}`;
  if (body !== undefined) all["Content-Type"] = "application/json";
  let answer;
  try {
    answer = await fetch(path, { method, headers: all, body: body === undefined ? undefined : JSON.stringify(body), signal, cache: "no-store" });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Problem("the server does not answer: look whether it runs", 0);
  }
  if (answer.ok) return answer;
  const told = await answer.json().catch(() => ({}));
  const parts = [told.detail || `the server answered ${answer.status}`, ...(told.errors || [])].join("; ");
  throw new Problem(told.hint ? `${parts} (${told.hint})` : parts, answer.status);
}

// Promise what the server gives.
export async function ask(path, how) {
  const answer = await send(path, how), text = await answer.text();
  return text ? JSON.parse(text) : null;
}

const pause = (milliseconds, signal) => new Promise((done) => {
  const timer = setTimeout(done, milliseconds);
  signal.addEventListener("abort", () => { clearTimeout(timer); done(); }, { once: true });
});

const AGAIN = 2000;

// Follow server-sent events until the signal aborts: `heard(kind, data)` is called for each, `connected(yes)` when the
// connection comes and goes. The browser's own EventSource cannot show a key. It ends with a Problem where coming
// back is of no use.
export async function follow(path, heard, connected, signal) {
  let last;
  while (!signal.aborted) {
    try {
      const answer = await send(path, { headers: last === undefined ? {} : { "Last-Event-ID": last }, signal });
      connected(true);
      for await (const event of events(answer.body)) {
        if (event.id !== undefined) last = event.id;
        if (event.data !== undefined) heard(event.event || "message", JSON.parse(event.data));
      }
    } catch (error) {
      if (signal.aborted) return;
      if ([401, 403, 404].includes(error.status)) throw error;
    }
    if (signal.aborted) return;
    connected(false);
    await pause(AGAIN, signal);
  }
}

async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const blocks = (rest + value).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const lines = block.split("\n").filter((line) => line && !line.startsWith(":")).map((line) => line.split(/: ?(.*)/s));
      yield Object.fromEntries(lines);
    }
  }
}

// Have something done again and again, never twice at a time: what is asked for meanwhile is done once more after it.
export function oneAtATime(work) {
  let running = false, again = false;
  return async () => {
    again = true;
    if (running) return;
    running = true;
    try {
      while (again) {
        again = false;
        await work();
      }
    } finally {
      running = false;
    }
  };
}
