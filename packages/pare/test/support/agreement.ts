/** How far two realisations of one computation are apart: lists of outputs come in, the largest relative difference goes out. */

const norm = (a: Float32Array): number => Math.sqrt(a.reduce((sum, v) => sum + v * v, 0));

/**
 * max over outputs of |got - wanted| / |wanted| (L2). An output smaller than 1e-4 of the largest is a sum that cancels, to 0 in exact arithmetic or nearly
 * (the gradient of a bias or scale that a BatchNorm behind it undoes): it is held against 1 % of the largest.
 */
export function largestDifference(wanted: readonly Float32Array[], got: readonly Float32Array[]): number {
  const top = Math.max(...wanted.map(norm));
  return Math.max(
    ...wanted.map((a, k) => {
      const apart = norm(a.map((v, i) => v - got[k]![i]!));
      return norm(a) > 1e-4 * top ? apart / norm(a) : apart / (1e-2 * top);
    }),
  );
}
