/** Blocks that can go without a trace but their own: a graph enters; its sums of a branch and a shortcut leave, with the weights that are the branch's alone. */
import type { Graph, Node } from "../graph/graph.js";
import { readNames } from "../graph/scope.js";
import { recordOf } from "../ops/registry.js";
import { isFloat } from "../ops/values.js";
import type { Reason } from "./axes.js";
import { constantsOf, inferAny } from "./couple.js";
import type { Inferred } from "./infer.js";
import { parametersOf } from "./parameters.js";
import { zeroConstants, zeroValues } from "./zero-values.js";

export interface ResidualBlock {
  /** The sum's, or its output's where it has none. */
  readonly name: string;
  readonly sum: Node;
  /** The values that are added: what the block computes, and what stays when it goes. */
  readonly branch: string;
  readonly shortcut: string;
  /** What only the branch needs, in the graph's order. */
  readonly nodes: readonly Node[];
  /** Trained constants that only these nodes read: with all of them zero the branch is zero. */
  readonly weights: readonly string[];
}
export interface ResidualBlocks {
  readonly blocks: readonly ResidualBlock[];
  /** Branches beside a shortcut that are no blocks. */
  readonly leftAlone: readonly Reason[];
}

/**
 * A branch starts at one value and ends in a sum whose other term is that value, or comes from it by a path of fewer layers. Blocks in the order of
 * their sums; they may lie in one another.
 */
export function residualBlocks(graph: Graph): ResidualBlocks {
  const { inferred } = inferAny(graph, {});
  const trained = parametersOf(graph).map((p) => p.name);
  const always = zeroConstants(graph).filter((name) => !trained.includes(name));
  const paths = new Paths(graph, inferred);
  const blocks: ResidualBlock[] = [];
  const leftAlone: Reason[] = [];
  for (const sum of graph.nodes) {
    if (!recordOf(sum)?.sums || new Set(sum.inputs).size !== 2) continue;
    const [a, b] = sum.inputs.map((name) => paths.to(sum, name)) as [Path, Path];
    const [branch, shortcut] = a.layers > b.layers ? [a, b] : [b, a];
    const from = branch.starts.size === 1 ? [...branch.starts][0]! : null;
    if (from === null || branch.layers === shortcut.layers) continue;
    if (shortcut.end !== from && !(shortcut.starts.size === 1 && shortcut.starts.has(from))) continue;
    const name = sum.name || sum.outputs[0]!;
    const refuse = (why: string) => leftAlone.push({ by: "operator", at: name, why });
    const shapes = [branch.end, shortcut.end].map((x) => inferred.types.get(x)?.shape?.join());
    if (shapes[0] === undefined || shapes[0] !== shapes[1]) {
      refuse(`the branch has the shape [${shapes[0] ?? "?"}], the shortcut [${shapes[1] ?? "?"}]`);
      continue;
    }
    const weights = trained.filter((w) => paths.readOnlyBy(w, branch.nodes));
    const zero = (names: readonly string[]) => zeroValues(graph, [...names, ...always], inferred).has(branch.end);
    if (zero(weights))
      blocks.push({ name, sum, branch: branch.end, shortcut: shortcut.end, nodes: branch.nodes, weights });
    else if (zero(trained)) refuse("weights of the branch are read by others too");
    else refuse("the branch is not zero when its weights are");
  }
  return { blocks, leftAlone };
}

/** What is computed for one term of a sum alone. */
interface Path {
  readonly end: string;
  /** Data that it starts from. */
  readonly starts: ReadonlySet<string>;
  readonly nodes: readonly Node[];
  readonly layers: number;
}

class Paths {
  readonly #readers = new Map<string, Set<Node>>();
  readonly #places: ReadonlyMap<Node, number>;
  readonly #outputs: ReadonlySet<string>;
  readonly #constants: ReadonlyMap<string, unknown>;

  constructor(
    readonly graph: Graph,
    readonly inferred: Inferred,
  ) {
    this.#constants = constantsOf(graph);
    this.#outputs = new Set(graph.outputs.map((v) => v.name));
    this.#places = new Map(graph.nodes.map((n, i) => [n, i]));
    for (const n of graph.nodes)
      for (const name of readNames(n)) this.#readers.set(name, (this.#readers.get(name) ?? new Set()).add(n));
  }

  readOnlyBy(name: string, nodes: readonly Node[]): boolean {
    const readers = this.#readers.get(name);
    return readers !== undefined && !this.#outputs.has(name) && [...readers].every((n) => nodes.includes(n));
  }

  /** The nodes that nobody would need if `sum` did not read `end`. */
  to(sum: Node, end: string): Path {
    const own = new Set<Node>();
    const needed = (name: string): boolean =>
      this.#outputs.has(name) ||
      [...(this.#readers.get(name) ?? [])].some((n) => (n === sum ? name !== end : !own.has(n)));
    const wanted = new Set([end]);
    for (let i = this.#places.get(sum)! - 1; i >= 0; i--) {
      const node = this.graph.nodes[i]!;
      const outputs = node.outputs.filter(Boolean);
      if (!outputs.some((o) => wanted.has(o)) || outputs.some(needed)) continue;
      own.add(node);
      for (const name of readNames(node)) wanted.add(name);
    }
    const nodes = [...own].reverse();
    const made = new Set(nodes.flatMap((n) => n.outputs));
    return {
      end,
      nodes,
      starts: new Set(nodes.flatMap((n) => [...readNames(n)]).filter((x) => !made.has(x) && this.#isData(x))),
      layers: nodes.filter((n) => recordOf(n)?.quant === "weights").length,
    };
  }
  /** Constants and arithmetic of shapes start nothing. */
  #isData(name: string): boolean {
    if (this.#constants.has(name) || this.inferred.values.has(name)) return false;
    const type = this.inferred.types.get(name)?.type;
    return type === undefined || isFloat(type);
  }
}
