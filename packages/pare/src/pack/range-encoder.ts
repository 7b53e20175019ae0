/** Decisions -> bytes: the counterpart of the runtime's RangeDecoder. */
import { type BitCoder, unitLimit } from "@pare/runtime/writer";

export class RangeEncoder implements BitCoder {
  readonly reading = false;
  #out = new Uint8Array(4096);
  #length = 0;
  #low = 0;
  #range = 0xffffffff;
  #plain: Uint8Array[] = [];
  #spent = 0;

  bit(p: number, bit: number): number {
    const bound = Math.floor((this.#range * p) / 65536);
    if (bit) this.#range = bound;
    else {
      this.#low += bound;
      this.#range -= bound;
    }
    while (this.#range < 0x1000000) {
      this.#shift();
      this.#range *= 256;
    }
    return bit;
  }
  #shift(): void {
    // A carry out of 32 bits runs through the bytes written so far.
    if (this.#low >= 0x100000000) {
      let i = this.#length - 1;
      while (this.#out[i] === 255) this.#out[i--] = 0;
      this.#out[i]!++;
      this.#low -= 0x100000000;
    }
    if (this.#length === this.#out.length) {
      const longer = new Uint8Array(this.#length * 2);
      longer.set(this.#out);
      this.#out = longer;
    }
    this.#out[this.#length++] = Math.floor(this.#low / 0x1000000);
    this.#low = (this.#low % 0x1000000) * 256;
  }
  plain(length: number, bytes: Uint8Array = new Uint8Array(length)): Uint8Array {
    this.#plain.push(bytes.subarray(0, length));
    return bytes;
  }
  spend(units: number): void {
    this.#spent += units;
  }
  /** Whether a reader would spend `units` more, by what was written so far. */
  affords(units: number): boolean {
    return this.#spent + units <= unitLimit(Math.floor(this.position / 8));
  }

  /** Bits written so far, both sections. */
  get position(): number {
    const plain = this.#plain.reduce((sum, p) => sum + p.length, 0);
    return 8 * (this.#length + plain) + 32 - Math.log2(this.#range);
  }
  /** The coded section, as short as decodes right (a reader sees zeros beyond it), and the parts of the plain section. */
  finish(): { coded: Uint8Array; plain: readonly Uint8Array[] } {
    // Of all numbers in [low, low + range) the one with the most zeros at its end.
    for (let unit = 2 ** 32; unit >= 1; unit /= 2) {
      const rounded = Math.ceil(this.#low / unit) * unit;
      if (rounded < this.#low + this.#range) {
        this.#low = rounded;
        break;
      }
    }
    const before = this.#length;
    for (let i = 0; i < 5; i++) this.#shift();
    while (this.#length > before && this.#out[this.#length - 1] === 0) this.#length--;
    return { coded: this.#out.slice(0, this.#length), plain: this.#plain };
  }
}
