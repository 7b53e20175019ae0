/** The notation of `axes` facets: text in; out, the patterns of every input and output, and the length of every letter. */
import { PareError } from "../graph/error.js";

export interface Letter {
  readonly name: string;
  /** Position or count matters: no index may go. Numbers are such. */
  readonly fixed: boolean;
  /** A statistic is taken over it: an index that is zero still counts. */
  readonly measured: boolean;
}
/** One axis: a letter, a product of letters, or (sum) a concatenation. */
export interface Pattern {
  readonly letters: readonly Letter[];
  readonly sum: boolean;
}
export interface Signature {
  readonly inputs: readonly (readonly Pattern[] | null)[];
  readonly outputs: readonly (readonly Pattern[] | null)[];
}
type Written = Pattern & { readonly rest: boolean };
interface Text {
  readonly inputs: readonly (readonly Written[])[];
  readonly outputs: readonly (readonly Written[])[];
}

export const isNumber = (letter: Letter): boolean => /^\d/.test(letter.name);

const parsed = new Map<string, Text>();
/** Reshapes write texts of their own: what a long-lived process has seen is forgotten from time to time. */
const remembered = 4096;
function read(text: string): Text {
  const known = parsed.get(text);
  if (known) return known;
  const sides = text.split("->");
  if (sides.length !== 2) throw new PareError(`axes "${text}" should have one "->"`);
  const [inputs, outputs] = sides.map((side) => side.split(",").map(terms)) as [Written[][], Written[][]];
  const result = { inputs, outputs };
  if (parsed.size >= remembered) parsed.clear();
  parsed.set(text, result);
  return result;
}
const terms = (term: string): Written[] =>
  [...term.matchAll(/\(([^)]*)\)|\S+/g)].map((m) => {
    const body = (m[1] ?? m[0]).trim();
    const words = body.split(/\s*\+\s*|\s+/).filter(Boolean);
    const letters = words.map((word): Letter => {
      const name = word.replace(/[!~.]/g, "");
      return { name, fixed: word.includes("!") || /^\d/.test(name), measured: word.includes("~") };
    });
    return { letters, sum: body.includes("+"), rest: body.includes("...") };
  });

/** "x..." stands for the axes that are left over, counted from the right: x.2 x.1 x.0. */
function spell(term: readonly Written[], rank: number, text: string): Pattern[] {
  const rest = term.some((p) => p.rest);
  const over = rank - term.length + (rest ? 1 : 0);
  if (over < 0 || (!rest && over !== 0)) throw new PareError(`axes "${text}" do not fit a tensor of rank ${rank}`);
  return term.flatMap((p): Pattern[] => {
    if (!p.rest) return [p];
    const [letter] = p.letters;
    return Array.from({ length: over }, (_, i) => ({
      letters: [{ ...letter!, name: `${letter!.name}.${over - 1 - i}` }],
      sum: false,
    }));
  });
}

/** Reads a text for tensors of these ranks (null: absent). An empty term, for data that are no tensor of axes, gives null. Throws PareError where the ranks do not fit. */
export function signature(
  text: string,
  inputs: readonly (number | null)[],
  outputs: readonly (number | null)[],
): Signature {
  const t = read(text);
  const side = (written: readonly (readonly Written[])[], ranks: readonly (number | null)[]) =>
    ranks.map((rank, i) => {
      const term = written[i];
      return rank === null || !term || (term.length === 0 && rank > 0) ? null : spell(term, rank, text);
    });
  return { inputs: side(t.inputs, inputs), outputs: side(t.outputs, outputs) };
}

/** The length of every letter, from the shapes and from `given`. Throws PareError where a length stays open or is no whole number. */
export function lengthsOf(
  s: Signature,
  inputs: readonly (readonly number[] | null)[],
  outputs: readonly (readonly number[] | null)[],
  given: Readonly<Record<string, number>>,
): Map<string, number> {
  const lengths = new Map(Object.entries(given));
  const each = (visit: (p: Pattern, length: number) => void): void => {
    for (const [patterns, shapes] of [
      [s.inputs, inputs],
      [s.outputs, outputs],
    ] as const)
      patterns.forEach((term, i) => {
        term?.forEach((p, d) => {
          visit(p, shapes[i]![d]!);
        });
      });
  };
  each((p) => {
    for (const l of p.letters) if (isNumber(l)) lengths.set(l.name, Number(l.name));
  });
  each((p, length) => {
    const [l] = p.letters;
    // Where one side is broadcast its length is 1: the other's counts.
    if (p.letters.length === 1 && !(l!.name in given) && !isNumber(l!))
      lengths.set(l!.name, l!.name && lengths.has(l!.name) ? wider(lengths.get(l!.name)!, length) : length);
  });
  each((p, length) => {
    const open = p.letters.filter((l) => !lengths.has(l.name));
    if (open.length !== 1) return;
    const rest = p.letters.reduce(
      (n, l) => (p.sum ? n - (lengths.get(l.name) ?? 0) : n / (lengths.get(l.name) ?? 1)),
      length,
    );
    lengths.set(open[0]!.name, rest);
  });
  each((p) => {
    for (const l of p.letters) {
      const n = lengths.get(l.name);
      if (n === undefined || !Number.isInteger(n) || n < 0) throw new PareError(`the length of "${l.name}" is ${n}`);
    }
  });
  return lengths;
}
const wider = (a: number, b: number): number => (a === 1 ? b : b === 1 ? a : Math.max(a, b));
