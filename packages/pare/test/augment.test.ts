/** Shifts and flips against plain indexing; dropout as training sees it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { fromArrays } from "../dist/data/from-table.js";
import { Random } from "../dist/data/random.js";
import { draft } from "../dist/graph/graph.js";
import { floats } from "../dist/graph/tensor.js";
import { NetworkBuilder } from "../dist/methods/architecture/builder.js";
import { augment } from "../dist/train/augment.js";
import { train } from "../dist/train/train.js";

test("every image is one of its shifted or flipped selves, all of them occur, and a seed repeats them", () => {
  const [c, h, w] = [2, 4, 5];
  const image = Float32Array.from({ length: c * h * w }, (_, i) => i + 1);
  const selves = new Map<string, string>();
  for (const dy of [-1, 0, 1])
    for (const dx of [-1, 0, 1])
      for (const flip of [false, true]) {
        const self = image.map((_, i) => {
          const [k, y, x] = [Math.floor(i / (h * w)), Math.floor(i / w) % h, i % w];
          const [from, at] = [y - dy, x - dx];
          if (from < 0 || from >= h || at < 0 || at >= w) return -1;
          return image[(k * h + from) * w + (flip ? w - 1 - at : at)]!;
        });
        selves.set(String(self), `${dy} ${dx} ${flip}`);
      }
  assert.equal(selves.size, 18);
  const n = 400;
  const run = (seed: number): Float32Array => {
    const images = new Float32Array(n * image.length);
    for (let i = 0; i < n; i++) images.set(image, i * image.length);
    augment(images, [n, c, h, w], { shift: 1, flip: true, padValue: -1 }, new Random(seed));
    return images;
  };
  const images = run(1);
  const seen = new Set<string>();
  for (let i = 0; i < n; i++) {
    const self = selves.get(String(images.subarray(i * image.length, (i + 1) * image.length)));
    assert.ok(self, `image ${i} is no shifted or flipped self`);
    seen.add(self);
  }
  assert.equal(seen.size, 18);
  assert.deepEqual(run(1), images);
  assert.notDeepEqual(run(2), images);
});

test("a crop is a window of the image, spread over the whole: a ramp keeps its slope times the window's side", () => {
  const [n, h, w] = [200, 8, 10];
  const ramp = Float32Array.from({ length: n * h * w }, (_, i) => 3 * (Math.floor(i / w) % h) + (i % w));
  const images = ramp.slice();
  augment(images, [n, 1, h, w], { crop: 0.5 }, new Random(7));
  const sides: number[] = [];
  for (let i = 0; i < n; i++) {
    const at = (y: number, x: number) => images[(i * h + y) * w + x]!;
    // In the middle no tap is clamped.
    const [down, right] = [at(5, 5) - at(4, 5), at(4, 6) - at(4, 5)];
    assert.ok(Math.abs(down - 3 * right) < 1e-4, `image ${i}: the window is no rectangle of the image's form`);
    assert.ok(at(0, 0) >= 0 && at(h - 1, w - 1) <= 3 * (h - 1) + w - 1);
    sides.push(right);
  }
  assert.ok(Math.min(...sides) >= 0.5 - 1e-4 && Math.max(...sides) <= 1 + 1e-4);
  assert.ok(Math.min(...sides) < 0.55 && Math.max(...sides) > 0.95);
  const whole = ramp.slice();
  augment(whole, [n, 1, h, w], { crop: 1 }, new Random(7));
  assert.deepEqual(whole, ramp);
});

test("dropout leaves the mean and has the variance r / (1 - r) of its ratio", async () => {
  // y is the mean of 1000 dropped ones, the target 1: the loss is the variance of that mean.
  const features = 1000;
  const b = new NetworkBuilder("mean", 1);
  const graph = draft(b.finish(b.dense(b.dropout(b.input("x", [features]), "drop", 0.5), "mean", 1), "y"));
  graph.initializers.set("mean.weight", floats(new Float32Array(features).fill(1 / features), [features, 1]));
  const samples = 2048;
  const ones = {
    x: new Float32Array(samples * features).fill(1),
    dims: [features],
    targets: new Float32Array(samples).fill(1),
    targetDims: [1],
  };
  const data = fromArrays({ name: "ones", ...ones });
  const still = { data, loss: "mse", epochs: 1, batchSize: samples, microBatch: 256, learningRate: 0 } as const;
  for (const ratio of [0.1, 0.5, 0.8]) {
    const { history } = await train(graph, { ...still, ...(ratio === 0.5 ? {} : { dropout: { drop: ratio } }) });
    const wanted = ratio / (1 - ratio) / features;
    assert.ok(Math.abs(history[0]!.loss / wanted - 1) < 0.15, `ratio ${ratio}: ${history[0]!.loss}, wanted ${wanted}`);
  }
});
