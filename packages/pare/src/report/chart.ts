/** Charts as SVG text: Observable Plot drawing into a document without a browser. Colours follow the page, light or dark. */
import * as Plot from "@observablehq/plot";
import { parseHTML } from "linkedom";
import type { Curve, Histogram, PixelPicture, StageFacts } from "./facts.js";

const { document } = parseHTML("<!doctype html><html><body></body></html>");

/** One plot as an <svg> string; `label` is what a screen reader says. */
export function svg(label: string, options: Plot.PlotOptions): string {
  const figure = Plot.plot({
    marginBottom: 40,
    ...options,
    document: document as unknown as NonNullable<Plot.PlotOptions["document"]>,
    style: { background: "none", color: "currentColor", fontFamily: "inherit", fontSize: "12px", overflow: "visible" },
  });
  figure.setAttribute("role", "img");
  figure.setAttribute("aria-label", label);
  figure.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  return figure.outerHTML;
}

export function bytesText(bytes: number): string {
  if (bytes < 1000) return `${Math.round(bytes)} B`;
  if (bytes < 1e6) return `${(bytes / 1000).toFixed(bytes < 1e5 ? 1 : 0)} KB`;
  return `${(bytes / 1e6).toFixed(2)} MB`;
}
export const percentText = (ratio: number): string => (Number.isFinite(ratio) ? `${(100 * ratio).toFixed(2)} %` : "–");

/** Output channels of each layer: what there was behind what is left. */
export function layerWidths(
  widths: readonly { readonly layer: string; readonly before: number; readonly after: number }[],
): string {
  const rows = widths.map((w, i) => ({ ...w, row: `${i}` }));
  const widest = Math.max(1, ...rows.map((r) => r.before));
  const name = (i: string): string => {
    const { layer } = rows[Number(i)]!;
    return layer.length > 34 ? `…${layer.slice(-33)}` : layer;
  };
  return svg("Output channels of each layer, before and after", {
    width: 760,
    height: 60 + 22 * rows.length,
    marginLeft: 240,
    marginRight: 90,
    x: { label: "output channels", grid: true, domain: [0, widest], ticks: 6 },
    y: { label: null, domain: rows.map((r) => r.row), tickFormat: name, tickSize: 0, padding: 0.25 },
    marks: [
      Plot.barX(rows, { x: "before", y: "row", fill: "var(--ghost)" }),
      Plot.barX(rows, { x: "after", y: "row", fill: "var(--accent)", insetTop: 3, insetBottom: 3 }),
      Plot.text(rows, {
        x: "before",
        y: "row",
        text: (d: (typeof rows)[number]) => (d.after < d.before ? `${d.before} → ${d.after}` : `${d.before}`),
        textAnchor: "start",
        dx: 6,
        fill: "currentColor",
      }),
    ],
  });
}

/** What is left of each quantity: bars to the share, the numbers behind them. */
export function shares(
  rows: readonly { readonly what: string; readonly share: number; readonly numbers: string }[],
): string {
  return svg("What is left", {
    width: 760,
    height: 56 + 30 * rows.length,
    marginLeft: 110,
    marginRight: 230,
    x: {
      label: "% of the original",
      grid: true,
      domain: [0, Math.max(100, ...rows.map((r) => 100 * r.share))],
      ticks: 5,
    },
    y: { label: null, domain: rows.map((r) => r.what), tickSize: 0, padding: 0.3 },
    marks: [
      Plot.barX(rows, { x: () => 100, y: "what", fill: "var(--ghost)" }),
      Plot.barX(rows, {
        x: (d: (typeof rows)[number]) => 100 * d.share,
        y: "what",
        fill: "var(--accent)",
        insetTop: 3,
        insetBottom: 3,
      }),
      Plot.text(rows, {
        x: (d: (typeof rows)[number]) => Math.max(100, 100 * d.share),
        y: "what",
        text: "numbers",
        textAnchor: "start",
        dx: 8,
        fill: "currentColor",
      }),
    ],
  });
}

/** Bytes of each stage on a logarithmic axis. */
export function stageBytes(stages: readonly StageFacts[]): string {
  const rows = stages.map((s, i) => ({ ...s, row: `${i + 1}. ${s.stage}` }));
  const smallest = Math.min(...rows.map((r) => r.sizeBytes));
  return svg("Bytes of the model after each stage", {
    width: 640,
    height: 56 + 34 * rows.length,
    marginLeft: 150,
    marginRight: 80,
    x: {
      type: "log",
      label: "bytes (logarithmic)",
      grid: true,
      domain: [smallest / 2, Math.max(...rows.map((r) => r.sizeBytes)) * 1.1],
      tickFormat: (v: number) => bytesText(v),
      ticks: 4,
    },
    y: { label: null, domain: rows.map((r) => r.row), padding: 0.3 },
    marks: [
      Plot.barX(rows, { x1: smallest / 2, x2: "sizeBytes", y: "row", fill: "var(--accent)" }),
      Plot.text(rows, {
        x: "sizeBytes",
        y: "row",
        text: (d: StageFacts) => bytesText(d.sizeBytes),
        textAnchor: "start",
        dx: 6,
        fill: "currentColor",
      }),
    ],
  });
}

/** Test error of each stage. */
export function stageErrors(stages: readonly StageFacts[]): string {
  const rows = stages
    .map((s, i) => ({ row: `${i + 1}. ${s.stage}`, error: 100 * s.error }))
    .filter((r) => Number.isFinite(r.error));
  const top = Math.max(...rows.map((r) => r.error), 0.01);
  return svg("Test error after each stage", {
    width: 640,
    height: 56 + 34 * rows.length,
    marginLeft: 150,
    marginRight: 80,
    x: { label: "test error, %", grid: true, domain: [0, top * 1.15] },
    y: { label: null, domain: rows.map((r) => r.row), padding: 0.3 },
    marks: [
      Plot.ruleY(rows, { x: "error", y: "row", stroke: "var(--accent)" }),
      Plot.dot(rows, { x: "error", y: "row", r: 5, fill: "var(--accent)" }),
      Plot.text(rows, {
        x: "error",
        y: "row",
        text: (d: { error: number }) => `${d.error.toFixed(2)} %`,
        textAnchor: "start",
        dx: 10,
        fill: "currentColor",
      }),
    ],
  });
}

/** Training loss and validation error over the epochs of one stage. */
export function learningCurve(curve: Curve): string {
  const loss = curve.epochs.filter((e) => Number.isFinite(e.loss));
  const errors = curve.epochs.filter((e) => e.validationError !== null);
  const half = (
    label: string,
    points: readonly unknown[],
    y: string | ((e: Curve["epochs"][number]) => number),
  ): string =>
    points.length === 0
      ? ""
      : svg(`${curve.stage}: ${label}`, {
          width: 310,
          height: 190,
          marginLeft: 46,
          x: { label: "epoch", tickFormat: (v: number) => (Number.isInteger(v) ? String(v) : "") },
          y: { label, grid: true, ticks: 4, zero: label !== "loss" },
          marks: [
            Plot.lineY(points as Curve["epochs"], {
              x: "epoch",
              y: y as string,
              stroke: "var(--accent)",
              strokeWidth: 2,
            }),
            Plot.dot(points as Curve["epochs"], { x: "epoch", y: y as string, r: 2, fill: "var(--accent)" }),
          ],
        });
  return half("loss", loss, "loss") + half("validation error, %", errors, (e) => 100 * (e.validationError ?? 0));
}

/** Counts of a tensor's non-zero values; shared values as rules as tall as their count. */
export function weightHistogram(h: Histogram): string {
  const shared = h.centroids.length > 0;
  return svg(`Non-zero values of ${h.weight}`, {
    width: 310,
    height: 165,
    marginLeft: 46,
    x: { label: "value", ticks: 5 },
    y: { label: "count", grid: true, ticks: 4, tickFormat: "~s" },
    marks: [
      shared
        ? Plot.ruleX(h.centroids, {
            x: "value",
            y: "count",
            stroke: "var(--accent)",
            strokeWidth: h.centroids.length > 40 ? 1.5 : 4,
          })
        : Plot.rectY(h.bins, { x1: "x0", x2: "x1", y: "count", fill: "var(--accent)", inset: 0.5 }),
      Plot.ruleY([0], { stroke: "currentColor" }),
    ],
  });
}

/** Surviving weights per input pixel as an image. */
export function pixelImage(p: PixelPicture): string {
  const cells = p.survivors.map((n, i) => ({ x: i % p.width, y: Math.floor(i / p.width), n }));
  return svg(`Surviving weights of ${p.weight} per input pixel`, {
    width: 340,
    height: 300,
    margin: 4,
    x: { axis: null, type: "band" },
    y: { axis: null, type: "band" },
    color: { type: "linear", range: ["var(--cell-low)", "var(--accent)"], interpolate: mix },
    marks: [
      Plot.cell(cells, {
        x: "x",
        y: "y",
        fill: "n",
        inset: 0,
        title: (c: (typeof cells)[number]) => `row ${c.y}, column ${c.x}: ${c.n}`,
      }),
    ],
  });
}
/** A colour between two CSS colours, left to the page to compute. */
const mix = ((a: string, b: string) => (t: number) =>
  `color-mix(in oklab, ${b} ${Math.round(100 * t)}%, ${a})`) as unknown as Plot.Interpolate;

/** The same counts in the order of the matrix's input axis: the image's rows show as bands. */
export function pixelBands(p: PixelPicture): string {
  const points = p.survivors.map((n, i) => ({ i, n }));
  return svg(`Surviving weights of ${p.weight} by input index: ${p.height} bands`, {
    width: 640,
    height: 165,
    marginLeft: 46,
    x: { label: "input index", ticks: 8 },
    y: { label: "survivors", grid: true, ticks: 4 },
    marks: [Plot.rectY(points, { x1: "i", x2: (d: { i: number }) => d.i + 1, y: "n", fill: "var(--accent)" })],
  });
}
