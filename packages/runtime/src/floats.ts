/** Floats of many values: exponent, sign and the upper mantissa bits under a model; the rest is noise and goes to the plain section. */
import type { BitCoder } from "./bit-coder.js";
import { fromWords, toWords } from "./elements.js";
import type { Fields } from "./fields.js";
import { hash, Mixer } from "./mixer.js";
import { type ElementType, elements, type Tensor } from "./model.js";

/** Exponent and mantissa bits of the types this coding takes; a sign bit leads. */
export const floatLayouts: Partial<Record<ElementType, readonly [exponent: number, mantissa: number]>> = {
  float32: [8, 23],
  float16: [5, 10],
  bfloat16: [8, 7],
};
const modelled = 2;
const options = { contexts: 4, contextWeight: 0.4, bits: 16, rate: 0.01, rateEnd: 0.002, decay: 0.0005 };

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
  io.spend(n, what);
  const said = mantissaBits - zeros;
  const upper = Math.min(modelled, said);
  const noise = said - upper;
  const plainBytes = Math.ceil((noise * n) / 8);
  const plain = io.plain(plainBytes, words ? noiseOf(words, zeros, noise) : undefined);

  const mixer = new Mixer(options);
  const { contexts } = mixer;
  const columns = t.dims.length > 1 ? n / (t.dims[0]! || 1) : n;
  const out = words ?? new Uint32Array(n);
  const exponentOf = (i: number) => (i < 0 ? 0 : (out[i]! >>> mantissaBits) & ((1 << exponentBits) - 1));
  const signOf = (i: number) => (i < 0 ? 2 : out[i]! >>> (mantissaBits + exponentBits));
  for (let i = 0; i < n; i++) {
    const word = out[i]!;
    const above = i - columns;
    contexts[0] = 1;
    contexts[1] = hash(2, exponentOf(i - 1));
    contexts[2] = hash(3, exponentOf(i - 1) + exponentOf(i - 2) + 1024 * exponentOf(above));
    contexts[3] = hash(4, columns < n ? Math.floor(i / columns) : 0);
    let e = 1;
    for (let b = exponentBits - 1; b >= 0; b--) e = 2 * e + mixer.bit(io, e, (word >>> (mantissaBits + b)) & 1);
    e -= 1 << exponentBits;
    contexts[1] = hash(5, signOf(i - 1) * 4 + signOf(above));
    contexts[2] = hash(6, e);
    contexts[3] = hash(7, columns < n ? i % columns : 0);
    const sign = mixer.bit(io, 1024, word >>> (mantissaBits + exponentBits));
    contexts[1] = hash(8, e);
    let m = 1;
    for (let b = upper - 1; b >= 0; b--) m = 2 * m + mixer.bit(io, 2048 + m, (word >>> (zeros + noise + b)) & 1);
    if (!io.reading) continue;
    const low = readBits(plain, i * noise, noise);
    const mantissa = (m - (1 << upper)) * 2 ** noise + low;
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
