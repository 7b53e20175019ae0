/** Unknown positive factors as numbers: fields of them over letters come in, equalities between them go in, and out comes which are the same. */

/** The factor that is 1. */
export const one = 0;
/** Fields of more factors are not followed: all of them are 1. */
export const mostFactors = 1 << 20;

export type Lengths = ReadonlyMap<string, number>;

/** A factor for every combination of the letters' indices, row-major; no letters: one for all. */
export interface Field {
  readonly letters: readonly string[];
  readonly ids: Int32Array;
}
export const ones: Field = { letters: [], ids: Int32Array.of(one) };

const sizeOver = (letters: readonly string[], lengths: Lengths): number =>
  letters.reduce((n, l) => n * lengths.get(l)!, 1);

/** The field's factor at every combination of `to`, which holds its letters and perhaps others. */
export function spread(field: Field, to: readonly string[], lengths: Lengths): Int32Array {
  const out = new Int32Array(sizeOver(to, lengths));
  const strides = to.map((l) => {
    const k = field.letters.indexOf(l);
    return k < 0 ? 0 : sizeOver(field.letters.slice(k + 1), lengths);
  });
  const digits = to.map(() => 0);
  for (let i = 0, from = 0; i < out.length; i++) {
    out[i] = field.ids[from]!;
    for (let d = to.length - 1; d >= 0; d--) {
      from += strides[d]!;
      if (++digits[d]! < lengths.get(to[d]!)!) break;
      from -= digits[d]! * strides[d]!;
      digits[d] = 0;
    }
  }
  return out;
}

export class Factors {
  readonly #parent: number[] = [one];

  fresh(letters: readonly string[], lengths: Lengths): Field {
    const size = sizeOver(letters, lengths);
    if (size > mostFactors) return ones;
    return { letters, ids: Int32Array.from({ length: size }, () => this.#parent.push(this.#parent.length) - 1) };
  }
  find(id: number): number {
    let root = id;
    while (this.#parent[root] !== root) root = this.#parent[root]!;
    for (let at = id; at !== root; ) [at, this.#parent[at]] = [this.#parent[at]!, root];
    return root;
  }
  /** The smaller number is the root, so what is tied to 1 is 1. */
  tie(a: number, b: number): void {
    const [p, q] = [this.find(a), this.find(b)];
    if (p !== q) this.#parent[Math.max(p, q)] = Math.min(p, q);
  }
  hold(ids: Int32Array): void {
    for (const id of ids) this.tie(id, one);
  }
  isOne(field: Field): boolean {
    return field.ids.every((id) => this.find(id) === one);
  }
  /** The same field without the letters that it does not depend on. */
  reduced(field: Field, lengths: Lengths): Field {
    let { letters, ids } = field;
    for (const letter of field.letters) {
      const rest = letters.filter((l) => l !== letter);
      const first = pickFirst({ letters, ids }, letter, lengths);
      const wide = spread({ letters: rest, ids: first }, letters, lengths);
      if (wide.every((id, i) => id === ids[i] || this.find(id) === this.find(ids[i]!))) [letters, ids] = [rest, first];
    }
    return { letters, ids };
  }
  /** Ties what differs in these letters alone. */
  without(field: Field, gone: (letter: string) => boolean, lengths: Lengths): Field {
    let { letters, ids } = field;
    for (const letter of field.letters.filter(gone)) {
      const rest = letters.filter((l) => l !== letter);
      const first = pickFirst({ letters, ids }, letter, lengths);
      spread({ letters: rest, ids: first }, letters, lengths).forEach((id, i) => {
        this.tie(id, ids[i]!);
      });
      [letters, ids] = [rest, first];
    }
    return { letters, ids };
  }
  /** Both fields are one from here on. */
  same(a: Field, b: Field, lengths: Lengths): Field {
    const letters = [...a.letters, ...b.letters.filter((l) => !a.letters.includes(l))];
    if (sizeOver(letters, lengths) > mostFactors) {
      this.hold(a.ids);
      this.hold(b.ids);
      return ones;
    }
    const [left, right] = [spread(a, letters, lengths), spread(b, letters, lengths)];
    left.forEach((id, i) => {
      this.tie(id, right[i]!);
    });
    return this.reduced({ letters, ids: left }, lengths);
  }
}

/** The field at index 0 of one letter. */
function pickFirst({ letters, ids }: Field, letter: string, lengths: Lengths): Int32Array {
  const k = letters.indexOf(letter);
  const inner = sizeOver(letters.slice(k + 1), lengths);
  const n = lengths.get(letter)!;
  return Int32Array.from({ length: ids.length / n }, (_, i) => ids[Math.floor(i / inner) * inner * n + (i % inner)]!);
}
