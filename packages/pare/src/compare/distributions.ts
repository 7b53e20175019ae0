/** Answers that are probabilities of classes enter; how much they tell of their samples, and how much of that other answers lose, leaves, in nats. */
import type { NDArray } from "../engine/engine.js";
import { numbersIn } from "./tally.js";

/** A row's sum may differ from 1 by this: half floats do. */
const tolerance = 0.01;
/** Added to all probabilities: rounded to zero they lose much, but not everything. */
const least = 1e-6;

type Numbers = ArrayLike<number>;

export class Distributions {
  private constructor(
    /** Sum over all rows of KL(row || mean of the rows): what tells one answer from another. */
    readonly signal: number,
  ) {}

  /** Null unless every row, along the last axis longer than 1, is a distribution over at least two classes, and not all rows are the same. */
  static of(answers: readonly NDArray[]): Distributions | null {
    const classes = answers[0]?.dims.findLast((d) => d > 1) ?? 0;
    const values = answers.map((a) => numbersIn(a) ?? []);
    if (classes < 2 || !answers.every((a, k) => a.type.startsWith("float") && isStack(values[k]!, classes)))
      return null;
    const mean = new Float64Array(classes);
    const rows = values.reduce((sum, v) => sum + v.length / classes, 0);
    for (const v of values) for (let i = 0; i < v.length; i++) mean[i % classes]! += v[i]! / rows;
    const signal = values.reduce((sum, v) => sum + divergence(v, (i) => mean[i % classes]!), 0);
    return signal > 1e-6 * rows ? new Distributions(signal) : null;
  }

  /** Sum over the rows of KL(a || b). */
  loss(a: NDArray, b: NDArray): number {
    const [p, q] = [numbersIn(a)!, numbersIn(b)!];
    return divergence(p, (i) => (q[i]! > 0 ? q[i]! : 0));
  }
}

function isStack(values: Numbers, classes: number): boolean {
  if (values.length === 0 || values.length % classes !== 0) return false;
  for (let row = 0; row < values.length; row += classes) {
    let sum = 0;
    for (let i = row; i < row + classes; i++) {
      if (!(values[i]! >= 0)) return false;
      sum += values[i]!;
    }
    if (Math.abs(sum - 1) > tolerance) return false;
  }
  return true;
}

/** sum p ln(p / q) - p + q, without the logarithms of p that is next to nothing: most are, and they are slow. */
function divergence(p: Numbers, q: (i: number) => number): number {
  let sum = 0;
  for (let i = 0; i < p.length; i++) {
    const [x, y] = [p[i]! + least, q(i) + least];
    sum += (x > 2 * least ? x * Math.log(x / y) : 0) - x + y;
  }
  return sum;
}
