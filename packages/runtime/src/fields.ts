/** Everything but weights: numbers, words and texts as adaptive decisions, in both directions. A reader passes anything for the values. */
import type { BitCoder } from "./bit-coder.js";
import { FormatError } from "./error.js";
import { usualText, usualWords } from "./format.js";
import { hash, Mixer } from "./mixer.js";

const maxBits = 53;
const end = 0;
const beyond = 1;

const options = { contextWeight: [0.45, 0.45], bits: 16, rate: 0.02, rateEnd: 0.02, decay: 0 } as const;

export class Fields {
  readonly #ids = new Map<string, number>();
  readonly #last = new Map<number, number>();
  readonly #mixer = new Mixer({ contexts: 4, ...options });
  readonly #text = new Mixer({ contexts: 5, ...options });
  readonly #words = new Map<string, { list: string[]; index: Map<string, number> }>();
  /** Where the reader is, for errors. */
  #field = "";

  constructor(private readonly io: BitCoder) {
    const real = this.io;
    this.io = { bit: (_p, bit) => bit, plain: real.plain, spend: () => {}, reading: false };
    this.text("usual", usualText);
    this.io = real;
  }

  #open(field: string, by: number): number {
    this.#field = field;
    let id = this.#ids.get(field);
    if (id === undefined) {
      id = fnv(field);
      this.#ids.set(field, id);
    }
    const last = this.#last.get(id) ?? 0;
    const c = this.#mixer.contexts;
    c[0] = id;
    c[1] = hash(id, last + 1);
    c[2] = hash(id ^ 0x5bd1e995, by);
    c[3] = hash(c[2]!, last);
    return id;
  }
  #bit(node: number, bit: number): number {
    return this.#mixer.bit(this.io, node, bit);
  }

  /** A decision; `by` is what it may depend on. */
  flag(field: string, value: boolean, by = 0): boolean {
    const id = this.#open(field, by);
    const bit = this.#bit(1, value ? 1 : 0);
    this.#last.set(id, bit);
    return bit === 1;
  }
  /** A number of a known few: 0..2^bits - 1. */
  choice(field: string, bits: number, value: number, by = 0): number {
    const id = this.#open(field, by);
    let node = 1;
    for (let i = bits - 1; i >= 0; i--) node = node * 2 + this.#bit(node, (value >>> i) & 1);
    this.#last.set(id, node);
    return node - (1 << bits);
  }
  /** An integer 0..2^53 - 2: its length in unary, then its bits. */
  uint(field: string, value: number, by = 0): number {
    const id = this.#open(field, by);
    const v = value + 1;
    let length = 0;
    if (!this.io.reading) while (2 ** (length + 1) <= v) length++;
    let n = 0;
    while (this.#bit(1 + n, n < length ? 1 : 0)) if (++n >= maxBits) throw this.error("a number beyond 2^53");
    let x = 1;
    for (let i = n - 1; i >= 0; i--)
      x = x * 2 + this.#bit(hash(64 + n, x < 16 ? x : i + 64), Math.floor(v / 2 ** i) % 2);
    this.#last.set(id, n * 4 + (x % 4));
    return x - 1;
  }
  /** A count of things to come, each of which costs at least `unit` of the reader's budget. */
  count(field: string, value: number, by = 0, unit = 1): number {
    const n = this.uint(field, value, by);
    this.io.spend(n * unit, field);
    return n;
  }
  int(field: string, value: number, by = 0): number {
    const zigzag = this.uint(field, value < 0 ? -value * 2 - 1 : value * 2, by);
    return zigzag % 2 ? -(zigzag + 1) / 2 : zigzag / 2;
  }
  /** A bit pattern of up to 32 bits: its upper byte under a model, the rest as it is. */
  word32(field: string, bits: number, value: number): number {
    const head = Math.min(8, bits);
    let x = this.choice(field, head, (value >>> (bits - head)) & 255);
    for (let i = bits - head - 1; i >= 0; i--) x = x * 2 + this.io.bit(32768, (value >>> i) & 1);
    return x;
  }
  /** Raw bytes of any length among the coded decisions. */
  bytes(field: string, value: Uint8Array): Uint8Array {
    const n = this.count(`${field}.length`, value.length);
    const out = this.io.reading ? new Uint8Array(n) : value;
    for (let i = 0; i < n; i++) {
      const b = this.choice(field, 8, value[i] ?? 0);
      if (this.io.reading) out[i] = b;
    }
    return out;
  }
  /** A float64 by its shortest exact form: an integer, a decimal fraction of float32 or float64, 4 or 8 bytes. */
  float(field: string, value: number, by = 0): number {
    const form = this.choice(`${field}.form`, 3, this.io.reading ? 0 : formOf(value), by);
    if (form === 0) return this.int(field, value, by);
    if (form === 1 || form === 2) {
      const [m, e] = this.io.reading ? [0, 0] : decimalOf(value, form)!;
      const mantissa = this.int(`${field}.mantissa`, m, by);
      const x = mantissa / power10(this.choice(`${field}.exponent`, 4, e, by));
      return form === 1 ? Math.fround(x) : x;
    }
    const size = form === 3 ? 4 : 8;
    const view = new DataView(new ArrayBuffer(8));
    if (form === 3) view.setFloat32(0, value, true);
    else view.setFloat64(0, value, true);
    for (let i = size - 1; i >= 0; i--) view.setUint8(i, this.choice(`${field}.byte${i}`, 8, view.getUint8(i)));
    return form === 3 ? view.getFloat32(0, true) : view.getFloat64(0, true);
  }
  /** A string of any UTF-16 code units, ended by a mark. */
  text(field: string, value: string): string {
    this.#field = field;
    const c = this.#text.contexts;
    const id = fnv(field);
    const units: number[] = [];
    let [a, b, d] = [0, 0, 0];
    for (let i = 0; ; i++) {
      const unit = i < value.length ? value.charCodeAt(i) : -1;
      c[0] = 1;
      c[1] = hash(2, a);
      c[2] = hash(hash(3, a), b);
      c[3] = hash(hash(hash(4, a), b), d);
      c[4] = hash(hash(id, a), Math.min(i, 3));
      const symbol = this.#byte(unit < 0 ? end : unit > beyond && unit < 256 ? unit : beyond);
      if (symbol === end) break;
      this.io.spend(1, field);
      let code = symbol;
      if (symbol === beyond) {
        code = 0;
        for (let k = 15; k >= 0; k--) code = code * 2 + this.io.bit(32768, (unit >>> k) & 1);
      }
      units.push(code);
      [d, b, a] = [b, a, symbol];
    }
    let out = "";
    for (let i = 0; i < units.length; i += 4096) out += String.fromCharCode(...units.slice(i, i + 4096));
    return out;
  }
  #byte(value: number): number {
    let node = 1;
    for (let i = 7; i >= 0; i--) node = node * 2 + this.#text.bit(this.io, node, (value >>> i) & 1);
    return node - 256;
  }
  /** A string that is likely to come again: its place in the field's list of words, or a new word. */
  word(field: string, value: string, by = 0): string {
    let words = this.#words.get(field);
    if (!words) {
      const list = [...(usualWords[field] ?? [])];
      words = { list, index: new Map(list.map((w, i) => [w, i + 1])) };
      this.#words.set(field, words);
    }
    const { list, index } = words;
    const at = this.uint(field, index.get(value) ?? 0, by);
    if (at > 0) {
      const known = list[at - 1];
      if (known === undefined) throw this.error(`word ${at} of ${list.length}`);
      return known;
    }
    const fresh = this.text(`${field}.new`, value);
    list.push(fresh);
    index.set(fresh, list.length);
    return fresh;
  }

  error(message: string): FormatError {
    return new FormatError(message, this.#field);
  }
}

function fnv(s: string): number {
  let h = 0x811c9dc5 | 0;
  for (let i = 0; i < s.length; i++) h = Math.imul(h ^ s.charCodeAt(i), 0x01000193);
  return h;
}
const power10 = (e: number): number => {
  let p = 1;
  for (let i = 0; i < e; i++) p *= 10;
  return p;
};
/** value = m / 10^e, rounded to float32 in form 1. */
function decimalOf(value: number, form: number): [number, number] | null {
  for (let e = 1; e < 16; e++) {
    const m = Math.round(value * power10(e));
    if (Math.abs(m) > 100000) return null;
    const x = m / power10(e);
    if (m !== 0 && Object.is(form === 1 ? Math.fround(x) : x, value)) return [m, e];
  }
  return null;
}
function formOf(value: number): number {
  if (Number.isInteger(value) && Math.abs(value) < 2 ** 24 && !Object.is(value, -0)) return 0;
  const single = Object.is(Math.fround(value), value);
  if (single && decimalOf(value, 1)) return 1;
  if (decimalOf(value, 2)) return 2;
  return single ? 3 : 4;
}
