/** Tensors of few distinct values: the values, then each element's place among them. */
import type { BitCoder } from "./bit-coder.js";
import { fromIndices, toWords } from "./elements.js";
import type { Fields } from "./fields.js";
import { elementBits, elements, type Tensor } from "./model.js";
import { plane } from "./plane.js";

export const maxEntries = 256;

/** Codes `t`; a reader fills in its bytes. */
export function codebook(io: BitCoder, f: Fields, t: Tensor, what: string): void {
  const bits = elementBits(t.type);
  if (bits === 0 || bits > 64 || 64 % bits !== 0) throw f.error(`${what} cannot have a codebook`);
  const wide = bits === 64;
  const found = io.reading ? null : entriesOf(t);
  const count = f.uint("codebook.size", found?.count ?? 0);
  if (count < 1 || count > maxEntries) throw f.error(`${what}: a codebook of ${count} values`);
  const entries = io.reading ? new Uint32Array(count * (wide ? 2 : 1)) : found!.entries;
  for (let i = 0; i < entries.length; i++) {
    let word = 0;
    const size = Math.min(4, Math.ceil(bits / 8));
    for (let k = size - 1; k >= 0; k--)
      word = word * 256 + f.choice(`codebook.byte${k}`, 8, (entries[i]! >>> (8 * k)) & 255);
    if (io.reading) entries[i] = word;
  }
  const zero = f.uint("codebook.zero", found ? found.zero : 0);
  if (zero > count) throw f.error(`${what}: zero is entry ${zero} of ${count}`);
  const n = elements(t.dims);
  io.spend(n, what);
  const indices = found?.indices ?? new Uint8Array(n);
  plane(io, indices, t.dims, count, zero - 1);
  if (io.reading) t.bytes = fromIndices(t, indices, entries);
}

interface Entries {
  count: number;
  entries: Uint32Array;
  indices: Uint8Array;
  /** 1 + the entry of all-zero bits, or 0. */
  zero: number;
}
/** The distinct values of a tensor in ascending order of their bit patterns; null where there are more than `maxEntries`. */
export function entriesOf(t: Tensor): Entries | null {
  const found = toWords(t);
  if (!found) return null;
  const { words, wide } = found;
  const n = wide ? words.length / 2 : words.length;
  const seen = new Map<number | bigint, number>();
  const keyAt = wide
    ? (i: number) => (BigInt(words[2 * i + 1]!) << 32n) | BigInt(words[2 * i]!)
    : (i: number) => words[i]!;
  for (let i = 0; i < n; i++) {
    const key = keyAt(i);
    if (seen.has(key)) continue;
    if (seen.size === maxEntries) return null;
    seen.set(key, 0);
  }
  if (seen.size === 0) return null;
  const keys = [...seen.keys()].sort((a, b) => Number(a) - Number(b));
  for (const [i, k] of keys.entries()) seen.set(k, i);
  const indices = new Uint8Array(n);
  for (let i = 0; i < n; i++) indices[i] = seen.get(keyAt(i))!;
  const entries = wide
    ? Uint32Array.from(keys.flatMap((k) => [Number(BigInt(k) & 0xffffffffn), Number(BigInt(k) >> 32n)]))
    : Uint32Array.from(keys as number[]);
  return { count: keys.length, entries, indices, zero: 1 + keys.findIndex((k) => Number(k) === 0) };
}
