/** Data against a model's inputs. */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import * as ort from "onnxruntime-node";
import { fit } from "../dist/data/fit.js";
import { fromArrays } from "../dist/data/from-table.js";
import { open } from "../dist/data/open.js";
import { fromBytes } from "../dist/graph/decode.js";
import { PareError } from "../dist/graph/error.js";
import { type ElementType, feeds, type Shape, type Value } from "../dist/graph/graph.js";
import { fixedBatch } from "../dist/passes/rebatch.js";

const input = (shape: Shape | null, name = "x", type: ElementType = "float32"): Value => ({ name, type, shape });
const samples = (dims: readonly number[], n = 2) =>
  fromArrays({
    name: "data",
    dims,
    x: Float32Array.from({ length: n * dims.reduce((p, d) => p * d, 1) }, (_, i) => i),
  });
const refuses = (f: () => unknown, pattern: RegExp): void => {
  assert.throws(f, (e: unknown) => e instanceof PareError && pattern.test(e.message), String(pattern));
};

test("fit names, reshapes and turns samples where that is safe", () => {
  const one = (dims: readonly number[], shape: Shape | null) =>
    fit(samples(dims), [input(shape)]).batch([1]).inputs[0]!;
  assert.deepEqual(fit(samples([1, 2, 2]), [input(["n", 1, 2, 2])]).fields, [
    { name: "x", type: "float32", dims: [1, 2, 2] },
  ]);
  assert.deepEqual(one([1, 2, 2], ["n", 4]), { type: "float32", dims: [1, 4], data: Float32Array.of(4, 5, 6, 7) });
  assert.deepEqual(one([4], ["n", 1, 2, 2]).dims, [1, 1, 2, 2]);
  assert.deepEqual(one([1, 2, 2], ["n", 2, 2]).dims, [1, 2, 2]);
  assert.deepEqual(one([2, 2], [1, 1, 2, 2]).dims, [1, 1, 2, 2]);
  assert.deepEqual(one([3, 5, 6], ["n", 3, "h", "w"]).dims, [1, 3, 5, 6]);
  assert.deepEqual(one([3, 5, 6], ["", "", "", ""]).dims, [1, 3, 5, 6]);
  assert.deepEqual(one([2, 2], ["n", "features"]).dims, [1, 4]);
  assert.deepEqual(one([2, 2], null).dims, [1, 2, 2]);
  const turned = fit(samples([3, 2, 2].map((d, i) => (i ? d * 3 : d))), [input(["n", 6, 6, 3])]);
  const x = turned.batch([0, 1]).inputs[0]!;
  assert.deepEqual(x.dims, [2, 6, 6, 3]);
  assert.deepEqual(
    [...(x.data as Float32Array).subarray(0, 4), (x.data as Float32Array)[108 + 5]],
    [0, 36, 72, 1, 108 + 73],
  );
});

test("what does not fit is refused by input name, both shapes and a way out", () => {
  const no = (dims: readonly number[], shape: Shape, pattern: RegExp): void => {
    refuses(() => fit(samples(dims), [input(shape)]), pattern);
  };
  no(
    [1, 28, 28],
    ["n", 3, 28, 28],
    /input "x" wants \[n,3,28,28\], data holds samples of \[1,28,28\].*1 channel per pixel, the model wants 3/,
  );
  no([1, 28, 28], ["n", 1, 32, 32], /must have 32 x 32 pixels: resize/);
  no([32, 32, 3], ["n", 3, 32, 32], /channels last: say so with --layout nhwc/);
  no([1, 28, 28], ["n", 100], /a sample holds 784 values, the input takes 100/);
  no([784], [784], /no batch axis/);
  no([2, 6], ["n", 3, 4], /a sample holds 12 values|reshape/);
  no([2, 6], ["n", "t", 4], /input "x" wants \[n,t,4\]/);
  refuses(() => fit(samples([2]), []), /no inputs/);
  refuses(() => fit(samples([2]), [input(["n", 2], "a"), input(["n", 2], "b")]), /\(unnamed\).*is no input.*a, b/);
  refuses(() => fit(samples([2]), [input(["n", 2], "x", "string")]), /takes string/);
});

test("several inputs go by name", () => {
  const two = fromArrays({
    name: "pair",
    x: { mask: { data: Float32Array.of(1, 2), dims: [1] }, ids: { data: BigInt64Array.of(3n, 4n), dims: [] } },
  });
  const d = fit(two, [input(["n"], "ids", "int32"), input(["n", 1], "mask")]);
  assert.deepEqual(
    d.fields.map((f) => f.name),
    ["ids", "mask"],
  );
  assert.deepEqual(d.batch([1]).inputs, [
    { type: "int32", dims: [1], data: Int32Array.of(4) },
    { type: "float32", dims: [1, 1], data: Float32Array.of(2) },
  ]);
  refuses(
    () => fit(two, [input(["n"], "ids"), input(["n", 1], "mask"), input(["n"], "more")]),
    /input "more" of the model has no data: pair holds mask, ids/,
  );
  refuses(
    () => fit(two, [input(["n"], "ids"), input(["n", 1], "other")]),
    /"mask" is no input of the model, whose inputs are ids, other/,
  );
});

test("element types are converted where nothing is lost", () => {
  const cast = (type: ElementType, x: Float32Array) =>
    fit(fromArrays({ x, dims: [x.length] }), [input(["n", x.length], "x", type)]).batch([0]).inputs[0]!.data;
  assert.deepEqual(cast("int64", Float32Array.of(1, -2)), BigInt64Array.of(1n, -2n));
  assert.deepEqual(cast("uint8", Float32Array.of(1, 255)), Uint8Array.of(1, 255));
  assert.deepEqual(cast("float16", Float32Array.of(1, -4)), Uint16Array.of(0x3c00, 0xc400));
  assert.deepEqual(cast("float64", Float32Array.of(0.5)), Float64Array.of(0.5));
  refuses(() => cast("int64", Float32Array.of(0.5)), /takes int64, arrays holds 0\.5/);
  refuses(() => cast("uint8", Float32Array.of(256)), /takes uint8, arrays holds 256/);
});

test("real models reach their published accuracy on data read here", async (t) => {
  const models = fileURLToPath(new URL("../../../../shared/data/models", import.meta.url));
  if (!existsSync(models)) return t.skip("needs ../shared/data");
  const accuracy = async (model: string, spec: string, limit: number, normalize?: string): Promise<number> => {
    const bytes = readFileSync(`${models}/${model}`);
    const graph = fromBytes(bytes);
    const session = await ort.InferenceSession.create(bytes);
    const inputs = feeds(graph);
    const data = fit(await open(spec, { split: "test", limit, ...(normalize ? { normalize } : {}) }), inputs);
    const step = fixedBatch(graph) ?? 100;
    let right = 0;
    for (let at = 0; at < data.length; at += step) {
      const { inputs: x, labels } = data.batch(Array.from({ length: step }, (_, i) => at + i));
      const out = await session.run({
        [data.fields[0]!.name!]: new ort.Tensor("float32", x[0]!.data as Float32Array, x[0]!.dims),
      });
      const scores = out[session.outputNames[0]!]!.data as Float32Array;
      for (let i = 0; i < step; i++) {
        const row = scores.subarray(i * 10, i * 10 + 10);
        if (row.indexOf(Math.max(...row)) === labels![i]) right++;
      }
    }
    await session.release();
    return right / data.length;
  };
  const cifar = fileURLToPath(new URL("../../../../shared/data/cifar10", import.meta.url));
  const resnet = await accuracy("resnet20-cifar.onnx", cifar, 1000, "0.4914,0.4822,0.4465/0.247,0.2435,0.2616");
  assert.ok(Math.abs(resnet - 0.9202) < 0.03, `resnet20: ${resnet}`);
  const mnist = await accuracy("mnist_burn.onnx", "mnist", 1000, "0.1307/0.3081");
  assert.ok(mnist > 0.98, `mnist_burn: ${mnist}`);
});
