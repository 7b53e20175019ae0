/** Small training graphs for tests and benchmarks: layers come in, a graph of forward nodes and hand-written composite gradients goes out. */
import { Emitter } from "../dist/graph/emit.js";
import { type Draft, emptyGraph } from "../dist/graph/graph.js";
import { sizeOf } from "../dist/graph/tensor.js";

export interface Layer2d {
  readonly k: number;
  readonly s?: number;
  readonly p?: number;
  readonly pads?: readonly [number, number, number, number];
  readonly d?: number;
  readonly group?: number;
  readonly bias?: boolean;
}

/** Builds forward nodes at once and remembers how to go back. Inputs: x, dy, and one per parameter; outputs: y, and one gradient per parameter. */
export class TrainingNet {
  readonly graph: Draft = emptyGraph("net", 21);
  readonly g = new Emitter(this.graph);
  readonly parameters: { name: string; dims: number[] }[] = [];
  readonly #back: (() => void)[] = [];
  readonly #gradients = new Map<string, string>();
  readonly #dims = new Map<string, number[]>();

  constructor(readonly input: readonly number[]) {
    this.#input("x", [...input]);
  }
  dims(name: string): number[] {
    return this.#dims.get(name)!;
  }
  conv(x: string, o: number, { k, s = 1, p = 0, pads = [p, p, p, p], d = 1, group = 1, bias = true }: Layer2d): string {
    const [n, c, h, w] = this.dims(x) as [number, number, number, number];
    const side = (length: number, around: number) => Math.floor((length + around - d * (k - 1) - 1) / s) + 1;
    const weight = this.#parameter("w", [o, c / group, k, k]);
    const b = bias ? [this.#parameter("b", [o])] : [];
    const attributes = { kernel_shape: [k, k], strides: [s, s], pads, dilations: [d, d], group };
    const y = this.#op(
      "Conv",
      [x, weight, ...b],
      [n, o, side(h, pads[0] + pads[2]), side(w, pads[1] + pads[3])],
      attributes,
    );
    this.#back.push(() => {
      const dy = this.#gradients.get(y)!;
      this.#gradients.set(
        weight,
        this.#pare("ConvWeightGrad", [x, dy], this.dims(weight), { ...attributes, weight_shape: this.dims(weight) }),
      );
      for (const name of b) this.#gradients.set(name, this.#sum(dy));
      if (x !== "x")
        this.#add(
          x,
          this.#pare("ConvInputGrad", [dy, weight], this.dims(x), { ...attributes, input_shape: this.dims(x) }),
        );
    });
    return y;
  }
  relu(x: string): string {
    const y = this.#op("Relu", [x], this.dims(x));
    this.#back.push(() => this.#add(x, this.#pare("ReluGrad", [this.#gradients.get(y)!, y], this.dims(x))));
    return y;
  }
  add(a: string, b: string): string {
    const y = this.#op("Add", [a, b], this.dims(a));
    this.#back.push(() => {
      for (const name of [a, b]) this.#add(name, this.#gradients.get(y)!);
    });
    return y;
  }
  batchNorm(x: string): string {
    const c = this.dims(x)[1]!;
    const [scale, bias] = [this.#parameter("scale", [c]), this.#parameter("shift", [c])];
    const outputs = this.g.ops("BatchNormTraining", [x, scale, bias], { epsilon: 1e-5 }, 3, "pare") as [
      string,
      string,
      string,
    ];
    const [y, mean, variance] = outputs;
    this.#shape(y, this.dims(x));
    for (const name of [mean, variance]) {
      this.#shape(name, [c]);
      this.graph.outputs.push({ name, type: "float32", shape: [c] });
    }
    this.#back.push(() => {
      const inputs = [this.#gradients.get(y)!, x, scale, mean, variance];
      const [dx, dscale, dbias] = this.g.ops("BatchNormTrainingGrad", inputs, { epsilon: 1e-5 }, 3, "pare") as [
        string,
        string,
        string,
      ];
      this.#shape(dx, this.dims(x));
      for (const name of [dscale, dbias]) this.#shape(name, [c]);
      this.#add(x, dx);
      this.#gradients.set(scale, dscale);
      this.#gradients.set(bias, dbias);
    });
    return y;
  }
  maxPool(x: string, k = 2, s = k, p = 0): string {
    const [n, c, h, w] = this.dims(x) as [number, number, number, number];
    const side = (length: number) => Math.floor((length + 2 * p - k) / s) + 1;
    const attributes = { kernel_shape: [k, k], strides: [s, s], pads: [p, p, p, p], dilations: [1, 1], ceil_mode: 0 };
    const y = this.#op("MaxPool", [x], [n, c, side(h), side(w)], attributes);
    this.#back.push(() =>
      this.#add(x, this.#pare("MaxPoolGrad", [this.#gradients.get(y)!, x, y], this.dims(x), attributes)),
    );
    return y;
  }
  globalAveragePool(x: string): string {
    const [n, c, h, w] = this.dims(x) as [number, number, number, number];
    const y = this.#op("GlobalAveragePool", [x], [n, c, 1, 1]);
    this.#back.push(() => {
      const part = this.#op("Mul", [this.#gradients.get(y)!, this.g.scalar(1 / (h * w))], [n, c, 1, 1]);
      this.#add(x, this.#op("Expand", [part, this.g.ints([n, c, h, w])], [n, c, h, w]));
    });
    return y;
  }
  flatten(x: string): string {
    const [n, ...rest] = this.dims(x) as [number, ...number[]];
    const y = this.#op("Flatten", [x], [n, sizeOf(rest)]);
    this.#back.push(() =>
      this.#add(x, this.#op("Reshape", [this.#gradients.get(y)!, this.g.ints(this.dims(x))], this.dims(x))),
    );
    return y;
  }
  dense(x: string, o: number): string {
    const [n, i] = this.dims(x) as [number, number];
    const [w, b] = [this.#parameter("w", [o, i]), this.#parameter("b", [o])];
    const y = this.#op("Gemm", [x, w, b], [n, o], { transB: 1 });
    this.#back.push(() => {
      const dy = this.#gradients.get(y)!;
      this.#gradients.set(w, this.#op("Gemm", [dy, x], [o, i], { transA: 1 }));
      this.#gradients.set(b, this.#op("ReduceSum", [dy, this.g.ints([0])], [o], { keepdims: 0 }));
      if (x !== "x") this.#add(x, this.#op("Gemm", [dy, w], [n, i]));
    });
    return y;
  }
  /** The end of the forward pass: `y` is an output, its gradient the input "dy"; gradients become outputs named "grad of <parameter>". */
  finish(y: string): Draft {
    const dims = this.dims(y);
    this.#input("dy", dims);
    this.graph.outputs.unshift({ name: y, type: "float32", shape: dims });
    this.#gradients.set(y, "dy");
    for (const back of this.#back.reverse()) back();
    for (const p of this.parameters) {
      const name = `grad of ${p.name}`;
      this.g.push({
        op: "Identity",
        domain: "",
        name,
        inputs: [this.#gradients.get(p.name)!],
        outputs: [name],
        attributes: {},
      });
      this.graph.outputs.push({ name, type: "float32", shape: p.dims });
    }
    return this.graph;
  }

  #input(name: string, dims: number[]): void {
    this.graph.inputs.push({ name, type: "float32", shape: dims });
    this.#dims.set(name, dims);
  }
  #parameter(hint: string, dims: number[]): string {
    const name = `${hint}${this.parameters.length}`;
    this.parameters.push({ name, dims });
    this.#input(name, dims);
    return name;
  }
  #shape(name: string, dims: number[]): string {
    this.#dims.set(name, dims);
    this.graph.values.set(name, { name, type: "float32", shape: dims });
    return name;
  }
  #op(
    op: string,
    inputs: string[],
    dims: number[],
    attributes: Parameters<Emitter["op"]>[2] = {},
    domain = "",
  ): string {
    return this.#shape(this.g.op(op, inputs, attributes, domain), dims);
  }
  #pare(op: string, inputs: string[], dims: number[], attributes: Parameters<Emitter["op"]>[2] = {}): string {
    return this.#op(op, inputs, dims, attributes, "pare");
  }
  #sum(dy: string): string {
    return this.#op("ReduceSum", [dy, this.g.ints([0, 2, 3])], [this.dims(dy)[1]!], { keepdims: 0 });
  }
  #add(name: string, gradient: string): void {
    const known = this.#gradients.get(name);
    this.#gradients.set(name, known ? this.#op("Add", [known, gradient], this.dims(name)) : gradient);
  }
}
