/** Products, sums and quotients of axis lengths, symbols included. Shapes in, one length out; "" where it cannot be said. */
import type { Dim, Shape } from "../graph/graph.js";

const numberIn = (dims: Shape): number => dims.reduce<number>((p, d) => (typeof d === "number" ? p * d : p), 1);
const symbolsIn = (dims: Shape): string[] => dims.filter((d) => typeof d === "string");

/** A lone symbol among ones survives. */
export function productOf(dims: Shape): Dim {
  if (dims.includes(0)) return 0;
  const symbols = symbolsIn(dims);
  if (symbols.length === 0) return numberIn(dims);
  return symbols.length === 1 && numberIn(dims) === 1 ? symbols[0]! : "";
}

/** A lone symbol plus zeros survives. */
export function sumOf(dims: Shape): Dim {
  const symbols = symbolsIn(dims);
  const number = dims.reduce<number>((p, d) => (typeof d === "number" ? p + d : p), 0);
  if (symbols.length === 0) return number;
  return symbols.length === 1 && number === 0 ? symbols[0]! : "";
}

/** Product of `dims` over product of `by`, equal symbols cancelled; null where it is no whole number. */
export function quotientOf(dims: Shape, by: Shape): Dim | null {
  if (dims.includes(0)) return by.includes(0) ? "" : 0;
  const left = symbolsIn(dims);
  const below: string[] = [];
  for (const symbol of symbolsIn(by)) {
    const k = symbol === "" ? -1 : left.indexOf(symbol);
    if (k < 0) below.push(symbol);
    else left.splice(k, 1);
  }
  const [n, d] = [numberIn(dims), numberIn(by)];
  if (below.length > 0 || left.length > 1) return "";
  if (left.length === 1) return n === d ? left[0]! : "";
  return d !== 0 && n % d === 0 ? n / d : null;
}

/** Shapes in messages: [n, 3, ?]. */
export const shown = (shape: Shape | null): string =>
  shape ? `[${shape.map((d) => (d === "" ? "?" : d))}]` : "[rank?]";

/** A shape of which only the rank is known; null where even that is unbelievable. */
export const ranked = (rank: Dim | undefined): Shape | null =>
  typeof rank === "number" && rank <= 256 ? Array<Dim>(rank).fill("") : null;
