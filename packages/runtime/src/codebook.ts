/** Tensors of few distinct values: the values in ascending order, then each element's place among them. */
import type { BitCoder } from "./bit-coder.js";
import { fromIndices } from "./elements.js";
import type { Fields } from "./fields.js";
import type { Geometry } from "./geometry.js";
import { fromHalf, toHalf } from "./half.js";
import { elementBits, elements, type Tensor } from "./model.js";
import { type Earlier, plane } from "./plane.js";

export const maxEntries = 256;

/** How the values of a codebook are written: their bit patterns; as float16; as integers times a scale; as integers. */
export const bookForms = ["patterns", "half", "grid", "integers"] as const;

export interface Codebook {
  /** Bit patterns in ascending order of value: one word per entry, two (low, high) for 64-bit types. */
  readonly words: Uint32Array;
  readonly form: (typeof bookForms)[number];
  /** For "grid" and "integers": strictly ascending integers. */
  readonly integers: readonly number[];
  /** For "grid": float32(scale * integer) is the value. */
  readonly scale: number;
  /** The entry of pruned elements, or the most frequent one. */
  readonly centre: number;
}
export interface CodebookPlan extends Codebook {
  readonly coding: "codebook";
  readonly indices: Uint8Array;
  readonly geometry: Geometry;
}

/** Codes `t`; a reader fills in its bytes. */
export function codebook(
  io: BitCoder,
  f: Fields,
  earlier: Earlier,
  t: Tensor,
  plan: CodebookPlan | null,
  what: string,
): void {
  const bits = elementBits(t.type);
  if (bits === 0 || bits > 64 || 64 % bits !== 0) throw f.error(`${what} cannot have a codebook`);
  const { words, count } = entries(f, bits, plan, what);
  const centre = f.uint("codebook.centre", plan?.centre ?? 0);
  if (centre >= count) throw f.error(`${what}: entry ${centre} of ${count}`);
  const n = elements(t.dims);
  const indices = plan?.indices ?? new Uint8Array(n);
  plane(io, f, earlier, indices, t.dims, count, centre, plan?.geometry ?? null);
  if (io.reading) t.bytes = fromIndices(t.type, indices, words);
}

const word = new Uint32Array(1);
const float = new Float32Array(word.buffer);
const floatBits = (x: number): number => {
  float[0] = x;
  return word[0]!;
};
export const floatOfBits = (bits: number): number => {
  word[0] = bits;
  return float[0]!;
};

/** Codes the values of a codebook. */
export function entries(
  f: Fields,
  bits: number,
  plan: Codebook | null,
  what: string,
): { words: Uint32Array; count: number } {
  const perEntry = bits === 64 ? 2 : 1;
  const count = 1 + f.uint("codebook.size", plan ? plan.words.length / perEntry - 1 : 0);
  if (count > maxEntries) throw f.error(`${what}: a codebook of ${count} values`);
  const form = bookForms[f.choice("codebook.form", 2, plan ? bookForms.indexOf(plan.form) : 0, bits)]!;
  const words = plan?.words ?? new Uint32Array(count * perEntry);
  const set = (i: number, w: number) => {
    if (!plan) words[i] = w;
  };
  if ((form === "half" || form === "grid") && bits !== 32) throw f.error(`${what}: a codebook of form ${form}`);
  if (form === "patterns") {
    for (let i = 0; i < words.length; i++) set(i, f.word32("codebook.word", Math.min(32, bits), words[i]!));
  } else if (form === "half") {
    for (let i = 0; i < count; i++) {
      const half = f.word32("codebook.half", 16, plan ? toHalf(floatOfBits(words[i]!))! : 0);
      set(i, floatBits(fromHalf(half)));
    }
  } else {
    const scale = form === "grid" ? f.float("codebook.scale", plan?.scale ?? 0) : 1;
    let k = f.int("codebook.first", plan?.integers[0] ?? 0);
    for (let i = 0; i < count; i++) {
      if (i > 0) k += 1 + f.uint("codebook.step", plan ? plan.integers[i]! - plan.integers[i - 1]! - 1 : 0);
      if (form === "grid") set(i, floatBits(Math.fround(scale * k)));
      else if (bits === 64) {
        set(2 * i, k >>> 0);
        set(2 * i + 1, Math.floor(k / 2 ** 32) >>> 0);
      } else set(i, bits === 32 ? k >>> 0 : k & ((1 << bits) - 1));
    }
  }
  return { words, count };
}
