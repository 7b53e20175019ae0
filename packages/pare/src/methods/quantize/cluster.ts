/** Shares few values per layer: a (pruned) graph enters; its weights as trained centroids, snapped to float16, and the codebooks leave. */
import { z } from "zod";
import { PareError } from "../../graph/error.js";
import type { Graph } from "../../graph/graph.js";
import { importances } from "../../importance/fisher.js";
import { type Candidate, candidates, choose, ladderFor, type Shareable, survivors } from "../choose-values.js";
import { fineTune } from "../fine-tune.js";
import { largestWithin } from "../largest-within.js";
import { type MethodResult, method, type Note, type Tools } from "../method.js";
import { type Codebooks, codebookOf, type SharedResult, snap, trainShared, withCodebooks } from "../shared-values.js";
import { sideTensors } from "../side.js";
import { weightsOf } from "../weights.js";

const count = z
  .number()
  .int()
  .min(1)
  .max(2 ** 24);
const options = z.strictObject({
  values: z
    .union([count, z.literal("auto"), z.record(z.string(), count)])
    .default("auto")
    .describe("shared non-zero values per tensor: a number, by weight or node name, or chosen by bytes"),
  mostValues: count.default(63).describe("auto: at most this many per tensor"),
  lossRise: z
    .number()
    .nonnegative()
    .default(0.01)
    .describe("auto: allowed rise of the mean validation loss before retraining, in nats"),
  init: z.enum(["linear", "density", "random"]).default("linear").describe("first centroids (paper, section 3.2)"),
  weighted: z.boolean().default(false).describe("k-means weighted by the Fisher information"),
  samples: z
    .number()
    .int()
    .positive()
    .default(1000)
    .describe("training samples that the Fisher information is taken from"),
  biases: z
    .enum(["shared", "float16", "float32"])
    .default("shared")
    .describe("shared: a codebook too, where it is smaller"),
  centroids: z.enum(["float16", "float32"]).default("float16").describe("precision of the centroids in the end"),
  exclude: z.array(z.string()).default([]).describe("weights or nodes to leave as they are"),
  train: fineTune,
});
type Options = z.output<typeof options>;

/** A tensor to be shared, with the node that names it in recipes and notes. */
interface Layer extends Shareable {
  readonly node: string;
  readonly bias: boolean;
}

/** Weights, then biases, with their importance where the choice of the number of values needs it. */
async function layersOf(graph: Graph, o: Options, tools: Tools, notes: Note[]): Promise<Layer[]> {
  const { weights, skipped } = weightsOf(graph, o.exclude);
  notes.push(...skipped);
  const biases = o.biases === "shared" ? sideTensors(graph).filter((t) => t.bias && !o.exclude.includes(t.name)) : [];
  const all = [...weights.map((w) => ({ ...w, bias: false })), ...biases];
  const needed = o.weighted || o.values === "auto" || biases.length > 0;
  const fisher =
    needed && tools.data && all.length > 0
      ? await importances(
          graph,
          all.map((t) => t.name),
          tools.data,
          o.samples,
          tools,
        )
      : new Map<string, Float32Array>();
  return all.map((t) => ({
    name: t.name,
    node: t.node.name,
    bias: t.bias,
    values: t.values,
    importance: fisher.get(t.name) ?? null,
  }));
}

/** What every layer may become: one candidate where the recipe says how many values, else one for each number of values. */
function optionsOf(layers: readonly Layer[], o: Options, seed: number): Candidate[][] {
  const asked = (l: Layer): number | null => {
    if (l.bias || o.values === "auto") return null;
    if (typeof o.values === "number") return o.values;
    const known = o.values[l.name] ?? o.values[l.node];
    if (known === undefined)
      throw new PareError(
        `quantize/cluster: values says nothing of "${l.name}" (node "${l.node}"); name it there, or in exclude`,
        "usage",
      );
    return known;
  };
  return layers.map((l, i) => {
    const k = asked(l);
    const counts = k === null ? ladderFor(o.mostValues) : [k];
    return candidates(l, counts, { init: o.init, seed: seed + i, weighted: o.weighted });
  });
}

/** The fewest bytes whose measured rise of the loss stays within `budget`; the Fisher information says where bytes cost least. */
async function chooseWithin(
  graph: Graph,
  lists: readonly (readonly Candidate[])[],
  booksOf: (chosen: readonly Candidate[]) => Codebooks,
  budget: number,
  tools: Tools,
): Promise<Codebooks> {
  if (lists.every((list) => list.length === 1)) return booksOf(lists.map((list) => list[0]!));
  const before = (await tools.evaluate(graph)).loss;
  const rise = async (expected: number): Promise<number> =>
    (await tools.evaluate(withCodebooks(graph, booksOf(choose(lists, expected))))).loss - before;
  return booksOf(choose(lists, await largestWithin(rise, budget, budget || 1e-6)));
}

/**
 * Han, Mao, Dally 2016, section 3. Differs from the paper: the number of shared values is not a power of two, since a coder with fractional
 * bits follows, and is chosen per tensor by bytes under a bound on the loss; zero is no shared value; biases share values too; centroids end
 * as float16.
 */
export const cluster = method({
  id: "quantize/cluster",
  paper: "Han, Mao, Dally: Deep Compression, 2016 (1510.00149)",
  needs: ["training"],
  options,
  atZero: { values: 2 ** 24, biases: "float32", centroids: "float32", train: { epochs: 0 } },
  apply: async (graph, o, tools): Promise<MethodResult> => {
    const notes: Note[] = [];
    const layers = await layersOf(graph, o, tools, notes);
    const lists = optionsOf(layers, o, tools.seed);
    const alive = layers.map((l) => survivors(l).at);
    const booksOf = (chosen: readonly Candidate[]): Codebooks =>
      new Map(layers.map((l, i) => [l.name, codebookOf(l.values.length, alive[i]!, chosen[i]!.clusters)]));
    const attempt = async (budget: number): Promise<SharedResult> => {
      const books = await chooseWithin(graph, lists, booksOf, budget, tools);
      return snap(await trainShared(graph, books, o.train, tools), {
        centroids: o.centroids,
        sides: o.biases === "float32" ? "float32" : "float16",
      });
    };
    const result = await withinLimit(attempt, o, tools);
    for (const l of layers) {
      const book = result.codebooks.get(l.name)!;
      notes.push({ node: l.node, what: "done", why: `${l.name}: ${book.centroids.length - 1} shared values` });
    }
    return {
      graph: result.graph,
      notes,
      constraints: { codebooks: new Map([...tools.constraints.codebooks, ...result.codebooks]) },
      history: result.history,
    };
  },
});

/** Without a limit one attempt; with one, budgets from generous to strict until the validation error fits. */
async function withinLimit(
  attempt: (budget: number) => Promise<SharedResult>,
  o: Options,
  tools: Tools,
): Promise<SharedResult> {
  let result = await attempt(o.lossRise);
  if (tools.limit === undefined || o.values !== "auto") return result;
  for (const part of [0.3, 0.1, 0.03, 0.01]) {
    const { error } = await tools.evaluate(result.graph);
    tools.log(`validation error ${(100 * error).toFixed(2)} %, allowed ${(100 * tools.limit).toFixed(2)} %`);
    if (error <= tools.limit) break;
    result = await attempt(o.lossRise * part);
  }
  return result;
}
