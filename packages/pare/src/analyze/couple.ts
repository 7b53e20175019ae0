/** Follows the axes of every tensor through a graph: a Graph in; out, the axes of all tensors and of every use of a constant. */
import { PareError } from "../graph/error.js";
import { feeds, type Graph, type Node, type Subgraph, type Tensor } from "../graph/graph.js";
import { constantTensor } from "../ops/constants.js";
import { isFixed } from "../ops/dims.js";
import { isNone, type None, type Site } from "../ops/record.js";
import { recordOf } from "../ops/registry.js";
import { at, siteOf } from "../ops/site.js";
import { isFloat } from "../ops/values.js";
import { type Axis, bind, type Followed, freshAxis, holdAxis, pick, type Reason, unfollowed } from "./axes.js";
import { type Inferred, infer } from "./infer.js";
import { type Dims, probes } from "./probe.js";

/** One place where a constant is read: constants with several readers are followed for each of them apart. */
export interface Use {
  /** Name of the initialiser, or of a Constant node's output. */
  readonly tensor: string;
  readonly node: Node;
  readonly input: number;
  readonly axes: readonly Axis[];
}
export interface Coupling {
  readonly graph: Graph;
  readonly inferred: Inferred;
  /** The dims the inputs were given. */
  readonly inputs: Dims;
  /** Axes of what nodes compute; null where a shape is not known. */
  readonly axes: ReadonlyMap<string, readonly Axis[]>;
  readonly uses: readonly Use[];
  /** Nodes whose own weights are in no group, and why: what their bodies or an unknown operator hold is not followed. */
  readonly leftAlone: readonly Reason[];
}

/** Every constant of a body that a node can read: initialisers and Constant nodes. */
export function constantsOf(body: Subgraph): Map<string, Tensor> {
  const all = new Map(body.initializers);
  for (const n of body.nodes) {
    const tensor = n.op === "Constant" && n.domain === "" ? constantTensor(n) : null;
    if (tensor && n.outputs[0]) all.set(n.outputs[0], tensor);
  }
  return all;
}

/** Ties all axes of a graph. Throws PareError where shapes contradict one another. */
export function couple(graph: Graph, options: { inputs?: Dims } = {}): Coupling {
  const { inferred, inputs } = inferAny(graph, options.inputs ?? {});
  const walk = new Walk(graph, inferred);
  for (const v of graph.inputs) walk.enter(v.name);
  for (const n of graph.nodes) walk.step(n);
  for (const v of graph.outputs) walk.leave(v.name);
  const leftAlone = walk.leftAlone.length > 0 ? [...openInputs(graph, inferred), ...walk.leftAlone] : [];
  return { graph, inferred, inputs, axes: walk.axes, uses: walk.uses, leftAlone };
}

/** Inputs whose dims are open and could not be guessed: what reads them is not followed. */
const openInputs = (graph: Graph, { types }: Inferred): Reason[] =>
  feeds(graph).flatMap(({ name, shape }): Reason[] => {
    if (isFixed(types.get(name)?.shape ?? null)) return [];
    const dims = shape ? `the dims [${shape.map((d) => d || "?").join(", ")}]` : "its rank";
    const why = `it leaves ${dims} open, and no guess fits the weights: settle them first (pare simplify --input ${name}=...)`;
    return [{ by: "input", at: `input "${name}"`, why }];
  });

/** Infers with guessed dims where inputs leave axes open and the caller says nothing of them. */
export function inferAny(graph: Graph, chosen: Dims): { inferred: Inferred; inputs: Dims } {
  let first: unknown;
  for (const guess of probes(graph)) {
    const inputs = { ...guess, ...chosen };
    try {
      return { inferred: infer(graph, { inputs }), inputs };
    } catch (error) {
      first ??= error;
    }
  }
  throw first;
}

class Walk {
  readonly axes = new Map<string, readonly Axis[]>();
  /** By axis of what nodes compute: is an index that is gone zero there when its weights are only set to zero? */
  readonly #zero = new Map<string, readonly boolean[]>();
  readonly uses: Use[] = [];
  readonly leftAlone: Reason[] = [];
  readonly #constants: ReadonlyMap<string, Tensor>;

  constructor(
    readonly graph: Graph,
    readonly inferred: Inferred,
  ) {
    this.#constants = constantsOf(graph);
  }

  enter(name: string): void {
    if (this.#constants.has(name)) return;
    this.#fresh(name, (d) => ({ by: "input", at: name, why: `axis ${d} of graph input "${name}"` }));
  }
  leave(name: string): void {
    this.axes.get(name)?.forEach((axis, d) => {
      holdAxis(axis, { by: "output", at: name, why: `axis ${d} of graph output "${name}"` });
    });
  }
  #fresh(name: string, reason: (d: number) => Reason): void {
    const shape = this.inferred.types.get(name)?.shape ?? null;
    if (isFixed(shape) && shape.every((n) => n <= unfollowed))
      this.axes.set(
        name,
        shape.map((n, d) => freshAxis(n, `${name}[${d}]`, reason(d))),
      );
  }

  step(node: Node): void {
    if (node.op === "Constant" && node.domain === "") return;
    const label = at(node);
    if (this.#isShapeArithmetic(node)) {
      for (const o of node.outputs) this.#fresh(o, () => ({ by: "position", at: label, why: "shape arithmetic" }));
      return;
    }
    const record = recordOf(node);
    const uses: Use[] = [];
    const outputs = record ? this.#bound(node, label, uses) : { none: this.#unknown(node) };
    if (!isNone(outputs)) {
      this.uses.push(...uses);
      node.outputs.forEach((o, k) => {
        const found = outputs[k];
        if (!o || !found) return;
        this.axes.set(o, found.axes);
        this.#zero.set(o, found.zero);
      });
      return;
    }
    const reason: Reason = { by: "operator", at: label, why: outputs.none };
    const inside = weightedIn(node, [this.#constants]);
    if (inside.length > 0) this.leftAlone.push({ ...reason, why: `${reason.why}; weights of ${listed(inside)}` });
    for (const name of readBy(node))
      this.axes.get(name)?.forEach((axis) => {
        holdAxis(axis, reason);
      });
    for (const o of node.outputs) if (o) this.#fresh(o, () => reason);
  }

  #unknown({ op, domain }: Node): string {
    const local = this.graph.functions.some((f) => f.name === op && f.domain === domain);
    return local ? `what the function ${op} does with channels is not followed` : `operator ${op} is not known`;
  }

  /** All outputs are integers that are known already: counts, indices, shapes. */
  #isShapeArithmetic(node: Node): boolean {
    const counts = ["int64", "int32", "bool"];
    return node.outputs.every((o) => {
      const value = o ? this.inferred.values.get(o) : undefined;
      return value !== undefined && counts.includes(value.type);
    });
  }

  #bound(node: Node, label: string, uses: Use[]): readonly (Followed | null)[] | None {
    const record = recordOf(node)!;
    const { types, values } = this.inferred;
    const typeOf = (name: string) => (name ? (types.get(name) ?? null) : null);
    const site: Site = siteOf(record, {
      node,
      opset: this.graph.opsets.get(node.domain) ?? 1,
      x: node.inputs.map(typeOf),
      y: node.outputs.map(typeOf),
      value: (i) => (node.inputs[i] ? (values.get(node.inputs[i]) ?? null) : null),
    });
    const facet = typeof record.axes === "function" ? record.axes(site) : record.axes;
    if (typeof facet === "object" && isNone(facet)) return facet;
    const shapes = site.y.map((y) => y?.shape ?? null);
    const long = [...site.x, ...site.y].flatMap((v) => v?.shape ?? []).find((d) => Number(d) > unfollowed);
    if (long !== undefined) return { none: `an axis of ${long} is too long to follow` };
    if (shapes.some((s, k) => node.outputs[k] && !isFixed(s))) return { none: "the shape of its output is not known" };
    if (typeof facet === "object" && "picks" in facet) {
      const x = this.#read(node, 0, uses);
      return x ? [pick(facet, x, label)] : { none: "the shape of its input is not known" };
    }
    const spec = typeof facet === "string" ? { text: facet } : facet;
    const terms = spec.text.split("->")[0]!.split(",");
    const inputs = node.inputs.map((_, i) => (terms[i]?.trim() ? this.#read(node, i, uses) : null));
    if (inputs.some((x, i) => !x && node.inputs[i] && terms[i]?.trim()))
      return { none: "the shape of its input is not known" };
    const zero = (z: readonly (boolean | null | undefined)[]) => record.zero?.(z, site) ?? false;
    try {
      return bind({ spec, inputs, outputs: shapes as (readonly number[] | null)[], zero, at: label });
    } catch (error) {
      if (error instanceof PareError) return { none: error.message };
      throw error;
    }
  }

  /** The axes of input i: a constant's are its reader's own. */
  #read(node: Node, input: number, uses: Use[]): Followed | null {
    const name = node.inputs[input]!;
    if (!name) return null;
    const constant = this.#constants.get(name);
    if (!constant) {
      const axes = this.axes.get(name);
      return axes ? { axes, zero: this.#zero.get(name) ?? axes.map(() => false) } : null;
    }
    // Zero is no zero in quantized weights, and a table of indices is no weight.
    const held: Reason | null = isFloat(constant.type)
      ? null
      : { by: "operator", at: at(node), why: `"${name}" holds ${constant.type}: prune before quantizing` };
    const axes = constant.dims.map((n, d) => freshAxis(n, `${name}[${d}]`, held));
    uses.push({ tensor: name, node, input, axes });
    return { axes, zero: axes.map(() => true) };
  }
}

/** The node and the nodes of its bodies that read a float constant with an axis; scopes go from the inside out. */
function weightedIn(node: Node, scopes: readonly ReadonlyMap<string, Tensor>[]): string[] {
  const weight = (name: string): boolean => {
    const t = scopes.map((s) => s.get(name)).find((found) => found !== undefined);
    return t !== undefined && isFloat(t.type) && t.dims.some((n) => n > 1);
  };
  const inner = Object.values(node.attributes).flatMap((a) =>
    a.kind === "graph" ? a.value.nodes.flatMap((n) => weightedIn(n, [constantsOf(a.value), ...scopes])) : [],
  );
  return node.inputs.some(weight) ? [at(node), ...inner] : inner;
}
const listed = (names: readonly string[]): string =>
  `${names.slice(0, 4).join(", ")}${names.length > 4 ? ` and ${names.length - 4} more` : ""}`;

/** Names a node reads, those that its bodies take from outside included. */
export function readBy(node: Node): string[] {
  const names = node.inputs.filter(Boolean);
  for (const a of Object.values(node.attributes)) if (a.kind === "graph") names.push(...captured(a.value));
  return names;
}
function captured(body: Subgraph): string[] {
  const own = new Set([
    ...body.inputs.map((v) => v.name),
    ...body.initializers.keys(),
    ...body.nodes.flatMap((n) => n.outputs),
  ]);
  const read = [...body.nodes.flatMap(readBy), ...body.outputs.map((v) => v.name)];
  return read.filter((name) => !own.has(name));
}
