/** The built-in networks: a name and a seed enter, an untrained graph leaves. Input "x" [n, c, h, w] of 0..1 pixels, output "logits" [n, classes]. */
import { PareError } from "../../graph/error.js";
import type { Graph } from "../../graph/graph.js";
import { type Feature, NetworkBuilder } from "./builder.js";

export interface NetworkOptions {
  /** Of the initial weights; 0 unless said. */
  readonly seed?: number;
  /** Ratio of Dropout nodes after the hidden dense layers of the LeNets and cnn-small; no such nodes where it is 0 or left out. */
  readonly dropout?: number;
}
type Build = (options: { readonly seed: number; readonly dropout: number }) => Graph;

/** LeCun et al. 1998, table of fully connected nets; 266,610 parameters, 266,200 MACs. Pixels go in as they are: background stays 0. */
const lenet300: Build = ({ seed, dropout }) => {
  const b = new NetworkBuilder("lenet-300-100", seed);
  const drop = (x: Feature, name: string): Feature => (dropout ? b.dropout(x, name, dropout) : x);
  let x = b.flatten(b.input("x", [1, 28, 28]));
  x = drop(b.relu(b.dense(x, "fc1", 300), "relu1"), "dropout1");
  x = drop(b.relu(b.dense(x, "fc2", 100), "relu2"), "dropout2");
  return b.finish(b.dense(x, "fc3", 10, { init: "glorot" }), "logits");
};

/** Caffe's LeNet (20-50-500-10; no activation after the convolutions, as there); 431,080 parameters, 2,293,000 MACs. */
const lenet5: Build = ({ seed, dropout }) => {
  const b = new NetworkBuilder("lenet-5", seed);
  let x = b.input("x", [1, 28, 28]);
  x = b.maxPool(b.conv(x, "conv1", 20, 5, { init: "glorot" }), "pool1", 2);
  x = b.maxPool(b.conv(x, "conv2", 50, 5, { init: "glorot" }), "pool2", 2);
  x = b.relu(b.dense(b.flatten(x), "fc1", 500), "relu1");
  if (dropout) x = b.dropout(x, "dropout1", dropout);
  return b.finish(b.dense(x, "fc2", 10, { init: "glorot" }), "logits");
};

const networks: Readonly<Record<string, Build>> = { "lenet-300-100": lenet300, "lenet-5": lenet5 };
export const networkNames: readonly string[] = Object.keys(networks);

/** A built-in network with fresh weights. The same seed gives the same bytes everywhere. Throws (usage) for a name that is none. */
export function network(name: string, options: NetworkOptions = {}): Graph {
  const build = Object.hasOwn(networks, name) ? networks[name] : undefined;
  if (!build) throw new PareError(`network "${name}": there are ${networkNames.join(", ")}`, "usage");
  return build({ seed: options.seed ?? 0, dropout: options.dropout ?? 0 });
}
