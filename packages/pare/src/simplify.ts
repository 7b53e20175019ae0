/** THE MAIN PATH of `pare simplify`. A model enters; a model that computes the same with fewer nodes and bytes leaves. */
import { infer } from "./analyze/infer.js";
import { constantsBy } from "./engine/constants.js";
import { defaultEngine } from "./engine/default-engine.js";
import type { Engine } from "./engine/engine.js";
import { PareError } from "./graph/error.js";
import type { Graph, Subgraph, Tensor } from "./graph/graph.js";
import { bodiesOf } from "./graph/scope.js";
import { dropDeadNodes } from "./passes/drop-dead-nodes.js";
import { dropInitializerInputs } from "./passes/drop-initializer-inputs.js";
import { dropNoOps } from "./passes/drop-no-ops.js";
import { type Evaluate, foldConstants } from "./passes/fold-constants.js";
import { foldScales } from "./passes/fold-scales.js";
import { fuseLinear } from "./passes/fuse-linear.js";
import { hoistConstants } from "./passes/hoist-constants.js";
import { inlineBranches } from "./passes/inline-branches.js";
import { liftConstants } from "./passes/lift-constants.js";
import { mergeEqual } from "./passes/merge-equal.js";
import { raiseOpset } from "./passes/raise-opset.js";
import { settleShapes } from "./passes/settle-shapes.js";
import { stripNotes } from "./passes/strip-notes.js";
import { uniqueNames } from "./passes/unique-names.js";

export interface SimplifyOptions {
  readonly engine?: Engine;
  /** Dims of inputs from now on, in place of what the file leaves open: the result takes these and no others. */
  readonly inputs?: Readonly<Record<string, readonly number[]>>;
  /**
   * The model is raised to this opset, 17 to 21, or refused; "newest": to 21 where it is below and Pare knows how, else a note says why not. Left out:
   * the model keeps its own, except below 7, which nothing executes any more.
   */
  readonly opset?: number | "newest";
}
export interface Simplified {
  readonly graph: Graph;
  /** What could not be done, and why, in words for the user. */
  readonly notes: readonly string[];
}

/** The oldest opset that onnxruntime executes. */
const oldestRun = 7;

/**
 * Folds constants, normalisation and scales, settles shapes, inlines branches that are known, merges what is equal, drops what does nothing and
 * what nobody reads, in bodies too. Inputs and outputs keep their names; initialisers are no inputs any more. Throws PareError where shapes
 * contradict one another, `inputs` does not fit or the model cannot be brought to `opset`.
 */
export async function simplify(graph: Graph, options: SimplifyOptions = {}): Promise<Simplified> {
  const engine = options.engine ?? (await defaultEngine());
  const notes: string[] = [];
  let now = uniqueNames(liftConstants(dropInitializerInputs(graph)));
  if (options.inputs) now = withInputs(now, options.inputs);
  const opset = graph.opsets.get("") ?? 1;
  if (typeof options.opset === "number") now = raisedTo(now, opset, options.opset);
  else if (options.opset === "newest" || opset < oldestRun) now = raisedIfKnown(now, notes);
  for (let size = sizeOf(now), round = 0; round < 8; round++) {
    now = dropDeadNodes(mergeEqual(hoistConstants(dropNoOps(inlineBranches(settleShapes(now))))));
    const folded = dropDeadNodes(mergeEqual(hoistConstants(await foldConstants(now, evaluator(engine)))));
    // What is folded in several bodies may leave several constants of one.
    if (constantBytes(folded) <= constantBytes(now) + tolerated) now = folded;
    now = dropDeadNodes(foldScales(fuseLinear(now)));
    const next = sizeOf(now);
    if (next === size) break;
    size = next;
  }
  return { graph: stripNotes(now), notes };
}

const tolerated = 2048;
const constantBytes = (graph: Graph): number =>
  [...graph.initializers.values()].reduce((sum, t) => sum + t.bytes.length, 0);

/** Changes from round to round as long as anything does. */
function sizeOf(body: Subgraph): number {
  let count = body.nodes.length * 1000 + body.initializers.size;
  for (const n of body.nodes) for (const inner of bodiesOf(n)) count += sizeOf(inner);
  return count;
}

function raisedTo(graph: Graph, opset: number, to: number): Graph {
  if (to < opset) throw new PareError(`opset ${to}: the model is of opset ${opset}, and models are only raised`);
  return raiseOpset(graph, to);
}

function raisedIfKnown(graph: Graph, notes: string[]): Graph {
  try {
    return raiseOpset(graph);
  } catch (error) {
    if (!(error instanceof PareError)) throw error;
    notes.push(`the opset stays ${graph.opsets.get("") ?? 1}: ${error.message}`);
    return graph;
  }
}

/** The graph with its inputs declared in these dims. Throws where there is no such input or the rank differs. */
function withInputs(graph: Graph, inputs: Readonly<Record<string, readonly number[]>>): Graph {
  const { types } = infer(graph, { inputs });
  return {
    ...graph,
    values: new Map(),
    inputs: graph.inputs.map((v) => (inputs[v.name] ? { ...v, shape: inputs[v.name]! } : v)),
    outputs: graph.outputs.map((v) => ({ ...v, shape: types.get(v.name)?.shape ?? v.shape })),
  };
}

/** Executes constants; what the engine cannot do stays computed. */
const evaluator =
  (engine: Engine): Evaluate =>
  (graph) =>
    constantsBy(engine, graph).catch((error: unknown) => {
      if (error instanceof PareError) return new Map<string, Tensor>();
      throw error;
    });
