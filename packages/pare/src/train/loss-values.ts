/** Outputs and targets come in as numbers, the mean loss goes out: the same losses as in autodiff/losses.ts, for evaluation. */
import { PareError } from "../graph/error.js";
import type { LossKind } from "./options.js";

/** The first output as rows of scores. */
export interface Rows {
  readonly data: Float32Array;
  readonly count: number;
  readonly width: number;
}

/** Mean over the batch. `labels` [count] or `targets` [count, width]. Cross-entropy reads the rows as logits. */
export function lossOf(kind: LossKind, rows: Rows, labels?: Int32Array, targets?: Float32Array): number {
  const { data, count, width } = rows;
  if (!labels && targets?.length !== data.length)
    throw new PareError(`the data's targets have ${targets?.length ?? 0} values, the output ${data.length}`);
  let sum = 0;
  for (let i = 0; i < count; i++) {
    const row = data.subarray(i * width, (i + 1) * width);
    const target = (k: number, off: number): number =>
      labels ? (labels[i] === k ? 1 : off) : targets![i * width + k]!;
    if (kind === "cross-entropy") {
      let max = Number.NEGATIVE_INFINITY;
      for (const v of row) max = Math.max(max, v);
      let total = 0;
      for (const v of row) total += Math.exp(v - max);
      const log = max + Math.log(total);
      if (labels) sum += log - row[labels[i]!]!;
      else for (let k = 0; k < width; k++) sum += target(k, 0) * (log - row[k]!);
    } else if (kind === "mse") for (let k = 0; k < width; k++) sum += (row[k]! - target(k, 0)) ** 2 / width;
    else if (kind === "squared-hinge")
      for (let k = 0; k < width; k++) sum += Math.max(0, 1 - row[k]! * target(k, -1)) ** 2 / width;
    else throw new PareError(`unknown loss "${kind}": cross-entropy, mse, squared-hinge or a function`, "usage");
  }
  return sum / count;
}
