/** A run's facts as one self-contained page: no scripts, no requests, light and dark. */
import {
  bytesText,
  layerWidths,
  learningCurve,
  percentText,
  pixelBands,
  pixelImage,
  stageBytes,
  stageErrors,
  weightHistogram,
} from "./chart.js";
import type { ReportFacts } from "./facts.js";
import { figures, number, page, section, table, text } from "./page.js";

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
  const narrower = facts.widths.filter((w) => w.after < w.before).length;
  return page(
    facts.model,
    `<p class="lead">${text(lead)}</p>
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
)}${section(
  "Widths of the layers",
  narrower > 0
    ? `<p>${narrower} of ${facts.widths.length} layers are narrower: output channels before (pale) and after.</p>${layerWidths(facts.widths)}`
    : "",
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
)}`,
  );
}
