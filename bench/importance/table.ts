/** Results of bench/importance come in; README's tables go out. */
import { summary } from "../quality/table.js";
import type { Curvature } from "./curvature.js";
import type { Deletion, Scope } from "./deletion.js";
import type { Accuracies, Memory } from "./permuted.js";

type Seeds<T> = Record<string, T>;
export interface Results {
  readonly curvature: Seeds<Curvature>;
  readonly deletion: Seeds<Deletion>;
  readonly ranking: Seeds<Deletion>;
  readonly permuted: Partial<Record<Memory, Seeds<Accuracies>>>;
  /** Validation accuracy over five tasks by strength. */
  readonly tuning: Partial<Record<Memory, Record<string, number>>>;
}

const text = (values: readonly number[], digits: number): string => {
  const { mean, deviation } = summary(values);
  return `${mean.toFixed(digits)}${Number.isNaN(deviation) ? "" : ` ± ${deviation.toFixed(digits)}`}`;
};
const lines = (rows: readonly (readonly (string | number)[])[]): string =>
  rows.map((cells) => `| ${cells.join(" | ")} |`).join("\n");

/** One line per measure, best first by the loss of its better scope. */
function ranking(runs: readonly Deletion[]): string {
  const over = (name: string, scope: Scope, what: "loss" | "error", digits: number): string =>
    text(
      runs.map((r) => r.measures[name]![scope][what] * (what === "error" ? 100 : 1)),
      digits,
    );
  const best = (name: string): number =>
    Math.min(...(["all", "layer"] as const).map((s) => summary(runs.map((r) => r.measures[name]![s].loss)).mean));
  const names = Object.keys(runs[0]!.measures).filter((name) => runs.every((r) => r.measures[name]));
  const head = ["importance", "loss, over all", "error, %", "loss, each layer", "error, %"];
  const dense = (what: "loss" | "error", scale: number) =>
    text(
      runs.map((r) => r.dense[what] * scale),
      what === "loss" ? 3 : 2,
    );
  return lines([
    head,
    head.map(() => "---"),
    ["nothing removed", dense("loss", 1), dense("error", 100), "", ""],
    ...names
      .sort((a, b) => best(a) - best(b))
      .map((name) => [
        name,
        over(name, "all", "loss", 3),
        over(name, "all", "error", 2),
        over(name, "layer", "loss", 3),
        over(name, "layer", "error", 2),
      ]),
  ]);
}

function remembered({ permuted, tuning }: Results): string {
  const head = ["memory", "strength", "seeds", ...[1, 2, 3, 4, 5].map((n) => `${n} task${n > 1 ? "s" : ""}, %`)];
  const rows = Object.entries(permuted).map(([memory, seeds]) => {
    const runs = Object.values(seeds);
    const tried = Object.entries(tuning[memory as Memory] ?? {});
    const strength = tried.reduce((a, b) => (b[1] > a[1] ? b : a), ["", -1])[0];
    return [
      memory,
      strength,
      runs.length,
      ...[0, 1, 2, 3, 4].map((t) =>
        text(
          runs.map((r) => 100 * r[t]!),
          2,
        ),
      ),
    ];
  });
  return lines([head, head.map(() => "---"), ...rows]);
}

/** Four tables under one another, each with what it is about. */
export function table(r: Results): string {
  const parts: string[] = [];
  const curvatures = Object.values(r.curvature);
  if (curvatures.length > 0)
    parts.push(
      `OBD's diagonal against central differences, ${curvatures[0]!.weights} weights, float64, ${curvatures.length} seeds: largest relative error ${Math.max(...curvatures.map((c) => c.worst)).toExponential(1)}.`,
    );
  const [small, large] = [Object.values(r.deletion), Object.values(r.ranking)];
  if (small.length > 0)
    parts.push(
      `60 % of a small convolutional network's 2,580 weights removed at once, MNIST's test images, nothing trained after, ${small.length} seeds:`,
      ranking(small),
    );
  if (large.length > 0)
    parts.push(`80 % of LeNet-300-100's weights, the same way, ${large.length} seeds:`, ranking(large));
  if (Object.keys(r.permuted).length > 0)
    parts.push("Mean test accuracy over the tasks seen, after each of five orders of MNIST's pixels:", remembered(r));
  return parts.join("\n\n");
}
