/** Chooses every weight's shared value by what it costs in the file and in the loss: graph with (pruned) weights -> graph of few values, its codebooks. */
import { type BitCosts, bitCosts } from "@pare/runtime/writer";
import { z } from "zod";
import type { Graph } from "../../graph/graph.js";
import { importances } from "../../importance/fisher.js";
import type { Codebook, EpochMetrics } from "../../train/options.js";
import { candidates, type Shareable, survivors } from "../choose-values.js";
import { fineTune } from "../fine-tune.js";
import { largestWithin } from "../largest-within.js";
import { type MethodResult, method, type Note, type Tools } from "../method.js";
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
  readonly dims: readonly number[];
  readonly start: Codebook;
}
export interface Assignment {
  readonly book: Codebook;
  /** What the prices make of it. */
  readonly bits: number;
}

/** What the coder charges for a tensor of these shared values. */
export const pricesOf = (book: Codebook, dims: readonly number[], known?: BitCosts): BitCosts =>
  bitCosts(book.indices, book.centroids, dims, known?.geometry);

/**
 * min over q of 1/2 F_i (w_i - q)^2 + lambda bits_i(q) at the given prices, centroids refitted until nothing moves (entropy-constrained
 * quantization: Chou, Lookabaugh, Gray 1989). Zero is always an option: weights whose positions cost more than they are worth go.
 */
export function assign(t: Shareable, start: Codebook, prices: BitCosts, lambda: number, iterations = 12): Assignment {
  const { at, values, weights } = survivors(t, 1e-3);
  const centroids = Float64Array.from(start.centroids);
  const indices = start.indices.slice();
  let bits = 0;
  for (let iteration = 0; iteration < iterations; iteration++) {
    bits = 0;
    const mass = new Float64Array(centroids.length);
    const moment = new Float64Array(centroids.length);
    let moved = false;
    at.forEach((i, j) => {
      const [w, f, alive] = [values[j]!, 0.5 * weights[j]!, prices.nonzero[i]!];
      let [best, bestBits] = [0, prices.zero[i]!];
      let bestCost = f * w * w + lambda * bestBits;
      for (let k = 1; k < centroids.length; k++) {
        const b = alive + prices.value[k]!;
        const cost = f * (w - centroids[k]!) ** 2 + lambda * b;
        if (cost < bestCost) [best, bestCost, bestBits] = [k, cost, b];
      }
      if (indices[i] !== best) moved = true;
      indices[i] = best;
      bits += bestBits;
      mass[best]! += f;
      moment[best]! += f * w;
    });
    for (let k = 1; k < centroids.length; k++) if (mass[k]! > 0) centroids[k] = moment[k]! / mass[k]!;
    if (!moved) break;
  }
  return { book: { indices, centroids: Float32Array.from(centroids), fixed: 0 }, bits };
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
  const all = [...weightsOf(graph, o.exclude).weights, ...sides.map((t) => ({ ...t, dims: [t.values.length] }))];
  if (all.length === 0 || !tools.data) return [];
  const names = all.map((t) => t.name);
  const fisher = await importances(graph, names, tools.data, o.samples, tools);
  return all.map((t, i) => {
    const { name, values, dims } = t;
    const layer = { name, node: t.node.name, dims, values, importance: fisher.get(name) ?? null };
    const known = books.get(name);
    if (known && known.centroids.length <= 256) return { ...layer, start: known };
    const [first] = candidates(layer, [o.values], { init: "linear", seed: tools.seed + i, weighted: true });
    return { ...layer, start: codebookOf(values.length, survivors(layer).at, first!.clusters) };
  });
}

/** Assigns every weight at the largest price of a bit that the budget allows, then trains what is left. */
async function round(
  graph: Graph,
  books: ReadonlyMap<string, Codebook>,
  o: Options,
  budget: number,
  tools: Tools,
): Promise<SharedResult> {
  const layers = await layersOf(graph, books, o, tools);
  let prices = layers.map((l) => pricesOf(l.start, l.dims));
  const assigned = (lambda: number) => layers.map((l, i) => assign(l, l.start, prices[i]!, lambda));
  const booksOf = (list: readonly Assignment[]) =>
    new Map([...books, ...list.map((a, i) => [layers[i]!.name, a.book] as const)]);
  const before = o.lambda === undefined ? (await tools.evaluate(graph)).loss : 0;
  const rise = async (list: readonly Assignment[]) =>
    (await tools.evaluate(withCodebooks(graph, booksOf(list)))).loss - before;
  const survivorCount = layers.reduce((n, l) => n + l.start.indices.reduce((m, k) => m + (k ? 1 : 0), 0), 0);
  // Where to start looking: as if every survivor's eight bits shared the budget.
  const start = (budget || 1e-6) / (8 * survivorCount + 1);
  let lambda = o.lambda ?? (await largestWithin((x) => rise(assigned(x)), budget, start));
  let list = assigned(lambda);
  // Prices follow the pattern of survivors, and the pattern the prices; where that leads beyond the budget, a bit becomes cheaper.
  for (let k = 0; k < 3; k++) {
    prices = layers.map((l, i) => pricesOf(list[i]!.book, l.dims, prices[i]));
    list = assigned(lambda);
    if (o.lambda !== undefined) continue;
    for (let tries = 0; tries < 8 && (await rise(list)) > budget; tries++) list = assigned((lambda *= 0.8));
  }
  const bits = list.reduce((sum, a) => sum + a.bits, 0);
  tools.log(`lambda ${lambda.toExponential(2)} nats per bit, about ${Math.ceil(bits / 8)} bytes of weights`);
  const final = new Map([...booksOf(list)].map(([name, book]) => [name, used(book)] as const));
  const shared = await trainShared(graph, final, o.train, tools);
  return snap(shared, { centroids: "float16", sides: o.biases ? "float16" : "float32" });
}

/**
 * Rate-distortion optimised quantization as in DeepCABAC (Wiedemann et al. 2019/2020, eq. 4). Differs from the paper: trained centroids instead of
 * a uniform grid; F_i is the Fisher information of the softened answers; bits are what Pare's own context-mixing coder charges.
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
