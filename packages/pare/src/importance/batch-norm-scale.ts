/** Network slimming: a graph -> |scale| of the normalisation behind each layer, for the weights of its channels. */
import { layersOf } from "../analyze/layers.js";
import { recordOf } from "../ops/registry.js";
import { channelsOf, spreadOver } from "./by-channel.js";
import type { Measure } from "./measure.js";
import { valuesOf } from "./weight-values.js";

/** Layers without a normalisation by channel right behind them are left out. */
export const batchNormScale: Measure = {
  paper: "Liu, Li, Shen, Huang, Yan, Zhang: Learning Efficient Convolutional Networks, 2017 (1708.06519)",
  needs: "nothing",
  score: ({ graph, names }) => {
    const scores = new Map<string, Float32Array>();
    for (const layer of layersOf(graph)) {
      if (!names.includes(layer.weight)) continue;
      const behind = graph.nodes.find(
        (n) => recordOf(n)?.channelScale !== undefined && n.inputs[0] === layer.node.outputs[0],
      );
      const name = behind?.inputs[recordOf(behind)!.channelScale!] ?? "";
      const scale = graph.initializers.get(name);
      if (scale?.type !== "float32" || scale.dims[0] !== channelsOf(layer)) continue;
      scores.set(layer.weight, spreadOver(layer, valuesOf(graph, name).map(Math.abs)));
    }
    return scores;
  },
};
