/** The places of a tensor's elements in its codebook, as decisions under mixed contexts. */
import type { BitCoder } from "./bit-coder.js";
import { hash, Mixer } from "./mixer.js";

/** Codes `indices` in place, row by row; `zero`: the entry of pruned elements, or -1. */
export function plane(io: BitCoder, indices: Uint8Array, dims: readonly number[], count: number, zero: number): void {
  if (count === 1) return;
  const columns = dims.length > 1 ? dims.slice(1).reduce((p, d) => p * d, 1) : (dims[0] ?? 1);
  let bits = 1;
  while (1 << bits < count) bits++;
  const mixer = new Mixer(4, 16);
  const c = mixer.contexts;
  for (let i = 0; i < indices.length; i++) {
    const left = i > 0 ? indices[i - 1]! : 0;
    const above = i >= columns ? indices[i - columns]! : 0;
    c[0] = 1;
    c[1] = hash(2, left);
    c[2] = hash(3, i % columns);
    c[3] = hash(hash(4, left), above);
    const symbol = indices[i]!;
    if (zero >= 0) {
      if (mixer.bit(io, 0, symbol === zero ? 1 : 0)) {
        indices[i] = zero;
        continue;
      }
    }
    let node = 1;
    for (let b = bits - 1; b >= 0; b--) node = node * 2 + mixer.bit(io, node, (symbol >> b) & 1);
    indices[i] = node - (1 << bits);
  }
}
