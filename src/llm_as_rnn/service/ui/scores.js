// Scores over time: of the answers, and of those whose advice they went by.

import { element, fill, number, shape } from "./dom.js";
import { figure, labelled, table } from "./words.js";

const OWN = "answers";
const COLOURS = 8;
const MEANINGS = {
  accuracy: "share of right answers; higher is better",
  abs_error: "mean absolute error; lower is better",
  sq_error: "mean squared error; lower is better",
  log_loss: "log loss of the chances; lower is better",
  covered: "share of outcomes that the interval or set held",
};
const HEIGHT = 220, LEFT = 46, RIGHT = 12, TOP = 10, BOTTOM = 34;

const kind = (score) => score.split(".").at(-1);
const lowers = (score) => /error|loss/.test(kind(score));
const split = (name) => (name.includes(":") ? [name.slice(0, name.indexOf(":")), name.slice(name.indexOf(":") + 1)] : [OWN, name]);
const mean = (pair) => (pair && pair[0] ? pair[1] / pair[0] : NaN);

export function makeScores(place) {
  const chosen = element("select", {}), chart = element("figure", {}), totals = element("div", {}), blocks = element("div", {});
  const folded = element("details", { class: "quiet" }, element("summary", {}, "The figures of the chart"), blocks);
  const controls = element("div", { class: "controls" }, ...labelled("Score", chosen));
  place.append(controls, chart, folded, totals);
  let scores;
  chosen.addEventListener("change", draw);
  new ResizeObserver(draw).observe(chart);

  function show(found) {
    scores = found;
    const names = Object.keys(found.total).filter((name) => !name.includes(":")), before = chosen.value;
    fill(chosen, ...names.map((name) => element("option", {}, name)));
    if (names.includes(before)) chosen.value = before;
    controls.hidden = !names.length;
    folded.hidden = !names.length;
    showTotals(names);
    draw();
  }

  const whose = () => [OWN, ...new Set(Object.keys(scores.total).filter((name) => name.includes(":")).map((name) => split(name)[0]))];
  const full = (who, score) => (who === OWN ? score : `${who}:${score}`);

  function showTotals(names) {
    if (!names.length) {
      fill(totals, element("p", { class: "note" }, "No outcome has been learned yet."));
      return;
    }
    const best = new Map(names.map((score) => {
      const all = whose().map((who) => mean(scores.total[full(who, score)])).filter(Number.isFinite);
      return [score, lowers(score) ? Math.min(...all) : Math.max(...all)];
    }));
    const rows = whose().map((who) => element("tr", {}, element("th", { scope: "row" }, who), ...names.map((score) => {
      const value = mean(scores.total[full(who, score)]), isBest = value === best.get(score) && kind(score) !== "covered";
      return element("td", {}, isBest ? element("strong", {}, figure(value)) : figure(value));
    })));
    const counted = scores.total[names[0]][0];
    fill(totals, element("h3", {}, "In all"), table("Mean scores of the answers and of each adviser", ["who", ...names], rows),
      element("p", { class: "note" }, `Means over ${number(counted)} steps whose outcome was learned. Each adviser's row says what its own answers would have scored; bold: the best.`));
  }

  function draw() {
    if (!scores || !chosen.value) {
      fill(chart);
      return;
    }
    const score = chosen.value, size = scores.steps_in_block;
    const numbers = Object.keys(scores.blocks).map(Number).sort((a, b) => a - b);
    const lines = whose().map((who, at) => ({
      who,
      look: `series-${at % COLOURS}`,
      points: numbers.map((block) => [(block + 1) * size, mean(scores.blocks[block][full(who, score)])]).filter(([, value]) => Number.isFinite(value)),
    })).filter((line) => line.points.length);
    const caption = element("figcaption", {}, score, element("span", { class: "detail" }, ` ${MEANINGS[kind(score)] || ""}`));
    const key = element("ul", { class: "legend", "aria-label": "Legend" }, ...lines.map((line, at) => element("li", {}, swatch(line.look, at > 0), line.who)));
    const note = element("p", { class: "note" }, `A point for every ${size} steps. Dashed: those whose advice the answers go by.`);
    fill(chart, caption, key, picture(score, lines, numbers.length ? (numbers.at(-1) + 1) * size : size), note);
    const recent = numbers.slice(-50).reverse();
    fill(blocks, table(`${score} by stretches of ${size} steps, the latest first`, ["steps", ...lines.map((line) => line.who)], recent.map((block) =>
      element("tr", {}, element("th", { scope: "row" }, `${number(block * size)} to ${number((block + 1) * size - 1)}`),
        ...lines.map((line) => element("td", {}, figure(mean(scores.blocks[block][full(line.who, score)]))))))));
  }

  function picture(score, lines, steps) {
    const width = Math.max(280, Math.floor(chart.clientWidth));
    const values = lines.flatMap((line) => line.points.map(([, value]) => value));
    const share = ["accuracy", "covered"].includes(kind(score));
    const high = share ? 1 : Math.max(...values, 1e-9) * 1.05;
    const x = (step) => LEFT + ((width - LEFT - RIGHT) * step) / steps, y = (value) => HEIGHT - BOTTOM - ((HEIGHT - TOP - BOTTOM) * value) / high;
    const svg = shape("svg", { class: "chart", width, height: HEIGHT, viewBox: `0 0 ${width} ${HEIGHT}`, role: "img", "aria-label": told(score, lines) });
    for (const part of [0, 0.25, 0.5, 0.75, 1]) {
      svg.append(shape("path", { class: "grid", d: `M${LEFT} ${y(part * high)}H${width - RIGHT}` }));
      svg.append(shape("text", { class: "tick", x: LEFT - 6, y: y(part * high) + 4, "text-anchor": "end" }, figure(part * high)));
    }
    for (const part of [0, 0.5, 1]) {
      svg.append(shape("text", { class: "tick", x: x(part * steps), y: HEIGHT - BOTTOM + 16, "text-anchor": ["start", "middle", "end"][part * 2] }, number(Math.round(part * steps))));
    }
    svg.append(shape("text", { class: "tick", x: (LEFT + width - RIGHT) / 2, y: HEIGHT - 3, "text-anchor": "middle" }, "steps"));
    for (const [at, line] of [...lines.entries()].reverse()) svg.append(drawn(line, at > 0, x, y));
    return svg;
  }

  function drawn(line, dashed, x, y) {
    const path = line.points.map(([step, value], at) => `${at ? "L" : "M"}${x(step).toFixed(1)} ${y(value).toFixed(1)}`).join("");
    const group = shape("g", { class: line.look }, shape("path", { class: dashed ? "line dashed" : "line", d: path }));
    if (line.points.length <= 40) {
      for (const [step, value] of line.points) group.append(shape("circle", { class: "mark", cx: x(step), cy: y(value), r: dashed ? 2.5 : 3.5 }, shape("title", {}, `${line.who}, to step ${step}: ${figure(value)}`)));
    }
    return group;
  }

  const told = (score, lines) => `${score} over time. ${lines.map((line) => `${line.who}: from ${figure(line.points[0][1])} to ${figure(line.points.at(-1)[1])}`).join("; ")}.`;

  function swatch(look, dashed) {
    return shape("svg", { class: `swatch ${look}`, viewBox: "0 0 30 10", "aria-hidden": "true" }, shape("path", { class: dashed ? "line dashed" : "line", d: "M0 5H30" }));
  }

  return { show };
}
