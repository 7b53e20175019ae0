/**
 * Which factors a graph may carry without computing anything else: a Graph comes in; out, for every value the factor of each of its elements, and
 * for every constant what it must be multiplied and divided by, in unknowns that may take any positive value.
 */
import type { Graph, Node, Tensor, ValueType } from "../graph/graph.js";
import { bodiesOf, readCounts } from "../graph/scope.js";
import { sizeOf } from "../graph/tensor.js";
import { isFixed } from "../ops/dims.js";
import { type AxesPick, isNone } from "../ops/record.js";
import { recordOf } from "../ops/registry.js";
import { opsetOf, siteOf } from "../ops/site.js";
import { isFloat, smallElements } from "../ops/values.js";
import { inferAny, readBy } from "./couple.js";
import { Factors, type Field, type Lengths, mostFactors, one, ones, spread } from "./factors.js";
import type { Inferred } from "./infer.js";
import type { Dims } from "./probe.js";
import { type Reading, readingOf, type View } from "./reading.js";

/** A factor for every index of some axes of a tensor, row-major: 0 is 1, any other number an unknown. */
export interface Spread {
  readonly axes: readonly number[];
  readonly ids: Int32Array;
}
/** One reading of a constant: its elements are to be multiplied by `over` and divided by `under`. */
export interface ScaledUse {
  readonly tensor: string;
  readonly node: Node;
  readonly input: number;
  readonly over: Spread;
  readonly under: Spread;
}
export interface Scalings {
  /** Unknowns are numbered 1..count. */
  readonly count: number;
  readonly uses: readonly ScaledUse[];
  /** What the elements of a value are multiplied by; a value that is not here keeps its elements. */
  readonly values: ReadonlyMap<string, Spread>;
}
const unscaled: Spread = { axes: [], ids: Int32Array.of(one) };

/** Follows factors through the main graph; inside bodies, and at the graph's inputs and outputs, everything keeps its scale. Throws PareError where shapes contradict one another. */
export function scalings(graph: Graph, options: { inputs?: Dims } = {}): Scalings {
  const { inferred } = inferAny(graph, options.inputs ?? {});
  const walk = new Walk(graph, inferred);
  for (const n of graph.nodes) walk.step(n);
  for (const v of graph.outputs) walk.hold(v.name);
  return walk.result();
}

class Walk {
  readonly #factors = new Factors();
  readonly #values = new Map<string, Spread>();
  readonly #uses: ScaledUse[] = [];
  readonly #free: ReadonlySet<string>;

  constructor(
    readonly graph: Graph,
    readonly inferred: Inferred,
  ) {
    this.#free = freeConstants(graph);
  }

  hold(name: string): void {
    const known = this.#values.get(name);
    if (known) this.#factors.hold(known.ids);
  }

  step(node: Node): void {
    // What is known before running depends on shapes alone.
    if (node.outputs.every((o) => !o || this.inferred.values.has(o)) || this.#follow(node)) return;
    for (const name of readBy(node)) this.hold(name);
  }

  /** Whether factors pass through the node in any way. */
  #follow(node: Node): boolean {
    const record = recordOf(node);
    const facet = record?.homogeneous;
    if (!record || !facet || bodiesOf(node).length > 0) return false;
    const typeOf = (name: string) => (name ? (this.inferred.types.get(name) ?? null) : null);
    const site = siteOf(record, {
      node,
      opset: opsetOf(this.graph, node.domain),
      x: node.inputs.map(typeOf),
      y: node.outputs.map(typeOf),
      value: (i) => (node.inputs[i] ? (this.inferred.values.get(node.inputs[i]) ?? null) : null),
    });
    const types = [...site.x, ...site.y].filter((v) => v !== null);
    if (!isFloat(site.y[0]?.type ?? "undefined") || !types.every((v) => isFixed(v.shape))) return false;
    const sets = typeof facet === "function" ? facet(site) : facet;
    const axes = typeof record.axes === "function" ? record.axes(site) : record.axes;
    if (!sets || (typeof axes === "object" && isNone(axes))) return false;
    if (typeof axes === "object" && "picks" in axes) {
      this.#values.set(node.outputs[0]!, this.#pick(axes, this.#known(node.inputs[0]!), site.x[0]!));
      return true;
    }
    const reading = readingOf(typeof axes === "string" ? { text: axes } : axes, site);
    if (!reading) return false;
    const inSets = new Set(sets.flat());
    node.inputs.forEach((name, i) => {
      if (name && !inSets.has(i)) this.hold(name);
    });
    node.outputs.forEach((name, k) => {
      if (!name || !isFloat(site.y[k]?.type ?? "undefined")) return;
      const views = reading.outputs.filter((v) => v.at === k);
      const fields = views.map((v) =>
        sets.length === 1 ? this.#joint(reading, sets[0]!, v, node) : this.#product(reading, sets, v, node),
      );
      this.#values.set(name, this.#assemble(views, fields, reading.lengths));
    });
    return true;
  }

  #known = (name: string): Spread => this.#values.get(name) ?? unscaled;
  /** The constant that input i reads, if it may be rescaled there. */
  #constant(node: Node, i: number): Tensor | null {
    return this.#free.has(node.inputs[i]!) ? this.graph.initializers.get(node.inputs[i]!)! : null;
  }

  #pick({ picks }: AxesPick, x: Spread, type: ValueType): Spread {
    const dims = type.shape as readonly number[];
    let ids = x.ids;
    const axes: number[] = [];
    let inner = x.axes.reduce((n, d) => n * dims[d]!, 1);
    let d = 0;
    for (const { from, indices, dropped } of picks) {
      if (x.axes.includes(from)) {
        const n = dims[from]!;
        inner /= n;
        if (indices) ids = take(ids, inner, n, indices);
        if (!dropped) axes.push(d);
      }
      if (!dropped) d++;
    }
    return { axes, ids };
  }

  /** The factors of a value in the letters of one reading of it. */
  #field(view: View, node: Node, lengths: Lengths): Field {
    const { axes, ids } = this.#known(node.inputs[view.at]!);
    const dims = this.inferred.types.get(node.inputs[view.at]!)!.shape as readonly number[];
    let mine = ids;
    const letters: string[] = [];
    axes.forEach((d, k) => {
      if (view.piece?.axis === d) {
        const inner = axes.slice(k + 1).reduce((n, a) => n * dims[a]!, 1);
        const range = Array.from({ length: view.piece.count }, (_, i) => view.piece!.from + i);
        mine = take(mine, inner, dims[d]!, range);
      }
      if (dims[d]! > 1) letters.push(...view.axes[d]!);
    });
    return this.#factors.reduced({ letters, ids: mine }, lengths);
  }

  /** All of a set carry the same factors, and the output too. */
  #joint(r: Reading, set: readonly number[], out: View, node: Node): Field {
    const members = r.inputs.filter(
      (v) => set.includes(v.at) && [...v.letters].every((l) => !r.pieces.has(l) || out.letters.has(l)),
    );
    const passes = (l: string) => out.letters.has(l) && !r.fixed.has(l);
    const constants = members.filter((v) => this.#constant(node, v.at));
    const data = members.filter((v) => !constants.includes(v));
    let field: Field | null = null;
    for (const v of data) {
      const own = this.#factors.without(this.#field(v, node, r.lengths), (l) => !passes(l), r.lengths);
      field = field ? this.#factors.same(field, own, r.lengths) : own;
    }
    if (!field) {
      const shared = [...(constants[0]?.letters ?? [])].filter((l) => constants.every((v) => v.letters.has(l)));
      field = this.#factors.fresh(shared.filter(passes), r.lengths);
    }
    return this.#absorb(r, constants, field, node);
  }

  /** Constants that are added to what carries `field` are multiplied by it; what they cannot tell apart must be the same. */
  #absorb(r: Reading, constants: readonly View[], field: Field, node: Node): Field {
    let own = field;
    const real = constants.filter((v) => !isZero(this.#constant(node, v.at)!));
    for (const v of real) own = this.#factors.without(own, (l) => !v.letters.has(l), r.lengths);
    for (const v of real) this.#use(r, v, own, ones, node);
    return own;
  }

  /** The factors of two inputs multiply; a constant among them makes up for what the other carries. */
  #product(r: Reading, sets: readonly (readonly number[])[], out: View, node: Node): Field {
    const [a, b] = sets.map((set, k) => r.inputs.find((v) => set.includes(v.at) && !sets[1 - k]!.includes(v.at)));
    const added = r.inputs.filter((v) => sets.every((set) => set.includes(v.at)));
    const field = !a || !b ? ones : this.#factored(r, a, b, out, node);
    const constants = added.filter((v) => this.#constant(node, v.at));
    let own = field;
    for (const v of added)
      if (!constants.includes(v)) own = this.#factors.same(own, this.#field(v, node, r.lengths), r.lengths);
    return this.#absorb(r, constants, own, node);
  }
  #factored(r: Reading, a: View, b: View, out: View, node: Node): Field {
    const [ca, cb] = [a, b].map((v) => this.#constant(node, v.at) !== null);
    if (ca && cb) return ones;
    const passes = (l: string) => out.letters.has(l) && !r.fixed.has(l);
    if (!ca && !cb) {
      const [x, w] = [a, b].map((v) =>
        this.#factors.without(this.#field(v, node, r.lengths), (l) => !passes(l), r.lengths),
      ) as [Field, Field];
      if (this.#factors.isOne(x)) return w;
      this.#factors.hold(w.ids);
      return x;
    }
    const [data, weight] = ca ? [b, a] : [a, b];
    const counted = (l: string) => r.fixed.has(l) || (!out.letters.has(l) && !weight.letters.has(l));
    const x = this.#factors.without(this.#field(data, node, r.lengths), counted, r.lengths);
    if (x.letters.length > 0 && !x.letters.some((l) => weight.letters.has(l))) return x;
    if (!x.letters.every((l) => weight.letters.has(l))) this.#factors.hold(x.ids);
    const field = this.#factors.fresh([...weight.letters].filter(passes), r.lengths);
    this.#use(r, weight, field, x, node);
    return field;
  }

  #use(r: Reading, v: View, over: Field, under: Field, node: Node): void {
    const of = (f: Field) => this.#over(v, f, r.lengths);
    this.#uses.push({ tensor: node.inputs[v.at]!, node, input: v.at, over: of(over), under: of(under) });
  }

  /** The field at every index of these axes; held where they are too many. */
  #wide(axes: readonly number[], v: View, field: Field, lengths: Lengths): Int32Array | null {
    const letters = axes.flatMap((d) => v.axes[d]!);
    if (letters.reduce((n, l) => n * lengths.get(l)!, 1) <= mostFactors) return spread(field, letters, lengths);
    this.#factors.hold(field.ids);
    return null;
  }
  #over(v: View, field: Field, lengths: Lengths): Spread {
    const axes = v.axes.flatMap((letters, d) => (letters.some((l) => field.letters.includes(l)) ? [d] : []));
    const ids = this.#wide(axes, v, field, lengths);
    return ids ? { axes, ids } : unscaled;
  }
  /** The factors of an output whose pieces carry these fields. */
  #assemble(views: readonly View[], fields: readonly Field[], lengths: Lengths): Spread {
    const [first] = views;
    if (!first?.piece) return first ? this.#over(first, fields[0]!, lengths) : unscaled;
    const along = first.piece.axis;
    const has = (d: number) => views.some((v, k) => v.axes[d]!.some((l) => fields[k]!.letters.includes(l)));
    const axes = first.axes.flatMap((_, d) => (d === along || has(d) ? [d] : []));
    const parts = views.map((v, k) => this.#wide(axes, v, fields[k]!, lengths));
    if (parts.includes(null)) {
      for (const f of fields) this.#factors.hold(f.ids);
      return unscaled;
    }
    const inner = axes
      .slice(axes.indexOf(along) + 1)
      .flatMap((d) => first.axes[d]!)
      .reduce((n, l) => n * lengths.get(l)!, 1);
    return {
      axes,
      ids: beside(
        parts as Int32Array[],
        views.map((v) => v.piece!.count * inner),
      ),
    };
  }

  result(): Scalings {
    const numbers = new Map<number, number>([[one, 0]]);
    const settle = ({ axes, ids }: Spread): Spread => {
      const settled = ids.map((id) => {
        const root = this.#factors.find(id);
        const known = numbers.get(root) ?? numbers.size;
        numbers.set(root, known);
        return known;
      });
      return settled.some((id) => id !== 0) ? { axes, ids: settled } : unscaled;
    };
    const uses = this.#uses.map((u) => ({ ...u, over: settle(u.over), under: settle(u.under) }));
    const values = new Map([...this.#values].map(([name, s]) => [name, settle(s)]));
    for (const [name, s] of values) if (s === unscaled) values.delete(name);
    return {
      count: numbers.size - 1,
      uses: uses.filter((u) => u.over !== unscaled || u.under !== unscaled),
      values,
    };
  }
}

/** Initialisers whose elements may change: floats that are read once, or small enough for a copy per reader. */
function freeConstants(graph: Graph): Set<string> {
  const counts = readCounts(graph);
  const outputs = new Set(graph.outputs.map((v) => v.name));
  const free = [...graph.initializers].filter(
    ([name, t]) =>
      t.type === "float32" && !outputs.has(name) && (counts.get(name) === 1 || sizeOf(t.dims) <= smallElements),
  );
  return new Set(free.map(([name]) => name));
}
function isZero(t: Tensor): boolean {
  return sizeOf(t.dims) <= smallElements && t.bytes.every((b) => b === 0);
}

/** Picks indices of one axis of length n that has `inner` elements behind each index. */
function take(ids: Int32Array, inner: number, n: number, indices: readonly number[]): Int32Array {
  const block = indices.length * inner;
  return Int32Array.from({ length: (ids.length / (n * inner)) * block }, (_, i) => {
    const k = indices[Math.floor((i % block) / inner)]!;
    return ids[(Math.floor(i / block) * n + k) * inner + (i % inner)]!;
  });
}

/** Lays pieces side by side; `blocks`: how many elements of each come together. */
function beside(parts: readonly Int32Array[], blocks: readonly number[]): Int32Array {
  const ids = new Int32Array(parts.reduce((n, p) => n + p.length, 0));
  for (let to = 0, o = 0; to < ids.length; o++)
    parts.forEach((p, k) => {
      ids.set(p.subarray(o * blocks[k]!, (o + 1) * blocks[k]!), to);
      to += blocks[k]!;
    });
  return ids;
}
