/** A graph of one Add per weight: enough to be a valid model around any initialisers. */

import { node } from "../../dist/graph/emit.js";
import type { Draft, Tensor } from "../../dist/graph/graph.js";
import { emptyGraph } from "../../dist/graph/graph.js";
import { floats } from "../../dist/graph/tensor.js";

/** y = Add(Add(x, w0), w1) ... over x [n]; every initialiser is read. */
export function sumOf(weights: Readonly<Record<string, Tensor>>): Draft {
  const graph = emptyGraph("sum", 17);
  graph.irVersion = 8;
  graph.inputs.push({ name: "x", type: "float32", shape: ["n"] });
  let last = "x";
  for (const [name, tensor] of Object.entries(weights)) {
    graph.initializers.set(name, tensor);
    graph.nodes.push(node("Add", [last, name], [`after ${name}`]));
    last = `after ${name}`;
  }
  graph.nodes.push(node("Identity", [last], ["y"]));
  graph.outputs.push({ name: "y", type: "float32", shape: null });
  return graph;
}

/** float32 [size] of 0, 1, 2, ... */
export const ramp = (size: number): Tensor =>
  floats(
    Float32Array.from({ length: size }, (_, i) => i),
    [size],
  );
