/** How many singular values of a matrix are more than noise: a matrix enters, the rank of its variational Bayes estimate leaves. */
import { eigenSymmetric } from "./eigen.js";
import { gram, type Matrix, transpose } from "./matrix.js";

/**
 * Empirical variational Bayes matrix factorization with unknown noise, in closed form (Nakajima, Sugiyama, Babacan, Tomioka 2013, theorems 2 and
 * 9, corollary 1): a component is kept where its squared singular value exceeds M sigma^2 (1 + tau) (1 + alpha / tau); sigma^2 minimises the free
 * energy, found on a grid of logarithms and narrowed.
 */
export function evidenceRank(matrix: Matrix): number {
  const wide = matrix.rows <= matrix.cols ? matrix : transpose(matrix);
  const [l, m] = [wide.rows, wide.cols];
  const squares = Array.from(eigenSymmetric(gram(wide)).values, (v) => Math.max(0, v));
  const total = squares.reduce((s, v) => s + v, 0);
  if (total === 0) return 0;
  const alpha = l / m;
  const tau = 2.5129 * Math.sqrt(alpha);
  const limit = (1 + tau) * (1 + alpha / tau);
  // Corollary 1: bounds of the noise.
  const beyond = squares.slice(Math.min(Math.ceil(l / (1 + alpha)) - 1, l - 1));
  const mean = beyond.reduce((s, v) => s + v, 0) / beyond.length;
  const low = Math.max(beyond[0]! / (m * limit), mean / m, (1e-12 * total) / (l * m));
  const high = total / (l * m);
  const noise = lowest((s) => freeEnergy(squares, s, m, alpha, limit), Math.min(low, high), high);
  return squares.filter((v) => v > m * noise * limit).length;
}

/** Eq. 29 without terms that do not depend on the noise. */
function freeEnergy(squares: readonly number[], noise: number, m: number, alpha: number, limit: number): number {
  return squares.reduce((sum, v) => {
    const x = Math.max(v / (m * noise), 1e-300);
    if (x <= limit) return sum + x - Math.log(x);
    const rest = x - 1 - alpha;
    const t = (rest + Math.sqrt(Math.max(0, rest * rest - 4 * alpha))) / 2;
    return sum + x - t + Math.log((t + 1) / x) + alpha * Math.log(t / alpha + 1);
  }, 0);
}

/** Where f is least between `low` and `high`: it may have several valleys. */
function lowest(f: (x: number) => number, low: number, high: number): number {
  let [from, to] = [Math.log(low), Math.log(high)];
  for (let round = 0; round < 4 && to > from; round++) {
    const steps = 64;
    const at = (i: number) => from + ((to - from) * i) / steps;
    const values = Array.from({ length: steps + 1 }, (_, i) => f(Math.exp(at(i))));
    const best = values.indexOf(Math.min(...values));
    [from, to] = [at(Math.max(0, best - 1)), at(Math.min(steps, best + 1))];
  }
  return Math.exp((from + to) / 2);
}
