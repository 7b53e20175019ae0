/** Bytes of a good file -> bytes of a bad one: flips, cuts, splices, and numbers that lengths and counts do not survive. */

/** Numbers in [0, 1). */
export type Random = () => number;
const below = (random: Random, n: number): number => Math.floor(random() * n);
const pick = <T>(random: Random, list: readonly T[]): T => list[below(random, list.length)]!;

/** Varints and words at the borders of what fits. */
const borders: readonly (readonly number[])[] = [
  [0x00],
  [0x7f],
  [0xff, 0x01],
  [0xff, 0xff, 0xff, 0xff, 0x07],
  [0xff, 0xff, 0xff, 0xff, 0x0f],
  [0x80, 0x80, 0x80, 0x80, 0x10],
  [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f],
  [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
  [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01],
  [0x00, 0x00, 0x00, 0x80],
  [0xff, 0xff, 0xff, 0xff],
];

type Change = (bytes: Uint8Array, random: Random) => Uint8Array;
/** Most of a file is weights, where damage shows least: half of all changes go to its first or last kilobyte. */
const place = (bytes: Uint8Array, random: Random): number => {
  const n = bytes.length;
  const kind = below(random, 4);
  if (kind === 0) return below(random, Math.min(n, 1024));
  if (kind === 1) return n - 1 - below(random, Math.min(n, 1024));
  return below(random, n);
};
const spliced = (bytes: Uint8Array, at: number, drop: number, put: ArrayLike<number>): Uint8Array => {
  const out = new Uint8Array(at + put.length + Math.max(0, bytes.length - at - drop));
  out.set(bytes.subarray(0, at));
  out.set(put, at);
  out.set(bytes.subarray(at + drop), at + put.length);
  return out;
};

const changes: readonly Change[] = [
  function flip(bytes, random) {
    const out = bytes.slice();
    for (let i = below(random, 8); i >= 0; i--) out[place(bytes, random)]! ^= 1 << below(random, 8);
    return out;
  },
  function set(bytes, random) {
    const out = bytes.slice();
    for (let i = below(random, 4); i >= 0; i--) out[place(bytes, random)] = below(random, 256);
    return out;
  },
  (bytes, random) => bytes.slice(0, place(bytes, random)),
  (bytes, random) => bytes.slice(place(bytes, random)),
  function border(bytes, random) {
    const put = pick(random, borders);
    return spliced(bytes, place(bytes, random), random() < 0.5 ? put.length : 1, put);
  },
  (bytes, random) => spliced(bytes, place(bytes, random), below(random, 64), []),
  function copy(bytes, random) {
    const from = place(bytes, random);
    return spliced(bytes, place(bytes, random), 0, bytes.slice(from, from + 1 + below(random, 200)));
  },
  function swap(bytes, random) {
    const [a, b] = [place(bytes, random), place(bytes, random)];
    const length = 1 + below(random, 32);
    const piece = bytes.slice(a, a + length);
    const out = spliced(bytes, a, length, bytes.slice(b, b + length));
    return spliced(out, Math.min(b, out.length), length, piece);
  },
];

/** A damaged copy of `bytes`; one to four changes. */
export function mutate(bytes: Uint8Array, random: Random): Uint8Array {
  let out = bytes;
  for (let i = below(random, 4); i >= 0 && out.length > 0; i--) out = pick(random, changes)(out, random);
  return out;
}
