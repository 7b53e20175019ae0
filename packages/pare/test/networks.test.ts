/** The built-in networks: exact counts, seeded bytes, readable names, and the same function in onnxruntime as said here. */
import assert from "node:assert/strict";
import { test } from "node:test";
import * as ort from "onnxruntime-node";
import { Random } from "../dist/data/random.js";
import { toBytes } from "../dist/graph/encode.js";
import type { Graph } from "../dist/graph/graph.js";
import { float32sOf, sizeOf } from "../dist/graph/tensor.js";
import { network, networkNames } from "../dist/methods/architecture/networks.js";

/** Trained numbers: weights, biases, scales and shifts (not running statistics, not constants of the graph). */
const parameters = (graph: Graph): number =>
  [...graph.initializers].reduce((sum, [name, t]) => sum + (/\.(weight|bias)$/.test(name) ? sizeOf(t.dims) : 0), 0);

test("parameter counts are the published ones", () => {
  const counts = Object.fromEntries(networkNames.map((name) => [name, parameters(network(name))]));
  assert.deepEqual(counts, {
    "lenet-300-100": 266_610,
    "lenet-5": 431_080,
    "cnn-small": 206_922,
    "resnet-20": 269_722,
    depthwise: 31_211,
  });
});

test("the same seed gives the same bytes, another seed others", () => {
  for (const name of networkNames) {
    const [a, b, c] = [network(name, { seed: 3 }), network(name, { seed: 3 }), network(name, { seed: 4 })];
    assert.deepEqual(a, b);
    assert.notDeepEqual(a.initializers, c.initializers);
  }
});

test("weights are uniform within the bound of their initialisation", () => {
  const w = float32sOf(network("lenet-300-100", { seed: 1 }).initializers.get("fc1.weight")!);
  const bound = Math.sqrt(6 / 784);
  const variance = w.reduce((s, v) => s + v * v, 0) / w.length;
  assert.ok(w.every((v) => Math.abs(v) <= bound));
  assert.ok(Math.abs(variance / (bound ** 2 / 3) - 1) < 0.01);
});

test("dropout nodes appear where asked for", () => {
  const drops = (name: string, dropout: number): string[] =>
    network(name, { dropout })
      .nodes.filter((n) => n.op === "Dropout")
      .map((n) => n.name);
  assert.deepEqual(drops("lenet-300-100", 0.5), ["dropout1", "dropout2"]);
  assert.deepEqual(drops("lenet-5", 0.5), ["dropout1"]);
  assert.deepEqual(drops("lenet-5", 0), []);
  assert.throws(() => network("lenet-5", { dropout: 1 }), /dropout ratio 1/);
  assert.throws(
    () => network("lenet-6"),
    /"lenet-6": there are lenet-300-100, lenet-5, cnn-small, resnet-20, depthwise/,
  );
});

/** A second, plain writing of the networks' arithmetic in float64, one sample at a time; it counts its own multiplications. */
class Reference {
  macs = 0;
  constructor(readonly graph: Graph) {}
  get(name: string): { dims: readonly number[]; v: Float32Array } {
    const t = this.graph.initializers.get(name);
    assert.ok(t, name);
    return { dims: t.dims, v: float32sOf(t) };
  }
  dense(x: Map3, name: string): Map3 {
    const { dims, v } = this.get(`${name}.weight`);
    const bias = this.get(`${name}.bias`).v;
    const [c, o] = dims as [number, number];
    assert.equal(x.v.length, c);
    const out = Array.from({ length: o }, (_, j) => x.v.reduce((s, xi, i) => s + xi * v[i * o + j]!, bias[j]!));
    this.macs += c * o;
    return { c: o, h: 1, w: 1, v: out };
  }
  conv(x: Map3, name: string, { stride = 1, pad = 0 } = {}): Map3 {
    const { dims, v } = this.get(`${name}.weight`);
    const bias = this.graph.initializers.has(`${name}.bias`) ? this.get(`${name}.bias`).v : null;
    const [o, i, k] = dims as [number, number, number];
    const perGroup = o / (x.c / i);
    const [h, w] = [x.h, x.w].map((s) => Math.floor((s + 2 * pad - k) / stride) + 1) as [number, number];
    const out = new Array<number>(o * h * w);
    for (let oc = 0; oc < o; oc++)
      for (let y = 0; y < h; y++)
        for (let z = 0; z < w; z++) {
          let sum = bias?.[oc] ?? 0;
          for (let ic = 0; ic < i; ic++)
            for (let a = 0; a < k; a++)
              for (let b = 0; b < k; b++) {
                const [r, q] = [y * stride + a - pad, z * stride + b - pad];
                if (r < 0 || q < 0 || r >= x.h || q >= x.w) continue;
                sum +=
                  v[((oc * i + ic) * k + a) * k + b]! *
                  x.v[((Math.floor(oc / perGroup) * i + ic) * x.h + r) * x.w + q]!;
              }
          out[(oc * h + y) * w + z] = sum;
        }
    this.macs += o * h * w * i * k * k;
    return { c: o, h, w, v: out };
  }
  bn(x: Map3, name: string): Map3 {
    const [s, b, m, r] = ["weight", "bias", "running_mean", "running_var"].map((p) => this.get(`${name}.${p}`).v);
    const hw = x.h * x.w;
    const at = (i: number): number => Math.floor(i / hw);
    return { ...x, v: x.v.map((u, i) => ((u - m![at(i)]!) / Math.sqrt(r![at(i)]! + 1e-5)) * s![at(i)]! + b![at(i)]!) };
  }
}
interface Map3 {
  readonly c: number;
  readonly h: number;
  readonly w: number;
  readonly v: number[];
}
const relu = (x: Map3): Map3 => ({ ...x, v: x.v.map((u) => Math.max(u, 0)) });
const grid = (c: number, h: number, w: number, f: (c: number, y: number, z: number) => number): Map3 => ({
  c,
  h,
  w,
  v: Array.from({ length: c * h * w }, (_, i) => f(Math.floor(i / h / w), Math.floor(i / w) % h, i % w)),
});
const at = (x: Map3, c: number, y: number, z: number): number => x.v[(c * x.h + y) * x.w + z] ?? 0;
const pool = (x: Map3): Map3 =>
  grid(x.c, x.h / 2, x.w / 2, (c, y, z) =>
    Math.max(...[0, 1].flatMap((a) => [0, 1].map((b) => at(x, c, 2 * y + a, 2 * z + b)))),
  );
const mean = (x: Map3): Map3 =>
  grid(x.c, 1, 1, (c) => x.v.slice(c * x.h * x.w, (c + 1) * x.h * x.w).reduce((s, u) => s + u, 0) / x.h / x.w);
const cifar = (x: Map3): Map3 =>
  grid(3, 32, 32, (c, y, z) => (at(x, c, y, z) - [0.4914, 0.4822, 0.4465][c]!) / [0.247, 0.2435, 0.2616][c]!);

const references: Record<string, { macs: number; run: (r: Reference, x: Map3) => Map3 }> = {
  "lenet-300-100": {
    macs: 266_200,
    run: (r, x) => r.dense(relu(r.dense(relu(r.dense(x, "fc1")), "fc2")), "fc3"),
  },
  "lenet-5": {
    macs: 2_293_000,
    run: (r, x) => r.dense(relu(r.dense(pool(r.conv(pool(r.conv(x, "conv1")), "conv2")), "fc1")), "fc2"),
  },
  "cnn-small": {
    macs: 1_218_048,
    run: (r, x) => {
      const y = pool(relu(r.conv(x, "conv1", { pad: 1 })));
      return r.dense(relu(r.dense(pool(relu(r.conv(y, "conv2", { pad: 1 }))), "fc1")), "fc2");
    },
  },
  "resnet-20": {
    macs: 40_551_040,
    run: (r, input) => {
      let x = relu(r.bn(r.conv(cifar(input), "conv1", { pad: 1 }), "bn1"));
      for (const stage of [1, 2, 3])
        for (const block of [0, 1, 2]) {
          const n = `layer${stage}.${block}`;
          const stride = stage > 1 && block === 0 ? 2 : 1;
          const y = relu(r.bn(r.conv(x, `${n}.conv1`, { stride, pad: 1 }), `${n}.bn1`));
          const z = r.bn(r.conv(y, `${n}.conv2`, { pad: 1 }), `${n}.bn2`);
          const [from, before] = [x, (z.c - x.c) / 2];
          const short = (c: number, a: number, b: number): number =>
            c < before || c >= before + from.c ? 0 : at(from, c - before, a * stride, b * stride);
          x = relu(grid(z.c, z.h, z.w, (c, a, b) => at(z, c, a, b) + short(c, a, b)));
        }
      return r.dense(mean(x), "fc");
    },
  },
  depthwise: {
    macs: 2_408_704,
    run: (r, input) => {
      let x = cifar(input);
      for (const [i, stride] of [1, 2, 2, 1].entries()) {
        x = relu(r.bn(r.conv(x, `block${i + 1}.depthwise`, { stride, pad: 1 }), `block${i + 1}.bn1`));
        x = relu(r.bn(r.conv(x, `block${i + 1}.pointwise`), `block${i + 1}.bn2`));
      }
      return r.dense(mean(x), "fc");
    },
  },
};

test("onnxruntime computes the network that is described, with the stated multiplications", async () => {
  assert.deepEqual(Object.keys(references), [...networkNames]);
  for (const [name, { macs, run }] of Object.entries(references)) {
    const graph = network(name, { seed: 5, dropout: 0.5 });
    const [input] = graph.inputs;
    const [c, h, w] = input!.shape!.slice(1) as [number, number, number];
    const random = new Random(9);
    const size = c * h * w;
    const x = Float32Array.from({ length: 2 * size }, () => random.uniform());
    const session = await ort.InferenceSession.create(toBytes(graph));
    const { logits } = await session.run({ x: new ort.Tensor("float32", x, [2, c, h, w]) });
    await session.release();
    assert.deepEqual(logits!.dims, [2, 10]);
    const got = logits!.data as Float32Array;
    const r = new Reference(graph);
    const want = run(r, { c, h, w, v: [...x.subarray(size)] }).v;
    assert.equal(r.macs, macs, `${name}: ${r.macs} MACs`);
    const scale = Math.max(...want.map(Math.abs));
    want.forEach((v, i) => {
      assert.ok(Math.abs(v - got[10 + i]!) < 2e-5 * scale, `${name}: logit ${i} is ${got[10 + i]}, reference ${v}`);
    });
  }
});

test("normalisation is part of the graph: pixels in, the same logits as for normalised data without it", async () => {
  const run = async (graph: Graph, x: Float32Array): Promise<Float32Array> => {
    const session = await ort.InferenceSession.create(toBytes(graph));
    const { logits } = await session.run({
      x: new ort.Tensor("float32", x, [1, ...graph.inputs[0]!.shape!.slice(1)] as number[]),
    });
    await session.release();
    return logits!.data as Float32Array;
  };
  const random = new Random(2);
  for (const [name, mean, std] of [
    ["lenet-5", [0.1307], [0.3081]],
    ["resnet-20", [0.5, 0.4, 0.3], [0.2, 0.3, 0.4]],
  ] as const) {
    const channels = mean.length;
    const x = Float32Array.from({ length: channels * (channels === 1 ? 784 : 1024) }, () => random.uniform());
    const at = (i: number): number => Math.floor((i * channels) / x.length);
    const inside = await run(network(name, { normalize: { mean, std } }), x);
    const outside = await run(
      network(name, { normalize: null }),
      x.map((v, i) => (v - mean[at(i)]!) / std[at(i)]!),
    );
    inside.forEach((v, i) => {
      assert.ok(Math.abs(v - outside[i]!) < 1e-4, `${name}: ${v} and ${outside[i]}`);
    });
    assert.ok(inside.some((v) => Math.abs(v) > 1e-2));
  }
  assert.throws(() => network("resnet-20", { normalize: { mean: [0, 0], std: [1, 1] } }), /2 means/);
});
