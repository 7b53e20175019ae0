/** Writes small graphs for tests: operators over names and shapes come in; out, a Graph with random weights. */
import { type AttributeValue, Emitter } from "../../dist/graph/emit.js";
import { type Dim, emptyGraph, type Graph } from "../../dist/graph/graph.js";
import { floats, int64s } from "../../dist/graph/tensor.js";
import { randomFrom } from "./expose.js";

/** Appends nodes: an array of numbers is a random weight of that shape. */
export class Net {
  readonly draft;
  readonly g;
  readonly #random;
  constructor(x: readonly Dim[], opset = 21, seed = 11) {
    this.draft = emptyGraph("net", opset);
    this.g = new Emitter(this.draft);
    this.#random = randomFrom(seed);
    this.draft.inputs.push({ name: "x", type: "float32", shape: x });
  }
  weight(dims: readonly number[]): string {
    const size = dims.reduce((a, b) => a * b, 1);
    const fan = size / (dims[0] ?? 1);
    const draw = () => (dims.length > 1 ? ((this.#random() * 2 - 1) * 2) / Math.sqrt(fan) : 0.2 + this.#random());
    return this.g.constant(floats(Float32Array.from({ length: size }, draw), dims));
  }
  op(
    type: string,
    inputs: readonly (string | readonly number[])[],
    a: Readonly<Record<string, AttributeValue>> = {},
  ): string {
    return this.ops(type, inputs, a, 1)[0]!;
  }
  ops(
    type: string,
    inputs: readonly (string | readonly number[])[],
    a: Readonly<Record<string, AttributeValue>>,
    count: number,
  ): string[] {
    const names = inputs.map((i) => (typeof i === "string" ? i : this.weight(i)));
    return this.g.ops(type, names, a, count);
  }
  ints(...values: number[]): string {
    return this.g.ints(values);
  }
  scalar(value: number): string {
    return this.g.constant(int64s([value], []));
  }
  done(...outputs: string[]): Graph {
    for (const name of outputs) this.draft.outputs.push({ name, type: "float32", shape: null });
    return this.draft;
  }
}
