/** Networks from layers: sizes and a seed enter, an ONNX graph with initialised weights leaves (opset 21, batch axis "n", float32). */
import { Random } from "../../data/random.js";
import { type AttributeValue, node } from "../../graph/emit.js";
import { PareError } from "../../graph/error.js";
import { type Draft, emptyGraph, type Graph } from "../../graph/graph.js";
import { floats, int64s, sizeOf } from "../../graph/tensor.js";

/** A tensor of the network under construction: its name and dims without the batch axis. */
export interface Feature {
  readonly name: string;
  readonly dims: readonly number[];
}
/**
 * "he": uniform in ±sqrt(6 / fan_in) (He et al. 2015, for layers before a ReLU); "glorot": uniform in ±sqrt(6 / (fan_in + fan_out))
 * (Glorot, Bengio 2010). Biases start at 0. Uniform rather than normal: square roots are exactly rounded everywhere, logarithms are not.
 */
export type Initialisation = "he" | "glorot";
export type Activation = "Relu" | "LeakyRelu" | "Sigmoid" | "Tanh" | "Gelu" | "HardSwish" | "Elu" | "Softplus";

export interface ConvOptions {
  readonly stride?: number;
  readonly pad?: number;
  readonly group?: number;
  readonly bias?: boolean;
  readonly init?: Initialisation;
}

export class NetworkBuilder {
  readonly #graph: Draft;
  readonly #seed: number;
  #layers = 0;

  constructor(name: string, seed = 0) {
    this.#graph = emptyGraph(name, 21);
    this.#seed = seed;
  }
  /** The network's input, [n, ...dims]. */
  input(name: string, dims: readonly number[]): Feature {
    this.#graph.inputs.push({ name, type: "float32", shape: ["n", ...dims] });
    return { name, dims };
  }
  /** (x - mean) / std per channel, inside the graph: x is c h w. */
  normalize(x: Feature, { mean, std }: { readonly mean: readonly number[]; readonly std: readonly number[] }): Feature {
    const dims = [mean.length, 1, 1];
    if (mean.length !== std.length || (mean.length !== 1 && mean.length !== x.dims[0]))
      throw new PareError(`normalize: ${mean.length} means, ${std.length} deviations for [${x.dims}]`, "usage");
    const centred = this.#push(
      "Sub",
      [x.name, this.#floats("normalize.mean", Float32Array.from(mean), dims)],
      "normalize.centred",
      x.dims,
    );
    const scale = Float32Array.from(std, (s) => 1 / s);
    return this.#push("Mul", [centred.name, this.#floats("normalize.scale", scale, dims)], "normalize", x.dims);
  }
  /** Fully connected, Gemm with weights [c, o] (transB = 0: neither the product nor its gradients transpose them). x is [c]. */
  dense(x: Feature, name: string, units: number, options: { readonly init?: Initialisation } = {}): Feature {
    const [inputs, more] = x.dims;
    if (inputs === undefined || more !== undefined)
      throw new PareError(`${name}: dense takes vectors, got [${x.dims}]: flatten first`, "usage");
    const weight = this.#weight(`${name}.weight`, [inputs, units], inputs, units, options.init);
    const bias = this.#floats(`${name}.bias`, new Float32Array(units), [units]);
    return this.#push("Gemm", [x.name, weight, bias], name, [units]);
  }
  /** 2-D convolution, weights [o, c / group, k, k]. x is c h w. */
  conv(x: Feature, name: string, channels: number, kernel: number, options: ConvOptions = {}): Feature {
    const { stride = 1, pad = 0, group = 1, bias = true } = options;
    const [c, h, w] = this.#image(x, name);
    if (c % group || channels % group)
      throw new PareError(`${name}: ${c} and ${channels} channels do not divide into ${group} groups`, "usage");
    const area = kernel * kernel;
    const weight = this.#weight(
      `${name}.weight`,
      [channels, c / group, kernel, kernel],
      (c / group) * area,
      (channels / group) * area,
      options.init,
    );
    const biases = bias ? [this.#floats(`${name}.bias`, new Float32Array(channels), [channels])] : [];
    return this.#push(
      "Conv",
      [x.name, weight, ...biases],
      name,
      [channels, ...this.#windows(name, [h, w], kernel, stride, pad)],
      { kernel_shape: [kernel, kernel], strides: [stride, stride], pads: [pad, pad, pad, pad], group },
    );
  }
  /** Depthwise 2-D convolution: one filter per channel. */
  depthwise(x: Feature, name: string, kernel: number, options: Omit<ConvOptions, "group"> = {}): Feature {
    const [c] = this.#image(x, name);
    return this.conv(x, name, c, kernel, { ...options, group: c });
  }
  /** Batch normalisation with running statistics; scale starts at 1, shift at 0. */
  batchNorm(x: Feature, name: string): Feature {
    const [c] = this.#image(x, name);
    const vector = (part: string, value: number): string =>
      this.#floats(`${name}.${part}`, new Float32Array(c).fill(value), [c]);
    const inputs = [
      x.name,
      vector("weight", 1),
      vector("bias", 0),
      vector("running_mean", 0),
      vector("running_var", 1),
    ];
    return this.#push("BatchNormalization", inputs, name, x.dims, {
      epsilon: { float: 1e-5 },
      momentum: { float: 0.9 },
    });
  }
  activation(x: Feature, name: string, type: Activation): Feature {
    return this.#push(type, [x.name], name, x.dims);
  }
  relu(x: Feature, name: string): Feature {
    return this.activation(x, name, "Relu");
  }
  maxPool(x: Feature, name: string, kernel: number, stride = kernel): Feature {
    return this.#pool("MaxPool", x, name, kernel, stride);
  }
  averagePool(x: Feature, name: string, kernel: number, stride = kernel): Feature {
    return this.#pool("AveragePool", x, name, kernel, stride);
  }
  /** c h w -> c 1 1. */
  globalAveragePool(x: Feature, name: string): Feature {
    const [c] = this.#image(x, name);
    return this.#push("GlobalAveragePool", [x.name], name, [c, 1, 1]);
  }
  /** Zeroes this share of the values in training; the identity in inference. */
  dropout(x: Feature, name: string, ratio: number): Feature {
    if (!(ratio > 0 && ratio < 1))
      throw new PareError(`${name}: dropout ratio ${ratio}: it lies between 0 and 1`, "usage");
    return this.#push("Dropout", [x.name, this.#floats(`${name}.ratio`, Float32Array.of(ratio), [])], name, x.dims);
  }
  /** Everything but the batch axis becomes one vector. */
  flatten(x: Feature, name = "flatten"): Feature {
    return this.#push("Flatten", [x.name], name, [sizeOf(x.dims)], { axis: 1 });
  }
  /** A residual connection: both tensors have the same dims. */
  add(a: Feature, b: Feature, name: string): Feature {
    if (String(a.dims) !== String(b.dims))
      throw new PareError(`${name}: [${a.dims}] + [${b.dims}]: they must agree`, "usage");
    return this.#push("Add", [a.name, b.name], name, a.dims);
  }
  /** Shortcut without parameters (He et al. 2015, option A): every `stride`-th pixel, and zero channels on both sides up to `channels`. */
  shortcut(x: Feature, name: string, channels: number, stride: number): Feature {
    const [c, h, w] = this.#image(x, name);
    const before = (channels - c) >> 1;
    const ints = (part: string, values: readonly number[]): string => {
      this.#graph.initializers.set(`${name}.${part}`, int64s(values));
      return `${name}.${part}`;
    };
    const sliced = this.#push(
      "Slice",
      [x.name, ints("starts", [0, 0]), ints("ends", [h, w]), ints("axes", [2, 3]), ints("steps", [stride, stride])],
      `${name}.sliced`,
      [c, Math.ceil(h / stride), Math.ceil(w / stride)],
    );
    const pads = ints("pads", [0, before, 0, 0, 0, channels - c - before, 0, 0]);
    return this.#push("Pad", [sliced.name, pads], name, [channels, ...sliced.dims.slice(1)]);
  }
  /** The finished graph; its output x is called `name`. The builder is used up. */
  finish(x: Feature, name: string): Graph {
    const nodes = this.#graph.nodes.map((n) => {
      const rename = (list: readonly string[]): string[] => list.map((v) => (v === x.name ? name : v));
      return { ...n, inputs: rename(n.inputs), outputs: rename(n.outputs) };
    });
    return { ...this.#graph, nodes, outputs: [{ name, type: "float32", shape: ["n", ...x.dims] }] };
  }

  #pool(type: string, x: Feature, name: string, kernel: number, stride: number): Feature {
    const [c, h, w] = this.#image(x, name);
    const dims = [c, ...this.#windows(name, [h, w], kernel, stride, 0)];
    return this.#push(type, [x.name], name, dims, { kernel_shape: [kernel, kernel], strides: [stride, stride] });
  }
  #image(x: Feature, name: string): [number, number, number] {
    if (x.dims.length !== 3) throw new PareError(`${name}: takes c h w, got [${x.dims}]`, "usage");
    return x.dims as unknown as [number, number, number];
  }
  #windows(name: string, sizes: readonly number[], kernel: number, stride: number, pad: number): number[] {
    return sizes.map((size) => {
      const windows = Math.floor((size + 2 * pad - kernel) / stride) + 1;
      if (windows < 1)
        throw new PareError(`${name}: a window of ${kernel} does not fit into ${size} + 2 x ${pad}`, "usage");
      return windows;
    });
  }
  #weight(name: string, dims: readonly number[], fanIn: number, fanOut: number, init: Initialisation = "he"): string {
    const bound = Math.sqrt(6 / (init === "he" ? fanIn : fanIn + fanOut));
    const random = new Random(this.#seed, this.#layers++);
    return this.#floats(
      name,
      Float32Array.from({ length: sizeOf(dims) }, () => (2 * random.uniform() - 1) * bound),
      dims,
    );
  }
  #floats(name: string, values: Float32Array, dims: readonly number[]): string {
    if (this.#graph.initializers.has(name))
      throw new PareError(`two layers are called "${name.replace(/\.[^.]*$/, "")}"`, "usage");
    this.#graph.initializers.set(name, floats(values, dims));
    return name;
  }
  #push(
    op: string,
    inputs: readonly string[],
    name: string,
    dims: readonly number[],
    attributes: Readonly<Record<string, AttributeValue>> = {},
  ): Feature {
    this.#graph.nodes.push(node(op, inputs, [name], attributes));
    return { name, dims };
  }
}
