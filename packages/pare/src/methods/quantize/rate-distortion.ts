/** Chooses every weight's shared value by what it costs in the file and in the loss: graph with (pruned) weights -> graph of few values, its codebooks. */
import { z } from "zod";
import type { Graph } from "../../graph/graph.js";
import type { Codebook, EpochMetrics } from "../../train/options.js";
import { candidates, ladderFor, type Shareable, survivors } from "../choose-values.js";
import { fineTune } from "../fine-tune.js";
import { importances } from "../importance.js";
import { largestWithin } from "../largest-within.js";
import { type MethodResult, method, type Note, type Tools } from "../method.js";
import { type Layout, layoutOf, ratesOf } from "../rate.js";
import { codebookOf, type SharedResult, snap, trainShared, withCodebooks } from "../shared-values.js";
import { sideTensors } from "../side.js";
import { weightsOf } from "../weights.js";

const options = z.strictObject({
  lossRise: z
    .number()
    .nonnegative()
    .default(0.02)
    .describe("rise of the mean validation loss before retraining, in nats; sets lambda"),
  lambda: z.number().nonnegative().optional().describe("price of one bit in nats, instead of lossRise"),
  values: z
    .number()
    .int()
    .min(1)
    .max(255)
    .default(7)
    .describe("shared values per tensor to start from; those nobody uses vanish"),
  rounds: z.number().int().positive().default(1).describe("times that weights are assigned and centroids retrained"),
  samples: z
    .number()
    .int()
    .positive()
    .default(1000)
    .describe("training samples that the Fisher information is taken from"),
  biases: z.boolean().default(true).describe("biases share values too"),
  exclude: z.array(z.string()).default([]).describe("weights or nodes to leave as they are"),
  train: fineTune,
});
type Options = z.output<typeof options>;

interface Layer extends Shareable {
  readonly node: string;
  readonly layout: Layout;
  readonly start: Codebook;
}
export interface Assignment {
  readonly book: Codebook;
  readonly lossRise: number;
  readonly bits: number;
}

/**
 * min over q of 1/2 F_i (w_i - q)^2 + lambda bits(q), rates and centroids refitted until nothing moves (entropy-constrained quantization: Chou,
 * Lookabaugh, Gray 1989). Zero is always an option, so that weights whose positions cost more than they are worth go.
 */
export function assign(t: Shareable, layout: Layout, start: Codebook, lambda: number, iterations = 12): Assignment {
  const { at, values, weights } = survivors(t, 1e-3);
  const centroids = Float64Array.from(start.centroids);
  const indices = start.indices.slice();
  let [lossRise, bits] = [0, 0];
  for (let iteration = 0; iteration < iterations; iteration++) {
    const rates = ratesOf(indices, centroids.length, layout);
    [lossRise, bits] = [0, 0];
    const mass = new Float64Array(centroids.length);
    const moment = new Float64Array(centroids.length);
    let moved = false;
    at.forEach((i, j) => {
      const [w, f] = [values[j]!, 0.5 * weights[j]!];
      const alive = rates.nonzero(i);
      let [best, bestCost, bestBits] = [0, f * w * w + lambda * rates.zero(i), rates.zero(i)];
      for (let k = 1; k < centroids.length; k++) {
        const b = alive + rates.symbol[k]!;
        const cost = f * (w - centroids[k]!) ** 2 + lambda * b;
        if (cost < bestCost) [best, bestCost, bestBits] = [k, cost, b];
      }
      if (indices[i] !== best) moved = true;
      indices[i] = best;
      lossRise += bestCost - lambda * bestBits;
      bits += bestBits;
      mass[best]! += f;
      moment[best]! += f * w;
    });
    for (let k = 1; k < centroids.length; k++) if (mass[k]! > 0) centroids[k] = moment[k]! / mass[k]!;
    if (!moved) break;
  }
  return { book: used({ indices, centroids: Float32Array.from(centroids), fixed: 0 }), lossRise, bits };
}

/** The codebook without centroids that no weight uses. */
function used(book: Codebook): Codebook {
  const place = new Map<number, number>([[0, 0]]);
  for (const k of [...new Set(book.indices)].sort((a, b) => a - b)) if (!place.has(k)) place.set(k, place.size);
  return {
    indices: book.indices.map((k) => place.get(k)!),
    centroids: Float32Array.from(place.keys(), (k) => book.centroids[k]!),
    fixed: 0,
  };
}

async function layersOf(
  graph: Graph,
  books: ReadonlyMap<string, Codebook>,
  o: Options,
  tools: Tools,
): Promise<Layer[]> {
  const sides = o.biases ? sideTensors(graph).filter((t) => t.bias && !o.exclude.includes(t.name)) : [];
  const all = [
    ...weightsOf(graph, o.exclude).weights.map((w) => ({ ...w, layout: layoutOf(w.dims) })),
    ...sides.map((t) => ({ ...t, layout: { rows: 1, columns: t.values.length } })),
  ];
  if (all.length === 0 || !tools.data) return [];
  const fisher = await importances(
    graph,
    all.map((t) => t.name),
    tools.data!,
    o.samples,
    tools,
  );
  return all.map((t, i) => {
    const layer = {
      name: t.name,
      node: t.node.name,
      layout: t.layout,
      values: t.values,
      importance: fisher.get(t.name) ?? null,
    };
    const known = books.get(t.name);
    if (known) return { ...layer, start: known };
    const counts = ladderFor(o.values).slice(-1);
    const [first] = candidates(layer, counts, { init: "linear", seed: tools.seed + i, weighted: true });
    return { ...layer, start: codebookOf(t.values.length, survivors(layer).at, first!.clusters) };
  });
}

async function round(
  graph: Graph,
  books: ReadonlyMap<string, Codebook>,
  o: Options,
  budget: number,
  tools: Tools,
): Promise<SharedResult> {
  const layers = await layersOf(graph, books, o, tools);
  const assigned = (lambda: number): Assignment[] => layers.map((l) => assign(l, l.layout, l.start, lambda));
  const booksAt = (lambda: number) =>
    new Map([...books, ...assigned(lambda).map((a, i) => [layers[i]!.name, a.book] as const)]);
  const before = o.lambda === undefined ? (await tools.evaluate(graph)).loss : 0;
  const rise = async (lambda: number) => (await tools.evaluate(withCodebooks(graph, booksAt(lambda)))).loss - before;
  const survivorCount = layers.reduce((n, l) => n + l.start.indices.reduce((m, k) => m + (k ? 1 : 0), 0), 0);
  // Where to start looking: as if every survivor's eight bits shared the budget.
  const lambda = o.lambda ?? (await largestWithin(rise, budget, (budget || 1e-6) / (8 * survivorCount + 1)));
  const bits = assigned(lambda).reduce((sum, a) => sum + a.bits, 0);
  tools.log(`lambda ${lambda.toExponential(2)} nats per bit, about ${Math.ceil(bits / 8)} bytes of weights`);
  const shared = await trainShared(graph, booksAt(lambda), o.train, tools);
  return snap(shared, { centroids: "float16", sides: o.biases ? "float16" : "float32" });
}

/**
 * Rate-distortion optimised quantization as in DeepCABAC (Wiedemann et al. 2019/2020, eq. 4). Differs from the paper: trained centroids instead of
 * a uniform grid; F_i is the empirical Fisher information; rates are those of a model of rows, columns and symbols, refitted between passes.
 */
export const rateDistortion = method({
  id: "quantize/rate-distortion",
  paper: "Wiedemann et al.: DeepCABAC, A Universal Compression Algorithm for Deep Neural Networks, 2020 (1907.11900)",
  needs: ["training"],
  options,
  atZero: { exclude: ["*"], biases: false, train: { epochs: 0 } },
  apply: async (graph, o, tools): Promise<MethodResult> => {
    const { skipped } = weightsOf(graph, o.exclude);
    const attempt = async (budget: number) => {
      let result: SharedResult = { graph, codebooks: tools.constraints.codebooks, history: [] };
      const history: EpochMetrics[] = [];
      for (let k = 1; k <= o.rounds; k++) {
        result = await round(result.graph, result.codebooks, o, budget / o.rounds, tools);
        history.push(...result.history.map((m) => ({ ...m, epoch: history.length + m.epoch })));
      }
      return { ...result, history };
    };
    let result = await attempt(o.lossRise);
    for (const part of tools.limit === undefined || o.lambda !== undefined ? [] : [0.3, 0.1, 0.03, 0]) {
      const { error } = await tools.evaluate(result.graph);
      tools.log(`validation error ${(100 * error).toFixed(2)} %, allowed ${(100 * tools.limit!).toFixed(2)} %`);
      if (error <= tools.limit!) break;
      result = await attempt(o.lossRise * part);
    }
    const notes: Note[] = [...result.codebooks].map(([name, book]) => ({
      node: name,
      what: "done",
      why: `${book.indices.reduce((n, k) => n + (k ? 1 : 0), 0)} of ${book.indices.length} weights kept, ${book.centroids.length - 1} shared values`,
    }));
    return {
      graph: result.graph,
      notes: [...notes, ...skipped],
      constraints: { codebooks: result.codebooks },
      history: result.history,
    };
  },
});
