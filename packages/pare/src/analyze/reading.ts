/** A node's signature and the shapes around it come in; its inputs and outputs by the letters of their axes, in pieces where these lie side by side, go out. */
import { PareError } from "../graph/error.js";
import type { Site } from "../ops/record.js";
import type { Lengths } from "./factors.js";
import { isNumber, lengthsOf, type Pattern, signature } from "./signature.js";

/** One input or output of a node, or one piece of it where pieces lie side by side. */
export interface View {
  readonly at: number;
  /** Letters of each axis. */
  readonly axes: readonly (readonly string[])[];
  readonly letters: ReadonlySet<string>;
  readonly piece: { readonly axis: number; readonly from: number; readonly count: number } | null;
}
/** What a node's signature says, in views. */
export interface Reading {
  readonly lengths: Lengths;
  readonly inputs: readonly View[];
  readonly outputs: readonly View[];
  /** Letters whose indices are counted or mixed. */
  readonly fixed: ReadonlySet<string>;
  /** Letters that stand for pieces. */
  readonly pieces: ReadonlySet<string>;
}

/** null where the signature does not fit the shapes, or pieces lie along two axes. */
export function readingOf(
  spec: { text: string; sizes?: Readonly<Record<string, number>> },
  site: Site,
): Reading | null {
  const shapes = (list: Site["x"]) => list.map((v) => (v?.shape as readonly number[] | undefined) ?? null);
  const [x, y] = [shapes(site.x), shapes(site.y)];
  try {
    const s = signature(
      spec.text,
      x.map((d) => d?.length ?? null),
      y.map((d) => d?.length ?? null),
    );
    const lengths = lengthsOf(s, x, y, spec.sizes ?? {});
    const patterns = [...s.inputs, ...s.outputs].flatMap((term) => term ?? []);
    const letters = patterns.flatMap((p) => p.letters);
    if ([...s.inputs, ...s.outputs].some((term) => (term?.filter((p) => p.sum).length ?? 0) > 1)) return null;
    const views = (terms: typeof s.inputs, dims: typeof x) =>
      terms.flatMap((term, i) => (term ? viewsOf(term, dims[i]!, i, lengths) : []));
    return {
      lengths,
      inputs: views(s.inputs, x),
      outputs: views(s.outputs, y),
      fixed: new Set(letters.filter((l) => l.fixed || l.measured || isNumber(l)).map((l) => l.name)),
      pieces: new Set(patterns.filter((p) => p.sum).flatMap((p) => p.letters.map((l) => l.name))),
    };
  } catch (error) {
    if (error instanceof PareError) return null;
    throw error;
  }
}
function viewsOf(term: readonly Pattern[], dims: readonly number[], at: number, lengths: Lengths): View[] {
  const sum = term.findIndex((p) => p.sum);
  // An axis of length 1 that is broadcast tells nothing of its letter.
  const plain = term.map((p, d) =>
    p.letters.length === 1 && dims[d] !== lengths.get(p.letters[0]!.name) ? [] : p.letters.map((l) => l.name),
  );
  const view = (axes: readonly (readonly string[])[], piece: View["piece"]): View => ({
    at,
    axes,
    letters: new Set(axes.flat()),
    piece,
  });
  if (sum < 0) return [view(plain, null)];
  let from = 0;
  return term[sum]!.letters.map((l) => {
    const count = lengths.get(l.name)!;
    const piece = { axis: sum, from, count };
    from += count;
    return view(
      plain.map((axis, d) => (d === sum ? [l.name] : axis)),
      piece,
    );
  });
}
