/** Tensors whose values are shared, from clusters to trained float16 centroids: what both quantizers do after they have assigned the weights. */
import type { Graph } from "../graph/graph.js";
import { float32sOf } from "../graph/tensor.js";
import type { Codebook, EpochMetrics } from "../train/options.js";
import { type FineTune, trainingOf } from "./fine-tune.js";
import type { Tools } from "./method.js";
import { sideTensors, toFloat16 } from "./side.js";
import { withValues } from "./weights.js";

export type Codebooks = ReadonlyMap<string, Codebook>;

/** w[i] = centroids[indices[i]]. */
export function expand({ indices, centroids }: Pick<Codebook, "indices" | "centroids">): Float32Array {
  const values = new Float32Array(indices.length);
  for (let i = 0; i < values.length; i++) values[i] = centroids[indices[i]!]!;
  return values;
}

/** The graph whose tensors are what their codebooks say. */
export const withCodebooks = (graph: Graph, books: Codebooks): Graph =>
  withValues(graph, new Map([...books].map(([name, book]) => [name, expand(book)])));

export interface SharedResult {
  readonly graph: Graph;
  readonly codebooks: Codebooks;
  readonly history: readonly EpochMetrics[];
}

/** Trains the centroids (paper, eq. 3) and what is not shared; masks hold for tensors without a codebook. */
export async function trainShared(
  graph: Graph,
  books: Codebooks,
  options: FineTune,
  tools: Tools,
): Promise<SharedResult> {
  const start = withCodebooks(graph, books);
  const training = trainingOf(options, graph, tools);
  if (training.epochs === 0) return { graph: start, codebooks: books, history: [] };
  const masks = new Map([...tools.constraints.masks].filter(([name]) => !books.has(name)));
  const result = await tools.train(start, { ...training, codebooks: books, masks });
  const codebooks = new Map(
    [...books].map(([name, book]) => [name, { ...book, centroids: result.codebooks.get(name) ?? book.centroids }]),
  );
  return { graph: withCodebooks(result.graph, codebooks), codebooks, history: result.history };
}

type Precision = "float16" | "float32";

/** Centroids rounded to their precision, and every other bias and normalisation vector to `sides` (where none overflows). */
export function snap(
  result: SharedResult,
  to: { readonly centroids: Precision; readonly sides: Precision },
): SharedResult {
  const round = (c: Float32Array): Float32Array => (to.centroids === "float16" ? (toFloat16(c) ?? c) : c);
  const codebooks = new Map(
    [...result.codebooks].map(([name, book]) => [name, { ...book, centroids: round(book.centroids) }]),
  );
  const rounded = new Map<string, Float32Array>();
  if (to.sides === "float16")
    for (const { name, values } of sideTensors(result.graph)) {
      const half = codebooks.has(name) ? null : toFloat16(values);
      if (half) rounded.set(name, half);
    }
  return { ...result, graph: withCodebooks(withValues(result.graph, rounded), codebooks), codebooks };
}

/** A codebook over a whole tensor from the clusters of its survivors: index 0 is the zero that stays. */
export function codebookOf(
  length: number,
  at: Uint32Array,
  clusters: { readonly centroids: Float32Array; readonly indices: Uint32Array },
): Codebook {
  const indices = new Uint32Array(length);
  at.forEach((i, j) => {
    indices[i] = clusters.indices[j]! + 1;
  });
  const centroids = new Float32Array(clusters.centroids.length + 1);
  centroids.set(clusters.centroids, 1);
  return { indices, centroids, fixed: 0 };
}

/** The current values of an initialiser. */
export const valuesOf = (graph: Graph, name: string): Float32Array => float32sOf(graph.initializers.get(name)!);
