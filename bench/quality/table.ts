/** Runs by recipe and seed come in; README's markdown rows go out: means and sample standard deviations. */
import type { DeepCompressionRow } from "../../packages/pare/dist/pack/deep-compression-table.js";

export interface Stage {
  readonly stage: string;
  readonly parameters: number;
  readonly nonzero: number;
  readonly sizeBytes: number;
  readonly entropyBytes: number;
  readonly error: number;
  readonly seconds: number;
}
export interface Run {
  readonly stages: readonly Stage[];
  /** The same network packed with the coder of Deep Compression as published; absent in runs from before it could be asked for. */
  readonly publishedCoderBytes?: number;
  /** Per weight tensor in the graph's order, as in the paper's tables 2 and 3. */
  readonly layers?: readonly DeepCompressionRow[];
}
export interface Results {
  /** By recipe. `recipe`: a hash of its settings. */
  readonly runs: Record<string, { readonly net: string; readonly recipe: string; readonly seeds: Record<string, Run> }>;
}

export function summary(values: readonly number[]): { readonly mean: number; readonly deviation: number } {
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  const squares = values.reduce((sum, v) => sum + (v - mean) ** 2, 0);
  return { mean, deviation: values.length > 1 ? Math.sqrt(squares / (values.length - 1)) : Number.NaN };
}

const text = (values: readonly number[], digits: number, unit = ""): string => {
  const { mean, deviation } = summary(values);
  return `${mean.toFixed(digits)}${Number.isNaN(deviation) ? "" : ` ± ${deviation.toFixed(digits)}`}${unit}`;
};

/** One row per recipe that has runs. */
export function rows({ runs }: Results): string {
  const lines = Object.entries(runs).flatMap(([name, { seeds }]) => {
    const list = Object.values(seeds);
    if (list.length === 0) return [];
    const stage = (pick: (stages: readonly Stage[]) => Stage | undefined, value: (s: Stage) => number) =>
      list.map((r) => value(pick(r.stages)!));
    const [dense, last] = [(s: readonly Stage[]) => s[0], (s: readonly Stage[]) => s.at(-1)];
    const pruned = (s: readonly Stage[]) => s.find((x) => x.stage === "prune");
    const rise = list.map((r) => 100 * (r.stages.at(-1)!.error - r.stages[0]!.error));
    return [
      [
        name,
        list.length,
        text(
          stage(dense, (s) => 100 * s.error),
          2,
          " %",
        ),
        text(
          stage(pruned, (s) => s.parameters / s.nonzero),
          1,
          "x",
        ),
        text(
          stage(pruned, (s) => 100 * s.error),
          2,
          " %",
        ),
        text(
          stage(last, (s) => s.sizeBytes),
          0,
        ),
        text(
          list.map((r) => r.stages[0]!.sizeBytes / r.stages.at(-1)!.sizeBytes),
          0,
          "x",
        ),
        text(
          stage(last, (s) => 100 * s.error),
          2,
          " %",
        ),
        text(rise, 2),
        text(
          stage(last, (s) => s.entropyBytes),
          0,
        ),
        list.every((r) => r.publishedCoderBytes !== undefined)
          ? text(
              list.map((r) => r.publishedCoderBytes!),
              0,
            )
          : "–",
      ].join(" | "),
    ];
  });
  const head = [
    "recipe",
    "seeds",
    "dense error",
    "pruned",
    "pruned error",
    "file, bytes",
    "smaller",
    "file's error",
    "rise, pp",
    "zeroth-order bound, bytes",
    "published coder, bytes",
  ];
  return markdown(head, lines);
}
const markdown = (head: readonly string[], lines: readonly string[]): string =>
  [head.join(" | "), head.map(() => "---").join(" | "), ...lines].map((l) => `| ${l} |`).join("\n");

/** Deep Compression (Han, Mao, Dally 2016), tables 2 and 3: kept %, bits of values before and after Huffman coding, bits of gaps, rate % of 32-bit weights. */
const published: Readonly<Record<string, readonly (readonly [layer: string, ...numbers: number[]])[]>> = {
  "lenet-300-100-12x": [
    ["fc1", 8, 6, 4.4, 5, 3.7, 2.32],
    ["fc2", 9, 6, 4.4, 5, 4.3, 3.04],
    ["fc3", 26, 6, 4.3, 5, 3.2, 12.7],
  ],
  "lenet-5-12x": [
    ["conv1", 66, 8, 7.2, 5, 1.5, 67.45],
    ["conv2", 12, 8, 7.2, 5, 3.9, 5.28],
    ["fc1", 8, 5, 4.5, 5, 4.5, 2.45],
    ["fc2", 19, 5, 5.2, 5, 3.7, 6.13],
  ],
};

/** Layer by layer, the published coding of our networks (the first seed that has it) beside the paper's own. */
export function publishedRows({ runs }: Results): string {
  const lines = Object.entries(published).flatMap(([recipe, rows]) => {
    const layers = Object.values(runs[recipe]?.seeds ?? {}).find((r) => r.layers)?.layers ?? [];
    return layers.map((l, i) => {
      const [name, ...paper] = rows[i]!;
      const ours = [(100 * l.kept) / l.weights, ...l.valueBits, ...l.gapBits, (100 * l.bytes[1]) / (4 * l.weights)].map(
        (v) => String(Number(v.toFixed(1))),
      );
      return [`${recipe} ${name}`, ...ours.map((v, k) => `${v} (${paper[k]})`), l.fillers].join(" | ");
    });
  });
  const bits = (what: string) => [`${what}, bits`, `${what} after Huffman, bits`];
  return markdown(["layer", "kept, %", ...bits("value"), ...bits("gap"), "rate, %", "fillers"], lines);
}
