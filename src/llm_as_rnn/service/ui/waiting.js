// Predictions whose outcome has not been learned.

import { element, fill } from "./dom.js";
import { ask } from "./talk.js";
import { answers, table, time } from "./words.js";

const PAGE = 50;

export function makeWaiting(place, path, tell, signal) {
  const list = element("div", {}), more = element("button", { type: "button" }, "Show more");
  let most = PAGE;
  place.append(list, more);
  more.addEventListener("click", () => {
    most += PAGE;
    show();
  });

  async function show() {
    const steps = await ask(`${path}/steps?state=waiting&limit=${Math.min(1000, most + 1)}`, { signal });
    more.hidden = steps.length <= most || most >= 1000;
    const rows = steps.slice(0, most).map((step) => {
      const { prediction, outcome } = step, button = element("button", { type: "button" }, "Tell");
      button.append(element("span", { class: "hidden" }, ` what came of ${prediction.id}`));
      button.addEventListener("click", () => tell({ id: String(prediction.id), said: prediction.values }));
      return element("tr", {},
        element("th", { scope: "row" }, String(prediction.id)),
        element("td", { class: "wide" }, String(prediction.t)),
        element("td", { class: "text" }, answers(prediction.values)),
        element("td", { class: "wide" }, time(prediction.created)),
        element("td", {}, outcome ? `told (${outcome.status})` : button));
    });
    fill(list, rows.length ? table("Predictions that wait for their outcome", ["prediction", { title: "step", class: "wide" }, { title: "predicted", class: "text" }, { title: "made", class: "wide" }, "outcome"], rows, { class: "names" })
      : element("p", { class: "note" }, "None: every outcome that was told has been learned."));
  }

  return { show };
}
