/** What a pruning run found out as one self-contained page: sizes and measured times, widths before and after, what was left alone. */
import { bytesText, layerWidths, percentText, shares } from "./chart.js";
import { number, page, section, table, text } from "./page.js";

type Pair = readonly [before: number, after: number];
export interface PruningFacts {
  readonly model: string;
  readonly method: string;
  readonly output: string;
  readonly parameters: Pair;
  readonly nonzero: Pair;
  readonly macs: Pair;
  readonly sizeBytes: Pair;
  /** Both networks run in turn on this machine; null where that could not be. */
  readonly latencyMs: Pair | null;
  readonly widths: readonly { readonly layer: string; readonly before: number; readonly after: number }[];
  /** On validation data; nulls without any. */
  readonly error: readonly (number | null)[];
  readonly notes: readonly { readonly node: string; readonly what: string; readonly why: string }[];
}

export function pruningPage(f: PruningFacts): string {
  const share = ([a, b]: Pair): number => b / (a || 1);
  const row = (what: string, pair: Pair, show: (n: number) => string) => ({
    what,
    share: share(pair),
    numbers: `${show(pair[0])} → ${show(pair[1])} (${percentText(share(pair))})`,
  });
  const rows = [
    row("parameters", f.parameters, number),
    row("not zero", f.nonzero, number),
    row("MACs", f.macs, number),
    row("bytes", f.sizeBytes, bytesText),
    ...(f.latencyMs ? [row("time of one run", f.latencyMs, (ms) => `${ms.toFixed(3)} ms`)] : []),
  ];
  const time = f.latencyMs
    ? `One run took ${f.latencyMs[0].toFixed(3)} ms and takes ${f.latencyMs[1].toFixed(3)} ms, measured on this machine: ${(f.latencyMs[0] / f.latencyMs[1]).toFixed(2)} times as fast.`
    : "The time of a run was not measured: an input's dims are open.";
  const [before, after] = f.error;
  const errors =
    before != null && after != null
      ? ` Validation error ${percentText(before)} before, ${percentText(after)} after.`
      : "";
  const narrower = f.widths.filter((w) => w.after < w.before).length;
  return page(
    f.model,
    `<p class="lead">${text(time + errors)}</p>
<p class="quiet">${text(`Pruned by ${f.method}; written to ${f.output}`)}</p>
${section("What is left", shares(rows))}${section(
  "Widths of the layers",
  f.widths.length
    ? `<p>${narrower} of ${f.widths.length} layers are narrower: output channels before (pale) and after.</p>${layerWidths(f.widths)}`
    : "",
)}${section(
  "What was done and what was left alone",
  f.notes.length
    ? table(f.notes, [
        ["node", (n) => n.node],
        ["", (n) => n.what],
        ["why", (n) => n.why],
      ])
    : "",
)}`,
  );
}
