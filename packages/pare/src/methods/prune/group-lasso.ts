/** Training under which whole groups of weights become zero: a graph and data enter; the graph without the channels that died, fine-tuned, leaves. */
import { z } from "zod";
import { couple } from "../../analyze/couple.js";
import { cut } from "../../analyze/cut.js";
import { groupsOf } from "../../analyze/groups.js";
import { layersOf } from "../../analyze/layers.js";
import { type ResidualBlock, residualBlocks } from "../../analyze/residual-blocks.js";
import { PareError } from "../../graph/error.js";
import type { Graph } from "../../graph/graph.js";
import { float32sOf, sizeOf } from "../../graph/tensor.js";
import { dropDeadChannels } from "../../passes/drop-dead-channels.js";
import { dropZeroBranches } from "../../passes/drop-zero-branches.js";
import type { Proximal } from "../../train/options.js";
import { allOf, channelWeights, norm, type Places, scale } from "../channel-weights.js";
import { fineTune, trainingOf } from "../fine-tune.js";
import { allBlocked, freeGroups } from "../free-groups.js";
import { type MethodResult, method, type Note, targetNote } from "../method.js";
import { weightsOf } from "../weights.js";

/** Sets of weights that become zero together. */
export const lassoKinds = ["filters", "channels", "coupled", "shapes", "kernels", "blocks"] as const;
export type LassoKind = (typeof lassoKinds)[number];

const options = z.strictObject({
  strength: z.number().nonnegative().default(0.005).describe("weight of the sum of the groups' norms in the loss"),
  groups: z
    .array(z.enum(lassoKinds))
    .min(1)
    .default(["filters", "channels"])
    .describe(
      "filters: what makes a channel, over all layers that must make it together; channels: what reads it; coupled: both; shapes: one place of the window and input channel over all filters; kernels: the window of one filter on one channel; blocks: all weights of a branch beside a shortcut, which goes with its sum",
    ),
  exclude: z.array(z.string()).default([]).describe("nodes or weights that are not pulled to zero"),
  train: fineTune.describe("the training under the penalty"),
  finetune: fineTune.describe("the training after the cut, without the penalty"),
});
type Options = z.output<typeof options>;

/** The groups of the kinds that are asked for, and what is left out and why. Throws PareError where there is none, and (usage) for an `exclude` that names nothing. */
function groupsToPress(graph: Graph, o: Options): { groups: Places[]; notes: Note[] } {
  const coupling = couple(graph);
  const { free, notes } = freeGroups(coupling, o.exclude, "prune/group-lasso");
  const { weights, skipped } = weightsOf(graph, o.exclude);
  const allowed = new Set(weights.map((w) => w.name));
  const { blocks, leftAlone } = o.groups.includes("blocks") ? residualBlocks(graph) : { blocks: [], leftAlone: [] };
  const groups = o.groups.flatMap((kind): Places[] => {
    if (kind === "blocks") return blocks.flatMap((b) => wholeOf(graph, b, o.exclude));
    if (kind === "shapes" || kind === "kernels")
      return layersOf(graph)
        .filter((l) => allowed.has(l.weight) && l.dims.length > 2)
        .flatMap(({ weight, dims, kept }) => {
          const first = kept.indexOf(false);
          return slices(weight, dims, (d) => (kind === "shapes" ? !kept[d] : kept[d]! || d === first));
        });
    return [...channelWeights(coupling, free).values()].flatMap((w) => {
      const places = kind === "filters" ? w.makers : kind === "channels" ? w.readers : allOf(w);
      return places.size > 0 ? [places] : [];
    });
  });
  notes.push(...skipped, ...leftAlone.map(({ at: node, why }): Note => ({ node, what: "skipped", why })));
  if (groups.length === 0) throw noneOf(o.groups, notes);
  return { groups, notes };
}
const channelKinds: readonly LassoKind[] = ["filters", "channels", "coupled"];
function noneOf(kinds: readonly LassoKind[], notes: readonly Note[]): PareError {
  if (kinds.some((k) => channelKinds.includes(k))) return allBlocked(notes);
  return new PareError(`prune/group-lasso: this model has no ${kinds.join(" or ")} that can be pressed to zero`);
}

/** A tensor's elements by their indices along the axes that `by` picks. */
function slices(name: string, dims: readonly number[], by: (d: number) => boolean): Places[] {
  const groups = new Map<number, number[]>();
  const strides = dims.map((_, d) => sizeOf(dims.slice(d + 1)));
  for (let i = 0; i < sizeOf(dims); i++) {
    const key = dims.reduce((at, n, d) => (by(d) ? at * n + (Math.floor(i / strides[d]!) % n) : at), 0);
    groups.set(key, [...(groups.get(key) ?? []), i]);
  }
  return [...groups.values()].map((at) => new Map([[name, Uint32Array.from(at)]]));
}

/** All weights of a block; none where something of it is excluded. */
function wholeOf(graph: Graph, { name, nodes, weights }: ResidualBlock, exclude: readonly string[]): Places[] {
  if ([name, ...nodes.map((n) => n.name), ...weights].some((x) => exclude.includes(x))) return [];
  const all = (w: string) => Uint32Array.from({ length: sizeOf(graph.initializers.get(w)!.dims) }, (_, i) => i);
  return [new Map(weights.map((w) => [w, all(w)]))];
}

/** w <- w max(0, 1 - rate strength / |w|) for every group, one kind after the other (Yuan and Lin 2006): eq. 4's penalty as a proximal step. */
export function groupLasso(groups: readonly Places[], strength: number): Proximal["apply"] {
  return (weights, { rate }) => {
    const threshold = rate * strength;
    for (const places of groups) {
      const length = norm(weights, places);
      if (length > 0) scale(weights, places, length > threshold ? 1 - threshold / length : 0);
    }
  };
}

/** Blocks and channels that are zero, and channels that nobody reads, go; at least one channel of each group stays. */
function withoutDead(whole: Graph): Graph {
  const graph = dropZeroBranches(whole);
  const coupling = couple(graph);
  const free = groupsOf(coupling).filter((g) => !g.blocked);
  const weights = channelWeights(coupling, free);
  const values = new Map(
    [...graph.initializers].flatMap(([n, t]) => (t.type === "float32" ? [[n, float32sOf(t)]] : [])),
  );
  const removed = new Set(
    free.flatMap((g) => {
      const dead = g.channels.filter((c) => {
        const { makers } = weights.get(c)!;
        return makers.size > 0 && norm(values as Map<string, Float32Array>, makers) === 0;
      });
      return dead.length === g.channels.length ? dead.slice(1) : dead;
    }),
  );
  return dropDeadChannels(removed.size > 0 ? cut(coupling, removed) : graph);
}

/**
 * Wen, Wu, Wang, Chen, Li 2016: structured sparsity learning, eq. 3 to 5.
 * Differs from the paper: the penalty is a proximal step after each update, so groups are exactly zero without a threshold; a filter's group has
 * its bias and its normalisation's scale and shift too, so that a dead filter is a zero channel and can go; filters that must die together
 * (residual sums) are one group; kinds of groups that overlap are shrunk one after the other;
 * a layer-wise group is the whole branch beside a shortcut. As in eq. 4 no norm is weighed by its group's size: small blocks die first.
 */
export const groupLassoMethod = method({
  id: "prune/group-lasso",
  paper: "Wen, Wu, Wang, Chen, Li: Learning Structured Sparsity in Deep Neural Networks, 2016 (1608.03665)",
  needs: ["training"],
  options,
  atZero: { train: { epochs: 0 }, finetune: { epochs: 0 } },
  apply: async (graph, o: Options, tools): Promise<MethodResult> => {
    const { masks, codebooks } = tools.constraints;
    if (masks.size > 0 || codebooks.size > 0)
      throw new PareError("prune/group-lasso: remove groups before single weights are pruned or share values", "usage");
    const training = trainingOf(o.train, graph, tools);
    if (training.epochs === 0) return { graph, notes: [] };
    const { groups, notes } = groupsToPress(graph, o);
    const { strength } = o;
    const proximal = {
      settings: { strength, groups: o.groups, exclude: o.exclude },
      apply: groupLasso(groups, strength),
    };
    const sparse = await tools.train(graph, { ...training, proximal });
    const narrow = withoutDead(sparse.graph);
    const held = windowMasks(narrow, o);
    const after = trainingOf(o.finetune, narrow, tools);
    const done =
      after.epochs > 0
        ? await tools.train(narrow, { ...after, ...(held.size > 0 ? { masks: held } : {}) })
        : { graph: narrow, history: [] };
    return {
      graph: done.graph,
      notes: [...widthNotes(graph, done.graph), ...(held.size > 0 ? [heldNote] : []), ...notes],
      ...(held.size > 0 ? { constraints: { masks: held } } : {}),
      history: [...sparse.history, ...done.history.map((m) => ({ ...m, epoch: sparse.history.length + m.epoch }))],
    };
  },
});

const heldNote: Note = {
  node: targetNote,
  what: "done",
  why: "zeros of the groups shapes and kernels lie inside of windows: no tensor is smaller and no engine faster for them, a packed file is smaller",
};

/** Zeros inside of windows have no smaller tensor: they are held. */
function windowMasks(graph: Graph, o: Options): Map<string, Uint8Array> {
  if (!o.groups.some((kind) => kind === "shapes" || kind === "kernels")) return new Map();
  const { weights } = weightsOf(graph, o.exclude);
  return new Map(weights.map((w) => [w.name, Uint8Array.from(w.values, (v) => (v === 0 ? 0 : 1))]));
}

/** What became of every weight; first of all, where nothing died, that. */
function widthNotes(before: Graph, after: Graph): Note[] {
  const now = new Map(weightsOf(after).weights.map((w) => [w.name, w]));
  let same = true;
  const notes = weightsOf(before).weights.map(({ name, node, dims }): Note => {
    const left = now.get(name);
    const zeros = left ? left.values.reduce((n, v) => n + (v === 0 ? 1 : 0), 0) : 0;
    same &&= left?.dims.join() === dims.join() && zeros === 0;
    const why = left
      ? `${name}: [${left.dims}] of [${dims}]${zeros > 0 ? `, ${zeros} of its weights are zero: the tensor is no smaller for these` : ""}`
      : `${name}: gone with its block`;
    return { node: node.name, what: "done", why };
  });
  const none: Note = {
    node: targetNote,
    what: "skipped",
    why: "no group became zero: raise the strength, or train longer",
  };
  return same ? [none, ...notes] : notes;
}
