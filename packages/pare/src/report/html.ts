/** A run's facts as one self-contained page: no scripts, no requests, light and dark. */
import {
  bytesText,
  learningCurve,
  percentText,
  pixelBands,
  pixelImage,
  stageBytes,
  stageErrors,
  weightHistogram,
} from "./chart.js";
import type { ReportFacts } from "./facts.js";

const escapes: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};
const text = (value: unknown): string => String(value).replace(/[&<>"']/g, (c) => escapes[c]!);
const number = (n: number): string => n.toLocaleString("en-US");

type Column<T> = readonly [title: string, cell: (row: T) => string, kind?: "number"];
function table<T>(rows: readonly T[], columns: readonly Column<T>[]): string {
  const tag = (name: string, [, , kind]: Column<T>, body: string) =>
    `<${name}${kind ? ' class="number"' : ""}>${body}</${name}>`;
  const head = columns.map((c) => tag("th", c, text(c[0]))).join("");
  const body = rows.map((row) => `<tr>${columns.map((c) => tag("td", c, text(c[1](row)))).join("")}</tr>`).join("\n");
  return `<div class="scroll"><table><thead><tr>${head}</tr></thead><tbody>\n${body}\n</tbody></table></div>`;
}
const section = (title: string, body: string): string =>
  body ? `<section><h2>${text(title)}</h2>\n${body}</section>\n` : "";
const figures = (items: readonly (readonly [caption: string, svg: string])[]): string =>
  items.length
    ? `<div class="grid">${items.map(([c, svg]) => `<figure><figcaption>${text(c)}</figcaption>${svg}</figure>`).join("\n")}</div>`
    : "";

const style = `
:root { color-scheme: light dark; --accent: #3457d5; --cell-low: #eef1fb; --line: #d8dbe4; --soft: #f5f6fa; --ink: #1b1e28; --page: #fff; }
@media (prefers-color-scheme: dark) { :root { --accent: #8fa8ff; --cell-low: #1c2030; --line: #343948; --soft: #1e212c; --ink: #e6e8f0; --page: #14161d; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1040px; padding: 24px; font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--page); }
h1 { font-size: 26px; margin: 0 0 4px; } h2 { font-size: 18px; margin: 36px 0 12px; }
.lead { font-size: 17px; } .quiet { opacity: .75; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: 6px 8px; border-bottom: 1px solid var(--line); white-space: nowrap; } th { font-weight: 600; background: var(--soft); }
.number { text-align: right; } td.wrap { white-space: normal; }
.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(320px, 1fr)); gap: 18px; }
figure { margin: 0; } figcaption { font-size: 13px; font-weight: 600; margin-bottom: 4px; overflow-wrap: anywhere; } svg { max-width: 100%; height: auto; }
`;

/** The report page. */
export function html(facts: ReportFacts): string {
  const first = facts.stages[0]!;
  const last = facts.stages.at(-1)!;
  const total = facts.layers.reduce((sum, l) => sum + l.bytes, 0) || 1;
  const lead =
    `${bytesText(first.sizeBytes)} became ${bytesText(last.sizeBytes)}: ${(first.sizeBytes / last.sizeBytes).toFixed(1)} times smaller, ` +
    `${number(last.nonzero)} of ${number(first.parameters)} parameters left. ` +
    (Number.isFinite(first.error)
      ? `Test error ${percentText(first.error)} before, ${percentText(last.error)} after.`
      : "");
  const pixels = facts.pixels;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Pare: ${text(facts.model)}</title>
<style>${style}</style>
</head>
<body>
<h1>${text(facts.model)}</h1>
<p class="lead">${text(lead)}</p>
<p class="quiet">Data: ${text(facts.data)}. Seed ${facts.seed}. Packed file: ${text(facts.output)}</p>
${section(
  "Stages",
  table(facts.stages, [
    ["stage", (s) => s.stage],
    ["parameters", (s) => number(s.parameters), "number"],
    ["weights kept", (s) => number(s.nonzero), "number"],
    ["kept", (s) => percentText(s.nonzero / first.parameters), "number"],
    ["entropy estimate", (s) => `${number(Math.round(s.entropyBytes))} B`, "number"],
    ["file", (s) => `${number(s.sizeBytes)} B`, "number"],
    ["test error", (s) => percentText(s.error), "number"],
    ["seconds", (s) => s.seconds.toFixed(1), "number"],
  ]),
)}${section("Bytes by stage", stageBytes(facts.stages))}${section("Error by stage", facts.stages.some((s) => Number.isFinite(s.error)) ? stageErrors(facts.stages) : "")}${section(
  "Layers of the packed file",
  table(facts.layers, [
    ["layer", (l) => l.name],
    ["operator", (l) => l.op],
    ["shape", (l) => l.dims.join(" × ")],
    ["kept", (l) => `${number(l.nonzero)} (${percentText(l.nonzero / Math.max(1, l.parameters))})`, "number"],
    ["values", (l) => number(l.values), "number"],
    ["bits per survivor", (l) => (l.nonzero ? ((8 * l.bytes) / l.nonzero).toFixed(2) : "–"), "number"],
    ["bytes", (l) => number(Math.round(l.bytes)), "number"],
    ["share", (l) => percentText(l.bytes / total), "number"],
    ["coding", (l) => l.coding],
  ]),
)}${section(
  "Surviving weights per input pixel",
  pixels
    ? `<p>${text(pixels.weight)}: the ${pixels.height} bands are the rows of the image.</p><div class="grid">${pixelImage(pixels)}</div>${pixelBands(pixels)}`
    : "",
)}${section(
  "Learning curves",
  facts.curves
    .filter((c) => c.epochs.length > 1)
    .map((c) => `<figure><figcaption>${text(c.stage)}</figcaption><div class="grid">${learningCurve(c)}</div></figure>`)
    .join("\n"),
)}${section(
  "Weights before",
  figures(facts.histograms.dense.map((h) => [h.weight, weightHistogram(h)])),
)}${section("Weights after: the shared values and how often they occur", figures(facts.histograms.packed.map((h) => [h.weight, weightHistogram(h)])))}${section(
  "What was done and what was left alone",
  facts.notes.length
    ? table(facts.notes, [
        ["stage", (n) => n.stage],
        ["node", (n) => n.node],
        ["", (n) => n.what],
        ["why", (n) => n.why],
      ])
    : "",
)}</body>
</html>
`;
}
