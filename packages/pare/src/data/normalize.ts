/** Per-channel normalisation (x - mean) / std: the command line's "mean/std" enters, numbers leave. */
import { PareError } from "../graph/error.js";

export interface Normalization {
  /** One value, or one per channel. */
  readonly mean: readonly number[];
  readonly std: readonly number[];
}

/** Reads "0.1307/0.3081" or "0.4914,0.4822,0.4465/0.247,0.2435,0.2616" (in units of 0..1 pixels). Throws (usage) where it is not that. */
export function parseNormalization(text: string): Normalization {
  const parts = text.split("/").map((part) => part.split(",").map((v) => (v.trim() === "" ? Number.NaN : Number(v))));
  const [mean, std] = parts;
  const wrong = (why: string): PareError =>
    new PareError(
      `--normalize "${text}": ${why}; write mean/std, one value per channel: 0.4914,0.4822,0.4465/0.247,0.2435,0.2616`,
      "usage",
    );
  if (parts.length !== 2 || !mean || !std) throw wrong("needs one slash between the means and the standard deviations");
  if (![...mean, ...std].every(Number.isFinite)) throw wrong("holds something that is not a number");
  return checkedNormalization({ mean, std }, wrong);
}

/** The same normalisation, once it makes sense. */
export function checkedNormalization(
  n: Normalization,
  wrong = (why: string): PareError => new PareError(`normalization: ${why}`, "usage"),
): Normalization {
  if (n.mean.length !== n.std.length || n.mean.length < 1)
    throw wrong(`${n.mean.length} means and ${n.std.length} standard deviations`);
  if (!n.std.every((s) => s > 0)) throw wrong("a standard deviation must be above 0");
  return n;
}
