/** How many channels at a time a convolution may lose before it gets faster: an engine enters, the step that was measured on this machine leaves. */
import { Emitter } from "../graph/emit.js";
import { emptyGraph, type Graph } from "../graph/graph.js";
import { floats } from "../graph/tensor.js";
import type { Engine } from "./engine.js";
import { latency } from "./latency.js";

/** Steps that are tried, and the share of the next width's time that a width one step above a multiple of 16 may take. */
const steps = [2, 4, 8] as const;
const worth = 0.9;

const known = new WeakMap<Engine, Promise<number>>();

/** 2, 4, 8 or 16: the smallest step by which a narrower convolution is really a faster one. Measured once per process. */
export function channelStep(engine: Engine): Promise<number> {
  let answer = known.get(engine);
  if (!answer) known.set(engine, (answer = measure(engine)));
  return answer;
}

async function measure(engine: Engine): Promise<number> {
  const widths = [...new Set(steps.flatMap((s) => [16 + s, 16 + 2 * s, 32 + s, 32 + 2 * s]))];
  const times = await latency(engine, widths.map(chain), { runs: 20 });
  const at = (width: number): number => times[widths.indexOf(width)]!.minMs;
  return steps.find((s) => at(16 + s) + at(32 + s) <= worth * (at(16 + 2 * s) + at(32 + 2 * s))) ?? 16;
}

/** Four convolutions of that width, so that what onnxruntime does around the first and the last weighs little. */
function chain(width: number): Graph {
  const graph = emptyGraph(`width ${width}`, 21);
  const g = new Emitter(graph);
  graph.inputs.push({ name: "x", type: "float32", shape: [1, width, 16, 16] });
  const weight = floats(
    Float32Array.from({ length: width * width * 9 }, (_, i) => Math.sin(i * 12.9898) / width),
    [width, width, 3, 3],
  );
  let x = "x";
  for (let i = 0; i < 4; i++)
    x = g.op("Relu", [g.op("Conv", [x, g.constant(weight)], { kernel_shape: [3, 3], pads: [1, 1, 1, 1] })]);
  graph.outputs.push({ name: x, type: "float32", shape: [1, width, 16, 16] });
  return graph;
}
