/** Floats of many values: exponent, sign and the upper mantissa bits under a model; the rest is noise and goes to the plain section. */
import { Adaptive } from "./adaptive.js";
import type { BitCoder } from "./bit-coder.js";
import { fromWords, toWords } from "./elements.js";
import type { Fields } from "./fields.js";
import { type ElementType, elements, type Tensor } from "./model.js";

/** Exponent and mantissa bits of the types this coding takes; a sign bit leads. */
export const floatLayouts: Partial<Record<ElementType, readonly [exponent: number, mantissa: number]>> = {
  float32: [8, 23],
  float16: [5, 10],
  bfloat16: [8, 7],
};
const modelled = 2;
/** Exponents of neighbours are told apart this far from the usual one. */
const spread = 8;

/** Codes `t`; a reader fills in its bytes. */
export function floats(io: BitCoder, f: Fields, t: Tensor, what: string): void {
  const layout = floatLayouts[t.type];
  if (!layout) throw f.error(`${what} is not of a float type of 16 or 32 bits`);
  const [exponentBits, mantissaBits] = layout;
  const n = elements(t.dims);
  const words = io.reading ? null : toWords(t)!.words;
  // Mantissas that all end in zeros: float16 values kept as float32, rounded weights.
  const zeros = f.uint("floats.zeros", words ? zerosOf(words, mantissaBits) : 0);
  if (zeros > mantissaBits) throw f.error(`${what}: ${zeros} zeros in a mantissa of ${mantissaBits} bits`);
  const said = mantissaBits - zeros;
  const upper = Math.min(modelled, said);
  const noise = said - upper;
  const plainBytes = Math.ceil((noise * n) / 8);
  const plain = io.plain(plainBytes, words ? noiseOf(words, zeros, noise) : undefined);

  const exponents = new Adaptive(exponentBits, 2 * spread + 1);
  const signs = new Adaptive(1, 3);
  const mantissas = new Adaptive(upper, 1 << exponentBits);
  const out = words ?? new Uint32Array(n);
  let left = 0;
  let leftSign = 2;
  // The usual exponent, as a running mean: contexts are relative to it.
  let usual = 0;
  for (let i = 0; i < n; i++) {
    const word = out[i]!;
    const relative = i === 0 ? 0 : Math.max(-spread, Math.min(spread, left - Math.round(usual)));
    const e = exponents.code(io, relative + spread, (word >>> mantissaBits) & ((1 << exponentBits) - 1));
    const sign = signs.code(io, leftSign, word >>> (mantissaBits + exponentBits));
    const m = mantissas.code(io, e, (word >>> (zeros + noise)) & ((1 << upper) - 1));
    usual = i === 0 ? e : usual + (e - usual) / 64;
    left = e;
    leftSign = sign;
    if (!io.reading) continue;
    const low = readBits(plain, i * noise, noise);
    const mantissa = m * 2 ** noise + low;
    out[i] = (sign * 2 ** exponentBits + e) * 2 ** mantissaBits + mantissa * 2 ** zeros;
  }
  if (io.reading) t.bytes = fromWords(t.type, out);
}

function zerosOf(words: Uint32Array, mantissaBits: number): number {
  let any = 1 << mantissaBits;
  for (const w of words) any |= w;
  return 31 - Math.clz32(any & -any);
}
function noiseOf(words: Uint32Array, zeros: number, noise: number): Uint8Array {
  const out = new Uint8Array(Math.ceil((words.length * noise) / 8));
  for (let i = 0; i < words.length; i++)
    for (let b = 0, at = i * noise; b < noise; b++, at++)
      out[at >>> 3]! |= ((words[i]! >>> (zeros + b)) & 1) << (at & 7);
  return out;
}
function readBits(bytes: Uint8Array, at: number, count: number): number {
  let x = 0;
  for (let b = 0; b < count; b++) x |= ((bytes[(at + b) >>> 3]! >> ((at + b) & 7)) & 1) << b;
  return x;
}
