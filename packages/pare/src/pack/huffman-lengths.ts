/** How often symbols occur -> the lengths of their Huffman codes, none longer than `limit`: package-merge (Larmore, Hirschberg 1990). */

/** 0 for symbols that do not occur; 1 where there is only one. Needs at most 2^limit symbols. */
export function huffmanLengths(counts: ArrayLike<number>, limit: number): Uint8Array {
  const lengths = new Uint8Array(counts.length);
  const leaves = Array.from(counts, (count, symbol) => ({ count, symbols: [symbol] }))
    .filter((l) => l.count > 0)
    .sort((a, b) => a.count - b.count);
  if (leaves.length === 1) lengths[leaves[0]!.symbols[0]!] = 1;
  if (leaves.length < 2) return lengths;
  let list = leaves;
  for (let level = 1; level < limit; level++) {
    const pairs = Array.from({ length: Math.floor(list.length / 2) }, (_, i) => ({
      count: list[2 * i]!.count + list[2 * i + 1]!.count,
      symbols: [...list[2 * i]!.symbols, ...list[2 * i + 1]!.symbols],
    }));
    list = [...leaves, ...pairs].sort((a, b) => a.count - b.count);
  }
  for (const { symbols } of list.slice(0, 2 * leaves.length - 2)) for (const s of symbols) lengths[s]!++;
  return lengths;
}
