/** How far one may go: a measured rise and a budget enter, the largest setting whose rise stays within the budget leaves. */

/**
 * The largest x, within 10 %, with rise(x) <= budget, for a rise that grows with x; 0 where there is none down to `start` / 1e6. About a dozen
 * measurements; x never exceeds `start` x 1e6.
 */
export async function largestWithin(
  rise: (x: number) => Promise<number>,
  budget: number,
  start: number,
): Promise<number> {
  let [low, high] = [0, Number.POSITIVE_INFINITY];
  for (let x = start; low === 0 || high === Number.POSITIVE_INFINITY; x = low > 0 ? low * 4 : high / 4) {
    if (x < start / 1e6 || x > start * 1e6) return low;
    if ((await rise(x)) <= budget) low = x;
    else high = x;
  }
  while (high > low * 1.1) {
    const middle = Math.sqrt(low * high);
    if ((await rise(middle)) <= budget) low = middle;
    else high = middle;
  }
  return low;
}
