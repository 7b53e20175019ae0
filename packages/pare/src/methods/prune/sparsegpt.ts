/** Removes weights without training: a trained graph and calibration data enter; the graph with zeros, its other weights moved to make up for them, leaves. */
import { z } from "zod";
import { type Layer, layersOf } from "../../analyze/layers.js";
import { PareError } from "../../graph/error.js";
import type { Graph } from "../../graph/graph.js";
import { nearestNames } from "../../graph/nearest-names.js";
import { float32sOf } from "../../graph/tensor.js";
import { keepHighest } from "../../importance/keep-highest.js";
import { lampScores } from "../../importance/magnitude.js";
import { placeIn } from "../../importance/unroll.js";
import { inverseFactor } from "../../linear/cholesky.js";
import { matrix } from "../../linear/matrix.js";
import { ratio } from "../fine-tune.js";
import { layerByLayer } from "../layer-by-layer.js";
import type { Chain } from "../layer-target.js";
import { type MethodResult, method, type Note } from "../method.js";
import type { Moments } from "../moments.js";
import { hasFreeBias, meanPower, normalOf, refitted, withFit } from "../refit.js";

const options = z.strictObject({
  sparsity: ratio.default(0.5).describe("share of the weights to remove"),
  allocation: z
    .enum(["uniform", "lamp"])
    .default("uniform")
    .describe("uniform: the same share of every layer; lamp: as many of each layer as LAMP scores across layers leave"),
  pattern: z
    .string()
    .regex(/^\d+:\d+$/, "write n:m, for example 2:4")
    .optional()
    .describe("n:m: of every m weights of a row n are removed, instead of a share"),
  exclude: z.array(z.string()).default([]).describe("weights or nodes to leave dense"),
  samples: z.number().int().positive().default(128).describe("training samples that the inputs are measured on"),
  damping: z.number().positive().default(0.3).describe("added to the Hessian, times its mean diagonal"),
  blockSize: z.number().int().positive().default(128).describe("columns whose weights are chosen together"),
  refit: z
    .boolean()
    .default(true)
    .describe("solve for all that is left of a layer at the end, with the dense network's values as the target"),
});
type Options = z.output<typeof options>;

/** Removes `counts` weights of each row's block, or n of every m: which stay, and the weights with the others' errors made up for. */
interface Rows {
  /** [o k], changed in place. */
  readonly w: Float64Array;
  /** [o k]: 1 stays. */
  readonly mask: Uint8Array;
}

/** Frantar & Alistarh 2023, algorithm 1. `upper` [k k]: the upper Cholesky factor of the inverse Hessian. */
function prune({ w, mask }: Rows, upper: Float64Array, k: number, sparsity: number, o: Options): void {
  const rows = w.length / k;
  const [n, m] = o.pattern ? (o.pattern.split(":").map(Number) as [number, number]) : [0, 0];
  for (let from = 0; from < k; from += o.blockSize) {
    const to = Math.min(k, from + o.blockSize);
    if (!m) chooseIn({ w, mask }, upper, k, from, to, sparsity);
    for (let j = from; j < to; j++) {
      if (m && j % m === 0) for (let r = 0; r < rows; r++) chooseOf({ w, mask }, upper, k, r, j, Math.min(k, j + m), n);
      const d = upper[j * k + j]!;
      for (let r = 0; r < rows; r++) {
        if (mask[r * k + j]) continue;
        const error = w[r * k + j]! / d;
        for (let c = j; c < k; c++) w[r * k + c]! -= error * upper[j * k + c]!;
        w[r * k + j] = 0;
      }
    }
  }
}
/** The share of a block of columns whose removal costs least: w^2 / [H^-1]_jj^2 (eq. 4). */
function chooseIn({ w, mask }: Rows, upper: Float64Array, k: number, from: number, to: number, sparsity: number): void {
  const rows = w.length / k;
  const scores = new Float32Array(rows * (to - from));
  let at = 0;
  for (let r = 0; r < rows; r++)
    for (let j = from; j < to; j++) scores[at++] = (w[r * k + j]! / upper[j * k + j]!) ** 2;
  const [keep] = keepHighest([scores], scores.length - Math.round(scores.length * sparsity));
  at = 0;
  for (let r = 0; r < rows; r++) for (let j = from; j < to; j++) mask[r * k + j] = keep![at++]!;
}
/** n weights of one row between two columns. */
function chooseOf(
  { w, mask }: Rows,
  upper: Float64Array,
  k: number,
  r: number,
  from: number,
  to: number,
  n: number,
): void {
  const cost = (j: number): number => (w[r * k + j]! / upper[j * k + j]!) ** 2;
  const order = Array.from({ length: to - from }, (_, i) => from + i).sort((a, b) => cost(a) - cost(b) || a - b);
  order.forEach((j, i) => {
    mask[r * k + j] = i < n ? 0 : 1;
  });
}

/** Prunes one layer. */
function pruned(
  graph: Graph,
  chain: Chain,
  m: Moments,
  sparsity: number,
  o: Options,
): { graph: Graph; mask: Uint8Array } {
  const { layer } = chain;
  const { groups, inputs: k, outputs } = m.as;
  const old = float32sOf(graph.initializers.get(layer.weight)!);
  const [place, values, mask] = [placeIn(m.as), old.slice(), new Uint8Array(old.length)];
  for (let g = 0; g < groups; g++) {
    const { a } = normalOf(m, g, o.refit && hasFreeBias(graph, chain));
    const damp = o.damping * meanPower(a, k);
    for (let i = 0; i < k; i++) a[i * k + i]! += damp;
    const upper = inverseFactor(matrix(k, k, a)).data;
    const rows: Rows = { w: new Float64Array(outputs * k), mask: new Uint8Array(outputs * k).fill(1) };
    for (let r = 0; r < outputs; r++) for (let i = 0; i < k; i++) rows.w[r * k + i] = old[place(g, r, i)]!;
    prune(rows, upper, k, sparsity, o);
    for (let r = 0; r < outputs; r++)
      for (let i = 0; i < k; i++) {
        values[place(g, r, i)] = rows.w[r * k + i]!;
        mask[place(g, r, i)] = rows.mask[r * k + i]!;
      }
  }
  const next = withFit(graph, chain, values, null);
  return { graph: o.refit ? refitted(next, chain, m, { ridge: o.damping, mask }) : next, mask };
}

/** Sparsity by weight. */
function sharesOf(layers: readonly Layer[], graph: Graph, o: Options): Map<string, number> {
  if (o.allocation === "uniform") return new Map(layers.map((l) => [l.weight, o.sparsity]));
  const scores = layers.map((l) => lampScores(float32sOf(graph.initializers.get(l.weight)!)));
  const total = scores.reduce((n, s) => n + s.length, 0);
  const masks = keepHighest(scores, total - Math.round(total * o.sparsity));
  return new Map(layers.map((l, i) => [l.weight, masks[i]!.filter((v) => !v).length / masks[i]!.length]));
}

/**
 * Frantar, Alistarh: SparseGPT, 2023.
 * Differs from the paper: convolutions too, each place of the kernel having an input of its own; the Hessian is taken about the means where a bias
 * follows (`refit`); at the end (`refit`) all weights left in a row are solved for together, and the target is the dense network's value, the residual
 * sum behind the layer included, so that errors of earlier layers are mended.
 * The default of damping was chosen on validation images of two networks (bench/prune/defaults.ts); that of allocation, too, but there the two disagree.
 */
export const sparsegpt = method({
  id: "prune/sparsegpt",
  paper:
    "Frantar, Alistarh: SparseGPT: Massive Language Models Can Be Accurately Pruned in One-Shot, 2023 (2301.00774)",
  needs: ["calibration"],
  options,
  atZero: { sparsity: 0 },
  apply: async (graph, o, tools): Promise<MethodResult> => {
    const [n, m] = o.pattern?.split(":").map(Number) ?? [];
    if (o.pattern && !(n! < m!)) throw new PareError(`prune/sparsegpt: pattern ${o.pattern}: n is below m`, "usage");
    if (o.sparsity === 0 && !o.pattern) return { graph, notes: [] };
    if (!tools.data)
      throw new PareError("prune/sparsegpt: the layers' inputs are measured on data: give some", "usage");
    if (tools.constraints.codebooks.size > 0)
      throw new PareError("prune/sparsegpt: prune before values are shared", "usage");
    const layers = layersOf(graph);
    const known = layers.flatMap((l) => [l.weight, l.node.name]);
    const unknown = o.exclude.find((name) => !known.includes(name));
    if (unknown !== undefined)
      throw new PareError(
        `prune/sparsegpt: exclude names "${unknown}", which is no layer; nearest are ${nearestNames(unknown, known)
          .map((x) => `"${x}"`)
          .join(", ")}`,
        "usage",
      );
    const wanted = (l: Layer): boolean => !o.exclude.includes(l.weight) && !o.exclude.includes(l.node.name);
    const shares = sharesOf(layers.filter(wanted), graph, o);
    const masks = new Map<string, Uint8Array>();
    const done: Note[] = [];
    const walk = {
      data: tools.data,
      samples: o.samples,
      engine: tools.engine,
      signal: tools.signal,
      wanted,
      survivors: () => null,
    };
    const result = await layerByLayer(graph, graph, walk, (now, chain, moments) => {
      const { weight, node } = chain.layer;
      const found = pruned(now, chain, moments, shares.get(weight)!, o);
      masks.set(weight, found.mask);
      const kept = found.mask.reduce((sum, v) => sum + v, 0);
      const share = ((100 * kept) / found.mask.length).toFixed(1);
      done.push({
        node: node.name,
        what: "done",
        why: `${weight}: ${kept} of ${found.mask.length} weights kept (${share} %)`,
      });
      return found.graph;
    });
    return {
      graph: result.graph,
      notes: [...done, ...result.notes],
      constraints: { masks: new Map([...tools.constraints.masks, ...masks]) },
    };
  },
});
