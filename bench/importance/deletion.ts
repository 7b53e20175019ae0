/** A network, a share and a seed enter; what the test loss and error are when each importance in turn decides which weights of the trained network go, without training after, leaves. */
import { openSplits } from "../../packages/pare/dist/data/open.js";
import { ortNode as engine } from "../../packages/pare/dist/engine/ort-node.js";
import { PareError } from "../../packages/pare/dist/graph/error.js";
import { draft, type Graph } from "../../packages/pare/dist/graph/graph.js";
import { float32sOf, floats } from "../../packages/pare/dist/graph/tensor.js";
import { importance, measureNames } from "../../packages/pare/dist/importance/importance.js";
import { keepHighest } from "../../packages/pare/dist/importance/keep-highest.js";
import type { Scores } from "../../packages/pare/dist/importance/measure.js";
import { NetworkBuilder } from "../../packages/pare/dist/methods/architecture/builder.js";
import { network } from "../../packages/pare/dist/methods/architecture/networks.js";
import { evaluate } from "../../packages/pare/dist/train/evaluate.js";
import { train } from "../../packages/pare/dist/train/train.js";

/** A ranking of all weights, or of each layer's by itself. */
export type Scope = "all" | "layer";
export interface Deleted {
  readonly loss: number;
  readonly error: number;
  /** Share of the weights that went: less where the measure says nothing of a layer. */
  readonly share: number;
}
export interface Deletion {
  readonly dense: Omit<Deleted, "share">;
  readonly measures: Readonly<Record<string, Readonly<Record<Scope, Deleted>>>>;
}

/** Few enough weights for OBD's exact diagonal, as the paper's network had: 2,580 with its two convolutions. */
function smallConvolutional(seed: number): Graph {
  const b = new NetworkBuilder("small", seed);
  let x = b.relu(b.conv(b.input("x", [1, 28, 28]), "conv1", 6, 5, { stride: 2, pad: 2 }), "relu1");
  x = b.maxPool(b.relu(b.conv(x, "conv2", 8, 5, { stride: 2, pad: 2 }), "relu2"), "pool", 2);
  x = b.relu(b.dense(b.flatten(x), "fc1", 15), "relu3");
  return b.finish(b.dense(x, "fc2", 10, { init: "glorot" }), "logits");
}
export const nets = {
  small: smallConvolutional,
  "lenet-300-100": (seed: number) => network("lenet-300-100", { seed }),
} as const;

/** Images that the measures see, and epochs of training. */
const [seen, epochs] = [128, 4];

export async function deletion(net: keyof typeof nets, share: number, seed: number): Promise<Deletion> {
  const data = await openSplits("mnist", { only: ["train", "validation", "test"], seed });
  const learningRate = { kind: "cosine", rate: 0.001 } as const;
  const o = { data: data.train, validation: data.validation, epochs, learningRate, seed, engine } as const;
  const trained = await train(nets[net](seed), { ...o, optimizer: { kind: "adam" }, batchSize: 128, path: true });
  const { graph } = trained;
  const of = async (g: Graph): Promise<Omit<Deleted, "share">> => {
    const { loss, error } = await evaluate(g, data.test, { engine });
    return { loss, error };
  };
  const measures: Record<string, Record<Scope, Deleted>> = {};
  for (const name of measureNames) {
    let scores: Scores;
    try {
      scores = await importance(graph, data.train, name, { samples: seen, seed, path: trained.path!, engine });
    } catch (error) {
      if (!(error instanceof PareError)) throw error;
      console.error(`${net}: ${name}: ${error.message}`);
      continue;
    }
    if (scores.size === 0) continue;
    const after = async (scope: Scope): Promise<Deleted> => {
      const cut = without(graph, scores, share, scope);
      return { ...(await of(cut)), share: zerosOf(cut, graph) };
    };
    measures[name] = { all: await after("all"), layer: await after("layer") };
  }
  return { dense: await of(graph), measures };
}

function without(graph: Graph, scores: Scores, share: number, scope: Scope): Graph {
  const out = draft(graph);
  const lists = [...scores.values()];
  const keep = (some: readonly Float32Array[]): Uint8Array[] => {
    const total = some.reduce((n, s) => n + s.length, 0);
    return keepHighest(some, total - Math.round(total * share));
  };
  const masks = scope === "all" ? keep(lists) : lists.flatMap((s) => keep([s]));
  [...scores.keys()].forEach((name, k) => {
    const tensor = graph.initializers.get(name)!;
    out.initializers.set(
      name,
      floats(
        float32sOf(tensor).map((v, i) => (masks[k]![i] ? v : 0)),
        tensor.dims,
      ),
    );
  });
  return out;
}
function zerosOf(cut: Graph, dense: Graph): number {
  let [zeros, all] = [0, 0];
  for (const [name, { dims }] of dense.initializers) {
    if (dims.length < 2) continue;
    const values = float32sOf(cut.initializers.get(name)!);
    all += values.length;
    for (const v of values) if (v === 0) zeros++;
  }
  return zeros / all;
}
