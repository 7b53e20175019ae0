/** Einsum: any contraction, said in letters. */
import type { Emitter } from "../graph/emit.js";
import { PareError } from "../graph/error.js";
import type { Dim, Node, Shape } from "../graph/graph.js";
import { floats } from "../graph/tensor.js";
import { sumTo } from "./calculus.js";
import { broadcast, sameDim } from "./dims.js";
import { inexact } from "./elementwise.js";
import { awaits, type GradientSite, type Operator, op, type Site } from "./record.js";
import { at, need } from "./site.js";
import { anyZero } from "./zero.js";

/** One letter per axis; "." stands for the axes of an ellipsis. */
interface Equation {
  readonly inputs: readonly (readonly string[])[];
  readonly output: readonly string[];
}

function parse(node: Node, equation: string): Equation {
  const [left, right, more] = equation.replace(/\s/g, "").split("->");
  const term = (text: string): string[] => {
    const letters = [...text.replace("...", ".")];
    if (letters.some((l) => !/[A-Za-z.]/.test(l)) || letters.filter((l) => l === ".").length > 1)
      throw new PareError(`${at(node)}: equation "${equation}" is not one that Einsum knows`);
    return letters;
  };
  if (left === undefined || more !== undefined)
    throw new PareError(`${at(node)}: equation "${equation}" should have at most one "->"`);
  const inputs = left.split(",").map(term);
  if (inputs.length !== node.inputs.length)
    throw new PareError(
      `${at(node)}: equation "${equation}" has ${inputs.length} terms for ${node.inputs.length} inputs`,
    );
  if (right !== undefined) return { inputs, output: term(right) };
  // Without "->": the ellipsis, then every letter that occurs once, in order of the alphabet.
  const all = inputs.flat();
  const once = [...new Set(all)].filter((l) => l !== "." && all.filter((m) => m === l).length === 1).sort();
  return { inputs, output: [...(all.includes(".") ? ["."] : []), ...once] };
}

/** Lengths of the letters, and of the ellipsis. */
function lengths(s: Site<Equation>): { letters: Map<string, Dim>; rest: Shape } | null {
  const letters = new Map<string, Dim>();
  const rests: Shape[] = [];
  for (const [i, term] of s.a.inputs.entries()) {
    const shape = need(s, i).shape;
    if (!shape) return null;
    const extra = term.includes(".") ? shape.length - term.length + 1 : 0;
    if (extra < 0 || (!term.includes(".") && term.length !== shape.length))
      throw new PareError(`${at(s.node)}: term ${i} names ${term.length} axes, the input has ${shape.length}`);
    let d = 0;
    for (const letter of term) {
      if (letter === ".") {
        rests.push(shape.slice(d, d + extra));
        d += extra;
        continue;
      }
      const dim = shape[d++]!;
      letters.set(letter, letters.has(letter) ? sameDim(s.node, letters.get(letter)!, dim, `axis ${letter}`) : dim);
    }
  }
  return { letters, rest: broadcast(s.node, rests)! };
}

const einsum = op<Equation>({
  type: "Einsum",
  zero: anyZero,
  domain: "",
  attrs: (r) => parse(r.node, r.string("equation")),
  axes: (s) => {
    const repeated = new Set(s.a.inputs.flatMap((term) => term.filter((l, i) => term.indexOf(l) !== i)));
    const say = (term: readonly string[]) =>
      term.map((l) => (l === "." ? "rest..." : `${l}x${repeated.has(l) ? "!" : ""}`)).join(" ");
    return `${s.a.inputs.map(say).join(", ")} -> ${say(s.a.output)}`;
  },
  shape: (s) => {
    const known = lengths(s);
    const shape = known && s.a.output.flatMap((l): Shape => (l === "." ? known.rest : [known.letters.get(l) ?? ""]));
    return [{ type: need(s, 0).type, shape }];
  },
  grad: (g, s) => {
    const dy = s.dy[0];
    return s.inputs.map((_, i) => (dy && s.wanted[i] ? operandGradient(g, s, dy, i) : null));
  },
  quant: "weights",
  packs: awaits("einsum"),
  raise: "same",
  rewrite: "none needed",
  fold: inexact,
});

/** dL/d(operand i): the product of dy and the other operands over every letter that operand i lacks. */
function operandGradient(g: Emitter, s: GradientSite<Equation>, dy: string, i: number): string {
  const known = lengths(s)!;
  const size = (l: string): number[] =>
    l === "." ? [...(known.rest as readonly number[])] : [known.letters.get(l) as number];
  const whole = s.a.inputs[i]!;
  const term = [...new Set(whole)];
  const others = s.a.inputs.flatMap((t, j) => (j === i ? [] : [{ term: t, name: s.inputs[j]! }]));
  const seen = new Set([...s.a.output, ...others.flatMap((o) => o.term)]);
  const there = term.filter((l) => seen.has(l));
  const say = (t: readonly string[]) => t.map((l) => (l === "." ? "..." : l)).join("");
  const given = [s.a.output, ...others.map((o) => o.term)];
  // An ellipsis that operand i lacks was broadcast over it: it stays for the product and is summed after it.
  const repeated = given.some((t) => t.includes(".")) && !term.includes(".");
  const equation = `${given.map(say).join(",")}->${say(repeated ? [".", ...there] : there)}`;
  let product = g.op("Einsum", [dy, ...others.map((o) => o.name)], { equation });
  const lead = known.rest.map((_, d) => d);
  if (repeated && lead.length) product = g.reduceSum(product, lead);
  if (there.length < term.length) {
    // A letter that only operand i has was summed: every element of it gets the same gradient.
    const gaps = term.flatMap((l) => (seen.has(l) ? size(l) : size(l).map(() => 1)));
    product = g.op("Expand", [g.reshape(product, gaps), g.ints(term.flatMap(size))]);
  }
  if (term.length < whole.length) product = ontoDiagonals(g, product, whole, size);
  return sumTo(g, product, whole.flatMap(size), s.dims(i));
}

/** A letter that a term repeats reads a diagonal: puts the values there, zeros elsewhere. */
function ontoDiagonals(
  g: Emitter,
  values: string,
  term: readonly string[],
  size: (letter: string) => readonly number[],
): string {
  const shape = (show: (letter: string, k: number) => boolean) =>
    term.flatMap((l, k) => (show(l, k) ? size(l) : size(l).map(() => 1)));
  let spread = g.reshape(
    values,
    shape((l, k) => term.indexOf(l) === k),
  );
  term.forEach((letter, k) => {
    const first = term.indexOf(letter);
    if (first === k) return;
    const n = size(letter)[0]!;
    const eye = Float32Array.from({ length: n * n }, (_, j) => (j % (n + 1) === 0 ? 1 : 0));
    const constant = g.constant(
      floats(
        eye,
        shape((_, j) => j === first || j === k),
      ),
      "eye",
    );
    spread = g.op("Mul", [spread, g.floatType === "float32" ? constant : g.cast(constant, g.floatType)]);
  });
  return spread;
}

export const einsums: readonly Operator[] = [einsum];
