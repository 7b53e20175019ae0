/** How much each weight matters to a pruner: tensors of weights -> one score per weight, comparable across tensors where the criterion says so. */

/** |w|: the same scale in every layer. */
export const magnitudes = (values: Float32Array): Float32Array => values.map(Math.abs);

/**
 * LAMP (Lee, Park, Mo, Ahn, Shin 2021, eq. 4): w^2 over the sum of the squares of the layer's weights that are at least as large.
 * Comparable across layers: the largest weight of every layer scores 1, so no layer is emptied.
 */
export function lampScores(values: Float32Array): Float32Array {
  const order = descending(values);
  const scores = new Float32Array(values.length);
  let sum = 0;
  for (const i of order) {
    const square = values[i]! ** 2;
    sum += square;
    scores[i] = sum > 0 ? square / sum : 0;
  }
  return scores;
}

/** Indices from the largest |value| to the smallest; equal ones keep their order, so that the result is the same everywhere. */
function descending(values: Float32Array): Uint32Array {
  const size = magnitudes(values);
  const order = Uint32Array.from(values.keys());
  return order.sort((a, b) => size[b]! - size[a]! || a - b);
}

/** Standard deviation over the weights that are not zero (all of them while the layer is dense); 0 for an empty layer. */
export function standardDeviation(values: Float32Array): number {
  let [n, sum, squares] = [0, 0, 0];
  for (const v of values) {
    if (v === 0) continue;
    n++;
    sum += v;
    squares += v * v;
  }
  return n === 0 ? 0 : Math.sqrt(Math.max(0, squares / n - (sum / n) ** 2));
}

/** The `keep` highest of all scores as masks, one per list; ties go to the earlier list and index. Zero scores never survive. */
export function keepHighest(scores: readonly Float32Array[], keep: number): Uint8Array[] {
  const all = new Float32Array(scores.reduce((n, s) => n + s.length, 0));
  let offset = 0;
  for (const s of scores) {
    all.set(s, offset);
    offset += s.length;
  }
  const masks = scores.map((s) => new Uint8Array(s.length));
  if (keep <= 0) return masks;
  const sorted = all.sort();
  const threshold = sorted[Math.max(0, sorted.length - keep)]!;
  const above = scores.reduce((n, s) => s.reduce((m, v) => m + (v > threshold ? 1 : 0), n), 0);
  let ties = keep - above;
  scores.forEach((s, k) => {
    s.forEach((v, i) => {
      if (v > threshold || (v === threshold && v > 0 && ties-- > 0)) masks[k]![i] = 1;
    });
  });
  return masks;
}
