/** Decisions -> bits they would cost, to weigh codings without writing. */
import type { BitCoder } from "./bit-coder.js";

export class BitCounter implements BitCoder {
  readonly reading = false;
  bits = 0;
  bit(p: number, bit: number): number {
    this.bits -= Math.log2((bit ? p : 65536 - p) / 65536);
    return bit;
  }
  plain(length: number, bytes: Uint8Array = new Uint8Array(length)): Uint8Array {
    this.bits += 8 * length;
    return bytes;
  }
  spend(): void {}
}
