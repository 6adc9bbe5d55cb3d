// Shows the steps that this page holds (behind dom.js and viewer.js, whose functions it uses).

async function unpacked(part) {
  const text = document.getElementById(`part-${part}`).textContent;
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(stream).text());
}

async function showSteps() {
  const index = JSON.parse(document.getElementById("data").textContent), steps = document.getElementById("steps");
  if (!index.parts.length) return;
  if (!window.DecompressionStream) {
    steps.append(element("p", { class: "note" }, "This browser is too old to unpack the steps."));
    return;
  }
  const linked = new URLSearchParams(location.hash.slice(1)), where = Object.fromEntries(linked);
  await makeViewer(document.getElementById("viewer"), {
    index,
    load: unpacked,
    where: linked.has("t") ? { ...where, t: Number(where.t) } : where,
    moved: (to) => history.replaceState(null, "", `#${new URLSearchParams(to)}`),
  });
  if (linked.has("t")) steps.scrollIntoView();
}

showSteps();
