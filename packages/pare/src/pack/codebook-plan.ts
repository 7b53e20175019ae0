/** A tensor -> its distinct values as a codebook and its elements as entries; null where it has too many. */
import {
  type CodebookPlan,
  type ElementType,
  elementBits,
  floatOfBits,
  maxEntries,
  plainGeometry,
  type Tensor,
  toHalf,
  toWords,
} from "@pare/runtime/writer";
import { gridOf } from "./grid.js";

const integerTypes: readonly ElementType[] = [
  "int8",
  "uint8",
  "int16",
  "uint16",
  "int32",
  "uint32",
  "int64",
  "uint64",
  "bool",
  "int4",
  "uint4",
  "int2",
  "uint2",
];

export function codebookPlan(t: Tensor): CodebookPlan | null {
  const found = toWords(t);
  if (!found) return null;
  const { words, wide } = found;
  const n = wide ? words.length / 2 : words.length;
  const keyAt = wide
    ? (i: number) => (BigInt(words[2 * i + 1]!) << 32n) | BigInt(words[2 * i]!)
    : (i: number) => words[i]!;
  const tally = new Map<number | bigint, number>();
  for (let i = 0; i < n; i++) {
    const key = keyAt(i);
    const seen = tally.get(key);
    if (seen === undefined && tally.size === maxEntries) return null;
    tally.set(key, (seen ?? 0) + 1);
  }
  if (tally.size === 0) return null;
  const numeric = valueOfPattern(t.type);
  const keys = [...tally.keys()].sort((a, b) => compare(numeric(a), numeric(b)) || compare(a, b));
  const place = new Map(keys.map((k, i) => [k, i]));
  const indices = new Uint8Array(n);
  for (let i = 0; i < n; i++) indices[i] = place.get(keyAt(i))!;
  const most = Math.max(...tally.values());
  const zeros = tally.get(wide ? 0n : 0) ?? 0;
  // Pruned elements are the centre even where they are few, as long as they are many for a single value.
  const centre = keys.findIndex((k) => (zeros * 4 >= most ? Number(k) === 0 : tally.get(k) === most));
  return { coding: "codebook", indices, centre, geometry: plainGeometry(t.dims), ...formOf(t.type, keys, wide) };
}

const compare = (a: number | bigint, b: number | bigint): number => Number(a > b) - Number(a < b);

type Book = Pick<CodebookPlan, "words" | "form" | "integers" | "scale">;

function formOf(type: ElementType, keys: readonly (number | bigint)[], wide: boolean): Book {
  const words = wide
    ? Uint32Array.from(keys.flatMap((k) => [Number(BigInt(k) & 0xffffffffn), Number(BigInt(k) >> 32n)]))
    : Uint32Array.from(keys as number[]);
  const plain = { words, integers: [], scale: 1 };
  if (integerTypes.includes(type)) {
    const integers = keys.map((k) => Number(valueOfPattern(type)(k)));
    return integers.every(Number.isSafeInteger)
      ? { ...plain, form: "integers", integers }
      : { ...plain, form: "patterns" };
  }
  if (type !== "float32") return { ...plain, form: "patterns" };
  const values = Array.from(words, floatOfBits);
  const grid = gridOf(values);
  if (grid) return { words, form: "grid", ...grid };
  return { ...plain, form: values.every((v) => toHalf(v) !== null) ? "half" : "patterns" };
}

/** A bit pattern as something that can be ordered: integers by value, floats by sign and magnitude. */
function valueOfPattern(type: ElementType): (key: number | bigint) => number | bigint {
  const bits = elementBits(type);
  if (type.startsWith("uint") || type === "bool") return (k) => k;
  if (type.startsWith("int"))
    return (k) => (typeof k === "bigint" ? BigInt.asIntN(64, k) : k >= 2 ** (bits - 1) ? k - 2 ** bits : k);
  if (bits === 64) return (k) => (BigInt(k) >> 63n ? -(BigInt(k) & 0x7fffffffffffffffn) : k);
  const sign = 2 ** (bits - 1);
  return (k) => ((k as number) >= sign ? sign - (k as number) : k);
}
