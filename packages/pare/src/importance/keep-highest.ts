/** The best of many scores: lists of scores and a number to keep -> one mask per list. */

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
