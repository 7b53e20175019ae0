/** Update rules as ONNX graphs against the same rules in plain double-precision loops, over several steps. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Random } from "../dist/data/random.js";
import type { NDArray } from "../dist/engine/engine.js";
import { ortNode } from "../dist/engine/ort-node.js";
import type { OptimizerOptions } from "../dist/optimizers/rule.js";
import { type UpdateOptions, updateGraph, type WeightDecay } from "../dist/optimizers/update-graph.js";
import { rateAt } from "../dist/train/schedule.js";

const n = 37;
const random = new Random(11);
const draw = (): Float32Array => Float32Array.from({ length: n }, () => random.uniform() * 2 - 1);

interface Setup {
  readonly optimizer: OptimizerOptions;
  readonly weightDecay?: WeightDecay;
  readonly clipNorm?: number;
}

/** Five steps of two gradients each through the graph. */
async function run(
  { optimizer, weightDecay, clipNorm }: Setup,
  start: Float32Array,
  gradients: Float32Array[][],
  rates: number[],
) {
  const options: UpdateOptions = {
    length: n,
    gradients: 2,
    optimizer,
    masked: true,
    ...(weightDecay ? { weightDecay } : {}),
    ...(clipNorm ? { clipNorm } : {}),
  };
  const { graph, rule } = updateGraph(options);
  const session = await ortNode.load(graph);
  const vector = (data: Float32Array): NDArray => ({ type: "float32", dims: [n], data });
  const scalar = (v: number): NDArray => ({ type: "float32", dims: [], data: Float32Array.of(v) });
  let p = start;
  let slots: Float32Array[] = Array.from({ length: rule.slots }, () => new Float32Array(n));
  for (const [t, [g0, g1]] of gradients.entries()) {
    const feeds: Record<string, NDArray> = {
      p: vector(p),
      g0: vector(g0!),
      g1: vector(g1!),
      scale: scalar(0.5),
      mask: vector(mask),
    };
    rule.scalars(t + 1, rates[t]!).forEach((c, i) => {
      feeds[`c${i}`] = scalar(c);
    });
    slots.forEach((s, i) => {
      feeds[`s${i}`] = vector(s);
    });
    if (weightDecay) feeds.decay = vector(decay);
    if (weightDecay?.decoupled) feeds.shrink = scalar(rates[t]! * weightDecay.decoupled);
    const out = await session.run(feeds);
    p = out.p_next!.data as Float32Array;
    slots = slots.map((_, i) => out[`s${i}_next`]!.data as Float32Array);
  }
  await session.release();
  return p;
}

const mask = Float32Array.from({ length: n }, (_, i) => (i % 5 === 0 ? 0 : 1));
const decay = Float32Array.from({ length: n }, (_, i) => (i < 20 ? 1 : 0));

function reference(
  { optimizer: o, weightDecay: w = {}, clipNorm }: Setup,
  start: Float32Array,
  gradients: Float32Array[][],
  rates: number[],
): Float64Array {
  const p = Float64Array.from(start);
  const [a, b] = [new Float64Array(n), new Float64Array(n)];
  gradients.forEach(([g0, g1], step) => {
    const rate = rates[step]!;
    const g = p.map((_, i) => ((g0![i]! + g1![i]!) / 2) * mask[i]!);
    const norm = Math.sqrt(g.reduce((s, v) => s + v * v, 0));
    if (clipNorm && norm > clipNorm) for (let i = 0; i < n; i++) g[i] = (g[i]! * clipNorm) / (norm + 1e-6);
    const old = p.slice();
    for (let i = 0; i < n; i++) {
      if (mask[i] === 0) continue;
      let d = g[i]! + decay[i]! * ((w.l2 ?? 0) * old[i]! + (w.l1 ?? 0) * Math.sign(old[i]!));
      if (o.kind === "sgd") {
        a[i] = (o.momentum ?? 0) * a[i]! + d;
        d = o.nesterov ? d + o.momentum! * a[i]! : a[i]!;
      } else if (o.kind === "rmsprop") {
        const q = o.decay ?? 0.99;
        a[i] = q * a[i]! + (1 - q) * d * d;
        b[i] = (o.momentum ?? 0) * b[i]! + d / (Math.sqrt(a[i]!) + (o.epsilon ?? 1e-8));
        d = b[i]!;
      } else {
        const [b1, b2] = [o.beta1 ?? 0.9, o.beta2 ?? 0.999];
        a[i] = b1 * a[i]! + (1 - b1) * d;
        b[i] = b2 * b[i]! + (1 - b2) * d * d;
        d = a[i]! / (1 - b1 ** (step + 1)) / (Math.sqrt(b[i]! / (1 - b2 ** (step + 1))) + (o.epsilon ?? 1e-8));
      }
      p[i] = old[i]! - rate * d - rate * (w.decoupled ?? 0) * decay[i]! * old[i]!;
    }
  });
  return p;
}

const setups: Setup[] = [
  { optimizer: { kind: "sgd" } },
  { optimizer: { kind: "sgd", momentum: 0.9 } },
  { optimizer: { kind: "sgd", momentum: 0.9, nesterov: true }, weightDecay: { l2: 0.1 } },
  { optimizer: { kind: "sgd", momentum: 0.5 }, weightDecay: { l1: 0.05 }, clipNorm: 0.7 },
  { optimizer: { kind: "sgd" }, clipNorm: 1e9 },
  { optimizer: { kind: "adam" } },
  { optimizer: { kind: "adam", beta1: 0.8, beta2: 0.9, epsilon: 1e-3 }, weightDecay: { l1: 0.02, l2: 0.1 } },
  { optimizer: { kind: "adamw" }, weightDecay: { decoupled: 0.3 }, clipNorm: 0.5 },
  { optimizer: { kind: "rmsprop" } },
  {
    optimizer: { kind: "rmsprop", decay: 0.8, momentum: 0.9, epsilon: 1e-3 },
    weightDecay: { l2: 0.1, decoupled: 0.1 },
  },
];
for (const setup of setups)
  test(`${JSON.stringify(setup)}`, async () => {
    const start = draw();
    start.forEach((_, i) => {
      if (mask[i] === 0) start[i] = 0;
    });
    const gradients = Array.from({ length: 5 }, () => [draw(), draw()]);
    const rates = [0.1, 0.1, 0.05, 0.2, 0.01];
    const found = await run(setup, start, gradients, rates);
    reference(setup, start, gradients, rates).forEach((v, i) => {
      assert.ok(Math.abs(found[i]! - v) <= 2e-5 * Math.max(1, Math.abs(v)), `[${i}] ${found[i]} should be ${v}`);
      if (mask[i] === 0) assert.ok(Object.is(found[i], 0));
    });
  });

test("schedules", () => {
  const close = (a: number, b: number): void => assert.ok(Math.abs(a - b) < 1e-12, `${a} should be ${b}`);
  close(rateAt(0.3, 7, 10), 0.3);
  close(rateAt({ kind: "linear", rate: 1 }, 0, 10), 1);
  close(rateAt({ kind: "linear", rate: 1, end: 0.5 }, 5, 10), 0.75);
  close(rateAt({ kind: "cosine", rate: 1 }, 5, 10), 0.5);
  close(rateAt({ kind: "cosine", rate: 1, end: 0.2 }, 10, 10), 0.2);
  close(rateAt({ kind: "cosine", rate: 1, warmupSteps: 4 }, 1, 10), 0.5);
  close(rateAt({ kind: "cosine", rate: 1, warmupSteps: 4 }, 4, 10), 1);
  close(rateAt({ kind: "constant", rate: 1, warmupSteps: 4 }, 9, 10), 1);
  const steps = { kind: "steps", rate: 1, milestones: [3, 6], gamma: 0.1 } as const;
  [1, 1, 1, 0.1, 0.1, 0.1, 0.01].forEach((v, step) => {
    close(rateAt(steps, step, 10), v);
  });
  assert.throws(() => rateAt(-1, 0, 1), /learning rate -1/);
});
