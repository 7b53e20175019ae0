/** Network trimming: a graph and data -> the share of a channel's activations that are not zero behind its ReLU. */
import { layersOf } from "../analyze/layers.js";
import type { Graph, Node } from "../graph/graph.js";
import { sizeOf } from "../graph/tensor.js";
import { recordOf } from "../ops/registry.js";
import { channelsOf, spreadOver } from "./by-channel.js";
import type { Measure } from "./measure.js";
import { observe } from "./observe.js";

/** The first ReLU behind a value, past normalisation, biases and residual sums; null where another layer or the output comes first. */
function reluBehind(graph: Graph, name: string): Node | null {
  const readers = graph.nodes.filter((n) => n.inputs.includes(name));
  for (const n of readers) {
    const record = recordOf(n);
    if (record?.rectifies) return n;
    if (record?.quant !== "arithmetic") continue;
    const found = reluBehind(graph, n.outputs[0]!);
    if (found) return found;
  }
  return null;
}

/** 1 - APoZ (eq. 1): higher is better. Layers without a ReLU behind them are left out. */
export const apoz: Measure = {
  paper: "Hu, Peng, Tai, Tang: Network Trimming, 2016 (1607.03250)",
  needs: "data",
  score: async (q) => {
    const watched = layersOf(q.graph).flatMap((layer) => {
      const relu =
        q.names.includes(layer.weight) && layer.channelAxis !== null
          ? reluBehind(q.graph, layer.node.outputs[0]!)
          : null;
      return relu ? [{ layer, value: relu.outputs[0]!, zeros: new Float64Array(channelsOf(layer)), seen: 0 }] : [];
    });
    if (watched.length === 0) return new Map();
    await observe(
      q,
      () => watched.map((w) => w.value),
      (values) => {
        values.forEach(({ data, dims }, k) => {
          const w = watched[k]!;
          const channels = w.zeros.length;
          const axis = w.layer.channelAxis!;
          // A layer whose channels lie elsewhere behind a reshape is not counted.
          if (dims[axis] !== channels) return;
          const inner = sizeOf(dims.slice(axis + 1));
          const numbers = data as Float32Array;
          for (let i = 0; i < numbers.length; i++) if (numbers[i] === 0) w.zeros[Math.floor(i / inner) % channels]!++;
          w.seen += numbers.length / channels;
        });
      },
    );
    return new Map(
      watched
        .filter((w) => w.seen > 0)
        .map((w) => [
          w.layer.weight,
          spreadOver(
            w.layer,
            Array.from(w.zeros, (z) => 1 - z / w.seen),
          ),
        ]),
    );
  },
};
