/** The built-in networks: a name and a seed enter, an untrained graph leaves. Input "x" [n, c, h, w] of 0..1 pixels, output "logits" [n, classes]. */
import { checkedNormalization, type Normalization } from "../../data/normalize.js";
import { PareError } from "../../graph/error.js";
import type { Graph } from "../../graph/graph.js";
import { type Feature, NetworkBuilder } from "./builder.js";

export interface NetworkOptions {
  /** Of the initial weights; 0 unless said. */
  readonly seed?: number;
  /** Ratio of Dropout nodes after the hidden dense layers of the LeNets and cnn-small; no such nodes where it is 0 or left out. */
  readonly dropout?: number;
  /** (x - mean) / std of the pixels, as the graph's first nodes; null: none. CIFAR-10's statistics for its networks, none for MNIST's, whose background so stays 0 and its weights idle. */
  readonly normalize?: Normalization | null;
}
type Build = (options: {
  readonly seed: number;
  readonly dropout: number;
  /** The network's input of these dims, normalised. */
  readonly input: (b: NetworkBuilder, dims: readonly number[], usual?: Normalization) => Feature;
}) => Graph;

/** LeCun et al. 1998, table of fully connected nets; 266,610 parameters, 266,200 MACs. Pixels go in as they are: background stays 0. */
const lenet300: Build = ({ seed, dropout, input }) => {
  const b = new NetworkBuilder("lenet-300-100", seed);
  const drop = (x: Feature, name: string): Feature => (dropout ? b.dropout(x, name, dropout) : x);
  let x = b.flatten(input(b, [1, 28, 28]));
  x = drop(b.relu(b.dense(x, "fc1", 300), "relu1"), "dropout1");
  x = drop(b.relu(b.dense(x, "fc2", 100), "relu2"), "dropout2");
  return b.finish(b.dense(x, "fc3", 10, { init: "glorot" }), "logits");
};

/** Caffe's LeNet (20-50-500-10; no activation after the convolutions, as there); 431,080 parameters, 2,293,000 MACs. */
const lenet5: Build = ({ seed, dropout, input }) => {
  const b = new NetworkBuilder("lenet-5", seed);
  let x = input(b, [1, 28, 28]);
  x = b.maxPool(b.conv(x, "conv1", 20, 5, { init: "glorot" }), "pool1", 2);
  x = b.maxPool(b.conv(x, "conv2", 50, 5, { init: "glorot" }), "pool2", 2);
  x = b.relu(b.dense(b.flatten(x), "fc1", 500), "relu1");
  if (dropout) x = b.dropout(x, "dropout1", dropout);
  return b.finish(b.dense(x, "fc2", 10, { init: "glorot" }), "logits");
};

/** Two 3x3 convolutions and two dense layers on 28 x 28 pixels. */
const cnnSmall: Build = ({ seed, dropout, input }) => {
  const b = new NetworkBuilder("cnn-small", seed);
  let x = input(b, [1, 28, 28]);
  x = b.maxPool(b.relu(b.conv(x, "conv1", 16, 3, { pad: 1 }), "relu1"), "pool1", 2);
  x = b.maxPool(b.relu(b.conv(x, "conv2", 32, 3, { pad: 1 }), "relu2"), "pool2", 2);
  x = b.relu(b.dense(b.flatten(x), "fc1", 128), "relu3");
  if (dropout) x = b.dropout(x, "dropout1", dropout);
  return b.finish(b.dense(x, "fc2", 10, { init: "glorot" }), "logits");
};

/** Channel statistics of CIFAR-10's training images. */
const cifar10 = { mean: [0.4914, 0.4822, 0.4465], std: [0.247, 0.2435, 0.2616] };

/** He, Zhang, Ren, Sun 2015, section 4.2 with n = 3 and shortcuts of option A; 269,722 parameters. */
const resnet20: Build = ({ seed, input }) => {
  const b = new NetworkBuilder("resnet-20", seed);
  const convBn = (x: Feature, name: string, bn: string, channels: number, stride: number): Feature =>
    b.batchNorm(b.conv(x, name, channels, 3, { stride, pad: 1, bias: false }), bn);
  let x = input(b, [3, 32, 32], cifar10);
  x = b.relu(convBn(x, "conv1", "bn1", 16, 1), "relu1");
  for (const [stage, channels] of [16, 32, 64].entries()) {
    for (let block = 0; block < 3; block++) {
      const at = `layer${stage + 1}.${block}`;
      const stride = stage > 0 && block === 0 ? 2 : 1;
      const y = b.relu(convBn(x, `${at}.conv1`, `${at}.bn1`, channels, stride), `${at}.relu1`);
      const z = convBn(y, `${at}.conv2`, `${at}.bn2`, channels, 1);
      const short = stride === 1 ? x : b.shortcut(x, `${at}.shortcut`, channels, stride);
      x = b.relu(b.add(z, short, `${at}.add`), `${at}.relu2`);
    }
  }
  x = b.flatten(b.globalAveragePool(x, "pool"));
  return b.finish(b.dense(x, "fc", 10, { init: "glorot" }), "logits");
};

/** Four depthwise-separable blocks (Howard et al. 2017) on 32 x 32 pixels: 3x3 per channel, then 1x1, each with BatchNormalization and ReLU. */
const depthwise: Build = ({ seed, input }) => {
  const b = new NetworkBuilder("depthwise", seed);
  let x = input(b, [3, 32, 32], cifar10);
  const blocks = [
    [32, 1],
    [64, 2],
    [128, 2],
    [128, 1],
  ] as const;
  for (const [i, [channels, stride]] of blocks.entries()) {
    const at = `block${i + 1}`;
    x = b.depthwise(x, `${at}.depthwise`, 3, { stride, pad: 1, bias: false });
    x = b.relu(b.batchNorm(x, `${at}.bn1`), `${at}.relu1`);
    x = b.conv(x, `${at}.pointwise`, channels, 1, { bias: false });
    x = b.relu(b.batchNorm(x, `${at}.bn2`), `${at}.relu2`);
  }
  x = b.flatten(b.globalAveragePool(x, "pool"));
  return b.finish(b.dense(x, "fc", 10, { init: "glorot" }), "logits");
};

const networks: Readonly<Record<string, Build>> = {
  "lenet-300-100": lenet300,
  "lenet-5": lenet5,
  "cnn-small": cnnSmall,
  "resnet-20": resnet20,
  depthwise,
};
export const networkNames: readonly string[] = Object.keys(networks);

/** A built-in network with fresh weights. The same seed gives the same bytes everywhere. Throws (usage) for a name that is none. */
export function network(name: string, options: NetworkOptions = {}): Graph {
  const build = Object.hasOwn(networks, name) ? networks[name] : undefined;
  if (!build) throw new PareError(`network "${name}": there are ${networkNames.join(", ")}`, "usage");
  return build({
    seed: options.seed ?? 0,
    dropout: options.dropout ?? 0,
    input(b, dims, usual) {
      const normalization = options.normalize === undefined ? usual : options.normalize;
      const x = b.input("x", dims);
      return normalization ? b.normalize(x, checkedNormalization(normalization)) : x;
    },
  });
}
