/** A graph and the values to watch enter; a graph leaves whose one output is a report on them: their statistics in one run, and a sample of their elements. */
import { type Inferred, infer } from "../analyze/infer.js";
import { Emitter } from "../graph/emit.js";
import { PareError } from "../graph/error.js";
import {
  type Attribute,
  draft,
  type ElementType,
  type Graph,
  type Node,
  type Subgraph,
  type Value,
  type ValueType,
} from "../graph/graph.js";
import { plain, quote } from "../graph/quote.js";
import { bodiesOf } from "../graph/scope.js";
import { floats } from "../graph/tensor.js";
import { dropDeadNodes } from "../passes/drop-dead-nodes.js";
import { raiseOpset } from "../passes/raise-opset.js";
import type { Layout, Probe, Wanted } from "./layout.js";

export interface Observed {
  readonly graph: Graph;
  readonly probes: readonly Probe[];
  /** Its only output, float32 [length]. */
  readonly report: string;
  readonly layout: Layout;
  /** Inputs, int64 with one element per sampled value: every how-manieth element is taken, and in loops how many. */
  readonly sampling: { readonly step: string; readonly most: string };
}

const reductions = ["ReduceMin", "ReduceMax", "ReduceSumSquare"] as const;
/** Reductions of no elements. */
const ofNothing = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0] as const;

/**
 * The graph without its outputs, and with reductions of every wanted value where it is: those of a body are an output more of its node, past
 * a branch not taken as what no elements have, from a loop stacked by round. A model below opset 13 is raised. Throws where a wanted value is
 * unknown, is no tensor of real numbers, is constant, or lies in a body of another operator than If, Loop and Scan.
 */
export function observe(graph: Graph, wanted: ReadonlyMap<string, Wanted>): Observed {
  const kept = pruned((graph.opsets.get("") ?? 1) < 13 ? raiseOpset(graph) : graph, new Set(wanted.keys()));
  const d = draft(kept);
  const observer = new Observer(new Emitter(d, "float32", "calibrate/"), wanted, infer(kept));
  const constant = [...d.initializers.keys()].find((name) => wanted.has(name));
  if (constant !== undefined) throw isConstant(constant);
  const { nodes } = d;
  const { report, layout } = observer.body(nodes, d.inputs, (name) => observer.inferred.types.get(name) ?? null, null);
  const missing = [...wanted.keys()].find((name) => !observer.probes.some((p) => p.name === name));
  if (missing !== undefined)
    throw new PareError(`the graph computes no value ${quote(missing)}: it cannot be calibrated`, "usage");
  d.outputs = [untyped(report)];
  return { graph: d, probes: observer.probes, report, layout, sampling: observer.sampling };
}

/** Only what the wanted values need. */
function pruned(graph: Graph, wanted: ReadonlySet<string>): Graph {
  const d = draft(graph);
  d.outputs = d.nodes.flatMap((n) => {
    const inside = bodiesOf(n).some((b) => computes(b, wanted));
    return n.outputs.filter((o) => o && (inside || wanted.has(o))).map(untyped);
  });
  return dropDeadNodes(d);
}
const computes = (body: Subgraph, wanted: ReadonlySet<string>): boolean =>
  body.inputs.some((v) => wanted.has(v.name)) ||
  body.nodes.some((n) => n.outputs.some((o) => wanted.has(o)) || bodiesOf(n).some((b) => computes(b, wanted)));

const isConstant = (name: string): PareError =>
  new PareError(`${quote(name)} is a constant: it needs no calibration`, "usage");
const untyped = (name: string): Value => ({ name, type: "undefined", shape: null });

type TypeOf = (name: string) => ValueType | null;
/** A float32 vector, and how it reads. */
interface Part {
  readonly pieces: readonly string[];
  readonly layout: Layout;
}
/** What a body must give in every round of a loop, since rounds are stacked: as many elements. Null: outside of loops. */
type Fixed = { readonly node: Node } | null;

class Observer {
  readonly probes: Probe[] = [];
  readonly sampling: Observed["sampling"];
  readonly #sampled: number;

  constructor(
    readonly e: Emitter,
    readonly wanted: ReadonlyMap<string, Wanted>,
    readonly inferred: Inferred,
  ) {
    this.#sampled = [...wanted.values()].filter((w) => w.histogram !== undefined).length;
    const input = (hint: string): string => {
      const name = e.fresh(hint);
      if (this.#sampled) e.graph.inputs.push({ name, type: "int64", shape: [this.#sampled] });
      return name;
    };
    this.sampling = { step: input("step"), most: input("most") };
  }
  get #opset(): number {
    return this.e.graph.opsets.get("")!;
  }

  /** Runs `make` with the emitter's nodes going to `nodes`. */
  #into<T>(nodes: Node[], make: () => T): T {
    const { graph } = this.e;
    const before = graph.nodes;
    graph.nodes = nodes;
    try {
      return make();
    } finally {
      graph.nodes = before;
    }
  }

  /**
   * Appends a report on the body's wanted values to `nodes`. onnxruntime goes from the report back to what it needs, first to what stands
   * last: the reductions of the first values stand last, so that each value is reduced as soon as it is there and need not be kept.
   */
  body(
    nodes: Node[],
    given: readonly Value[],
    typeOf: TypeOf,
    fixed: Fixed,
  ): { report: string; layout: Layout; probes: readonly Probe[] } {
    const parts: Part[] = [];
    const groups: Node[][] = [];
    const before = this.probes.length;
    const watch = (name: string, maker: string): void => {
      if (!this.wanted.has(name)) return;
      const group: Node[] = [];
      parts.push(this.#into(group, () => this.#value(this.#probe(name, maker, fixed !== null), typeOf(name), fixed)));
      groups.push(group);
    };
    for (const v of given) watch(v.name, `input ${quote(v.name)}`);
    nodes.forEach((n, i) => {
      const group: Node[] = [];
      const within = this.#into(group, () => this.#bodies(n, fixed));
      if (within) {
        nodes[i] = within.node;
        parts.push(...within.parts);
        groups.push(group);
      }
      for (const name of n.outputs) if (name) watch(name, `${plain(n.op)} ${quote(n.name || name)}`);
    });
    nodes.push(...groups.reverse().flat());
    const report = this.#into(nodes, () => this.#joined(parts.flatMap((p) => p.pieces)));
    return { report, layout: parts.flatMap((p) => p.layout), probes: this.probes.slice(before) };
  }

  #joined(pieces: readonly string[]): string {
    if (!pieces.length) return this.e.op("Identity", [this.e.constant(floats([], [0]))]);
    return this.e.op("Concat", pieces, { axis: 0 });
  }

  #probe(name: string, maker: string, looped: boolean): Probe {
    const wanted = this.wanted.get(name)!;
    if (this.probes.some((p) => p.name === name))
      throw new PareError(`two values are named ${quote(name)}, in different bodies: give each a name of its own`);
    const place = wanted.histogram === undefined ? -1 : this.probes.filter((p) => p.place >= 0).length;
    const probe = { name, maker, wanted, place, looped };
    this.probes.push(probe);
    return probe;
  }

  /** A value's statistics and sample. */
  #value(probe: Probe, type: ValueType | null, fixed: Fixed): Part {
    const { e } = this;
    const element = type?.type ?? "undefined";
    if (!reals.includes(element))
      throw new PareError(`${quote(probe.name)} holds ${element}: only real numbers have statistics`, "usage");
    const x = element === "undefined" || element === "float32" ? probe.name : e.cast(probe.name, "float32");
    const flat = e.reshape(x, [-1]);
    const pieces = [this.#length(flat)];
    if (probe.wanted.channels === undefined) pieces.push(...reductions.map((op) => e.op(op, [flat], { keepdims: 1 })));
    else {
      const channels = this.#channels(probe, x, type, fixed);
      pieces.push(this.#length(channels[0]!), ...channels);
    }
    if (probe.place >= 0) {
      const sample = this.#sample(probe, flat, fixed);
      pieces.push(this.#length(sample), sample);
    }
    return { pieces, layout: [{ kind: "value", probe }] };
  }

  /** Length of a vector, as a float. */
  #length(vector: string): string {
    return this.e.cast(this.e.op("Shape", [vector]), "float32");
  }

  #sample({ place }: Probe, flat: string, fixed: Fixed): string {
    const { e } = this;
    const end = e.ints([Number.MAX_SAFE_INTEGER]);
    const taken = e.op("Slice", [flat, e.ints([0]), end, e.ints([0]), this.#place("step", place)]);
    if (!fixed) return taken;
    const most = this.#place("most", place);
    const whole = e.op("Concat", [taken, e.op("Expand", [this.#notANumber, most])], { axis: 0 });
    return e.op("Slice", [whole, e.ints([0]), most, e.ints([0])]);
  }
  /** [1]: a value's element of a sampling input. Not by one Split for all: onnxruntime is slow to load nodes of hundreds of outputs. */
  #place(key: keyof Observed["sampling"], place: number): string {
    return this.e.op("Gather", [this.sampling[key], this.e.ints([place])], { axis: 0 });
  }
  get #notANumber(): string {
    return this.e.constant(floats([Number.NaN], [1]));
  }

  /** Reductions by index of an axis, [c] each. */
  #channels(probe: Probe, x: string, type: ValueType | null, fixed: Fixed): string[] {
    const { e } = this;
    const rank = type?.shape?.length ?? null;
    const given = probe.wanted.channels!;
    const axis = given < 0 && rank !== null ? given + rank : given;
    if (rank !== null && !(axis >= 0 && axis < rank))
      throw new PareError(`axis ${given} of ${quote(probe.name)}: it has ${rank} axes`, "usage");
    if (axis < -1)
      throw new PareError(`axis ${given} of ${quote(probe.name)}: its rank is unknown: count from the first`, "usage");
    if (fixed && typeof type?.shape?.at(given) !== "number")
      throw new PareError(
        `axis ${given} of ${quote(probe.name)}, which lies in ${plain(fixed.node.op)} ${quote(fixed.node.name)}: its length is not known beforehand`,
        "usage",
      );
    // [before.., c, after], or where only the last axis is known [before, c].
    const last = axis === -1;
    const shaped = last ? e.op("Flatten", [x], { axis: -1 }) : e.reshape(x, [...Array<number>(axis + 1).fill(0), -1]);
    const axes = last ? [0] : [...Array(axis).keys(), axis + 1];
    return reductions.map((op) =>
      this.#opset >= 18 ? e.op(op, [shaped, e.ints(axes)], { keepdims: 0 }) : e.op(op, [shaped], { axes, keepdims: 0 }),
    );
  }

  /** A node whose bodies hold wanted values, with outputs that carry the reports; null: it has none. */
  #bodies(n: Node, fixed: Fixed): { node: Node; parts: readonly Part[] } | null {
    const names = new Set(this.wanted.keys());
    if (!bodiesOf(n).some((b) => computes(b, names))) return null;
    if (n.domain === "" && n.op === "If") return this.#branches(n, fixed);
    if (n.domain === "" && (n.op === "Loop" || n.op === "Scan")) return this.#rounds(n);
    const inside = [...names].find((name) => bodiesOf(n).some((b) => computes(b, new Set([name]))))!;
    throw new PareError(`${quote(inside)} lies in a body of ${plain(n.op)}: Pare watches values in If, Loop and Scan`);
  }

  #within(body: Subgraph, fixed: Fixed): ReturnType<Observer["body"]> & { nodes: Node[] } {
    for (const name of body.initializers.keys()) if (this.wanted.has(name)) throw isConstant(name);
    const nodes = [...body.nodes];
    const scope = this.inferred.bodies.get(body);
    const declared = new Map([...body.inputs, ...body.outputs].map((v) => [v.name, v]));
    const typeOf: TypeOf = (name) => scope?.typeOf(name) ?? declared.get(name) ?? null;
    return { nodes, ...this.body(nodes, body.inputs, typeOf, fixed) };
  }

  /** Every branch gives a report on each branch's values. */
  #branches(n: Node, fixed: Fixed): { node: Node; parts: readonly Part[] } {
    const bodies = Object.entries(n.attributes).filter(([, a]) => a.kind === "graph") as [string, GraphAttribute][];
    const watched = bodies.map(([key, { value }]) => ({ key, body: value, ...this.#within(value, fixed) }));
    const attributes: Record<string, Attribute> = { ...n.attributes };
    for (const { key, body, nodes } of watched) {
      const more = watched.map((w) =>
        untyped(
          w.key === key
            ? w.report
            : this.#into(nodes, () =>
                this.#nothing(w.layout, this.inferred.bodies.get(w.body)?.types ?? new Map(), fixed),
              ),
        ),
      );
      attributes[key] = { kind: "graph", value: { ...body, nodes, outputs: [...body.outputs, ...more] } };
    }
    const carried = watched.map(() => this.e.fresh("carried"));
    return {
      node: { ...n, attributes, outputs: [...n.outputs, ...carried] },
      parts: watched.map((w, i) => ({ pieces: [carried[i]!], layout: w.layout })),
    };
  }

  /** The report on values that were not computed. */
  #nothing(layout: Layout, types: ReadonlyMap<string, ValueType>, fixed: Fixed): string {
    const { e } = this;
    const number = (x: number): string => e.constant(floats([x], [1]));
    return this.#joined(
      layout.flatMap((l) => {
        if (l.kind === "rounds") return [number(0)];
        const { wanted, place, name } = l.probe;
        const pieces = [number(0)];
        if (wanted.channels === undefined) pieces.push(...ofNothing.map(number));
        else {
          const c = fixed ? (types.get(name)!.shape!.at(wanted.channels) as number) : 0;
          pieces.push(number(c), ...ofNothing.map((x) => e.constant(floats(new Float32Array(c).fill(x), [c]))));
        }
        if (place >= 0) {
          const none = fixed
            ? e.op("Expand", [this.#notANumber, this.#place("most", place)])
            : e.constant(floats([], [0]));
          pieces.push(this.#length(none), none);
        }
        return pieces;
      }),
    );
  }

  /** Loop and Scan: an output more, reports stacked by round. */
  #rounds(n: Node): { node: Node; parts: readonly Part[] } {
    const { e } = this;
    const [key, { value: body }] = Object.entries(n.attributes).find(([, a]) => a.kind === "graph") as [
      string,
      GraphAttribute,
    ];
    const { nodes, report, layout } = this.#within(body, { node: n });
    const carried = e.fresh("carried");
    const value = { ...body, nodes, outputs: [...body.outputs, untyped(report)] };
    const more: Record<string, Attribute> = { [key]: { kind: "graph", value } };
    for (const name of ["scan_output_axes", "scan_output_directions"]) {
      const a = n.attributes[name];
      if (a?.kind === "ints") more[name] = { kind: "ints", value: [...a.value, 0] };
    }
    const node = { ...n, outputs: [...n.outputs, carried], attributes: { ...n.attributes, ...more } };
    const count = e.op("Slice", [e.op("Shape", [carried]), e.ints([0]), e.ints([1]), e.ints([0])]);
    const pieces = [e.cast(count, "float32"), e.reshape(carried, [-1])];
    return { node, parts: [{ pieces, layout: [{ kind: "rounds", layout }] }] };
  }
}
type GraphAttribute = Attribute & { readonly kind: "graph" };
const reals: readonly ElementType[] = ["undefined", "float32", "float16", "float64", "bfloat16"];
