/** How long a layer, or the stages in its place, take on this machine: measured once for each kind of layer. */
import type { Engine } from "../engine/engine.js";
import { latency } from "../engine/latency.js";
import { Emitter } from "../graph/emit.js";
import { emptyGraph, type Graph } from "../graph/graph.js";
import { floats } from "../graph/tensor.js";
import type { LinearLayer } from "../linear/layers.js";
import { replaceLayer, type Stage, stageSize } from "../linear/replace.js";

/** Runs of each candidate, fewer of slow ones; the fastest counts, since other work on the machine only ever adds. */
const measured = { runs: 20, withinMs: 200 };

export class StageTimes {
  readonly #known = new Map<string, Promise<number>>();
  constructor(
    readonly engine: Engine,
    readonly signal?: AbortSignal,
  ) {}

  /** Milliseconds; `stages` null: of the layer itself. */
  of(layer: LinearLayer, stages: readonly Stage[] | null): Promise<number> {
    const key = JSON.stringify([layer.inputs, layer.outputs, layer.kernel, layer.window, layer.from, stages], (_, v) =>
      typeof v === "bigint" ? String(v) : v,
    );
    let ms = this.#known.get(key);
    if (!ms) this.#known.set(key, (ms = this.#measure(layer, stages)));
    return ms;
  }

  async #measure(layer: LinearLayer, stages: readonly Stage[] | null): Promise<number> {
    this.signal?.throwIfAborted();
    const alone = layerAlone(layer);
    const filled = stages?.map((s) => ({ ...s, weight: pattern(stageSize(layer, s)) }));
    const graph = filled ? replaceLayer(alone, layer, { stages: filled, bias: layer.bias }) : alone;
    return (await latency(this.engine, [graph], measured))[0]!.minMs;
  }
}

/** A model of just this layer. */
function layerAlone(layer: LinearLayer): Graph {
  const graph = emptyGraph("layer", 17);
  const g = new Emitter(graph);
  const [x, y] = [layer.node.inputs[0]!, layer.node.outputs[0]!];
  const convolves = layer.kernel.length > 0;
  const dims = convolves ? [1, layer.inputs, ...layer.from] : [...layer.from, layer.inputs];
  graph.inputs.push({ name: x, type: "float32", shape: dims });
  graph.outputs.push({ name: y, type: "float32", shape: null });
  const values = Float32Array.from(pattern(layer.weight.data.length));
  graph.initializers.set(layer.tensor, floats(values, layer.dims));
  const inputs = layer.node.inputs.slice(0, 2);
  if (layer.bias && layer.node.inputs[2]) {
    graph.initializers.set(layer.node.inputs[2], floats(new Float32Array(layer.outputs), [layer.outputs]));
    inputs.push(layer.node.inputs[2]);
  }
  g.push({ ...layer.node, inputs });
  return graph;
}

const pattern = (length: number): Float64Array =>
  Float64Array.from({ length }, (_, i) => (((i * i * 31 + i * 17) % 101) / 101 - 0.45) / 16);
