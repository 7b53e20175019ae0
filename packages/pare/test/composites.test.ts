/** Composite operators, lowered to plain ONNX: adjoint identities, references in double precision, and gradients of gradients. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { infer } from "../dist/analyze/infer.js";
import { Random } from "../dist/data/random.js";
import { ortNode } from "../dist/engine/ort-node.js";
import { type AttributeValue, Emitter } from "../dist/graph/emit.js";
import { type Draft, draft, emptyGraph, type Graph } from "../dist/graph/graph.js";
import { floats, sizeOf } from "../dist/graph/tensor.js";
import { recordOf } from "../dist/ops/registry.js";
import { siteOf } from "../dist/ops/site.js";

interface Array2 {
  readonly dims: readonly number[];
  readonly data: Float32Array;
}
const random = new Random(7);
const normal = (dims: readonly number[]): Array2 => ({
  dims,
  data: Float32Array.from({ length: sizeOf(dims) }, () => random.uniform() * 2 - 1),
});
const dot = (a: Array2, b: Array2): number => {
  assert.deepEqual(a.dims, b.dims);
  return a.data.reduce((sum, v, i) => sum + v * b.data[i]!, 0);
};
const close = (a: number, b: number, scale: number, what: string): void => {
  assert.ok(Math.abs(a - b) <= 2e-5 * (scale + 1), `${what}: ${a} and ${b}`);
};

/** Types every name, as differentiate does. */
function typed(graph: Draft): Graph {
  const out = draft(graph);
  for (const [name, type] of infer(graph).types) out.values.set(name, { name, ...type });
  return out;
}
/** Runs one node on constants. */
async function run(
  op: string,
  inputs: readonly Array2[],
  attributes: Record<string, AttributeValue>,
  outputs = 1,
  domain = "pare",
): Promise<Array2[]> {
  const graph = emptyGraph(op, 21);
  graph.opsets.set("pare", 1);
  const g = new Emitter(graph);
  const names = inputs.map(({ dims, data }, i) => {
    graph.inputs.push({ name: `x${i}`, type: "float32", shape: dims });
    return [`x${i}`, { type: "float32" as const, dims, data }] as const;
  });
  const made = g.ops(
    op,
    names.map(([n]) => n),
    attributes,
    outputs,
    domain,
  );
  graph.outputs = made.map((name) => ({ name, type: "float32", shape: null }));
  const session = await ortNode.load(typed(graph));
  const result = await session.run(Object.fromEntries(names));
  await session.release();
  return made.map((name) => ({ dims: result[name]!.dims, data: result[name]!.data as Float32Array }));
}

const between = (low: number, high: number): number => low + random.below(high - low + 1);
interface Case {
  readonly x: number[];
  readonly w: number[];
  readonly attributes: Record<string, AttributeValue>;
}
function convCase(): Case {
  const spatial = between(1, 3);
  const group = between(1, 3);
  const [c, o] = [between(1, 3), between(1, 3)];
  const each = (low: number, high: number): number[] => Array.from({ length: spatial }, () => between(low, high));
  const [kernel, strides, dilations] = [each(1, 4), each(1, 3), each(1, 2)];
  const pads = [...each(0, 2), ...each(0, 2)];
  const from = kernel.map((k, d) => (k - 1) * dilations[d]! + 1 + between(0, 6));
  return {
    x: [between(1, 3), group * c, ...from],
    w: [group * o, c, ...kernel],
    attributes: { kernel_shape: kernel, strides, pads, dilations, group },
  };
}

test("Conv's gradients are its adjoints, for any stride, dilation, group and pad", async () => {
  for (let k = 0; k < 80; k++) {
    const c = convCase();
    const [x, w] = [normal(c.x), normal(c.w)];
    const [y] = await run("Conv", [x, w], c.attributes, 1, "");
    const u = normal(y!.dims);
    const [dx] = await run("ConvInputGrad", [u, w], { ...c.attributes, input_shape: c.x });
    const [dw] = await run("ConvWeightGrad", [x, u], { ...c.attributes, weight_shape: c.w });
    const scale = Math.sqrt(sizeOf(y!.dims) * sizeOf(c.w.slice(1)));
    const what = JSON.stringify(c);
    close(dot(dx!, x), dot(u, y!), scale, `dx of ${what}`);
    close(dot(dw!, w), dot(u, y!), scale, `dw of ${what}`);
  }
});

/** The record's own gradient of a composite, as a graph: dL/d(inputs) for given dL/d(outputs). */
async function gradient(
  op: string,
  inputs: readonly Array2[],
  attributes: Record<string, AttributeValue>,
  dy: readonly Array2[],
): Promise<(Array2 | null)[]> {
  const graph = emptyGraph(op, 21);
  graph.opsets.set("pare", 1);
  const g = new Emitter(graph);
  const feed = (a: Array2, name: string): string => {
    graph.initializers.set(name, floats(a.data, a.dims));
    return name;
  };
  const names = inputs.map((a, i) => feed(a, `x${i}`));
  const outputs = g.ops(op, names, attributes, dy.length, "pare");
  const node = graph.nodes[0]!;
  const record = recordOf(node)!;
  const { types } = infer(graph);
  const site = siteOf(record, {
    node,
    opset: 1,
    x: names.map((n) => types.get(n)!),
    y: outputs.map((n) => types.get(n)!),
  });
  assert.ok(!("none" in record.grad));
  const dx = record.grad(g, {
    ...site,
    inputs: names,
    outputs,
    dy: dy.map((a, i) => feed(a, `d${i}`)),
    wanted: names.map(() => true),
    dims: (i) => inputs[i]!.dims,
    outDims: (i) => dy[i]!.dims,
  });
  graph.outputs = [...new Set(dx.flatMap((d) => d ?? []))].map((name) => ({ name, type: "float32", shape: null }));
  const session = await ortNode.load(typed(graph));
  const result = await session.run({});
  await session.release();
  return dx.map((d) => (d ? { dims: result[d]!.dims, data: result[d]!.data as Float32Array } : null));
}

test("gradients of Conv's gradients are adjoints too", async () => {
  for (let k = 0; k < 30; k++) {
    const c = convCase();
    const [x, w] = [normal(c.x), normal(c.w)];
    const [y] = await run("Conv", [x, w], c.attributes, 1, "");
    const dy = normal(y!.dims);
    const scale = Math.sqrt(sizeOf(y!.dims) * sizeOf(c.w.slice(1)));
    const [toX, toW] = [normal(c.x), normal(c.w)];
    const [fx] = await run("ConvInputGrad", [dy, w], { ...c.attributes, input_shape: c.x });
    const [dDy, dW] = await gradient("ConvInputGrad", [dy, w], { ...c.attributes, input_shape: c.x }, [toX]);
    close(dot(dDy!, dy), dot(toX, fx!), scale, `dy of ConvInputGrad ${JSON.stringify(c)}`);
    close(dot(dW!, w), dot(toX, fx!), scale, `w of ConvInputGrad ${JSON.stringify(c)}`);
    const [fw] = await run("ConvWeightGrad", [x, dy], { ...c.attributes, weight_shape: c.w });
    const [dX, dDy2] = await gradient("ConvWeightGrad", [x, dy], { ...c.attributes, weight_shape: c.w }, [toW]);
    close(dot(dX!, x), dot(toW, fw!), scale, `x of ConvWeightGrad ${JSON.stringify(c)}`);
    close(dot(dDy2!, dy), dot(toW, fw!), scale, `dy of ConvWeightGrad ${JSON.stringify(c)}`);
  }
});

test("ReluGrad passes dy where y is above 0", async () => {
  const y = { dims: [6], data: Float32Array.of(0, -0, 1e-20, 3, 1e30, 0.5) };
  const dy = { dims: [6], data: Float32Array.of(1, 2, 3, 4, 5, -6) };
  const [dx] = await run("ReluGrad", [dy, y], {});
  assert.deepEqual([...dx!.data], [0, 0, 3, 4, 5, -6]);
  const [dDy, dY] = await gradient("ReluGrad", [dy, y], {}, [dy]);
  assert.deepEqual([...dDy!.data], [0, 0, 3, 4, 5, -6]);
  assert.equal(dY, null);
});

/** Max-pooling's gradient in plain loops: shared among ties where windows are tiles, else to the first maximum. */
function poolReference(dy: Array2, x: Array2, shares: boolean, a: Record<string, number[]>): Float64Array {
  const [n, c, h, w] = x.dims as [number, number, number, number];
  const [, , th, tw] = dy.dims as [number, number, number, number];
  const dx = new Float64Array(x.data.length);
  for (let p = 0; p < n * c; p++)
    for (let i = 0; i < th; i++)
      for (let j = 0; j < tw; j++) {
        const places: number[] = [];
        for (let q = 0; q < a.kernel_shape![0]!; q++)
          for (let r = 0; r < a.kernel_shape![1]!; r++) {
            const y = i * a.strides![0]! - a.pads![0]! + q * a.dilations![0]!;
            const z = j * a.strides![1]! - a.pads![1]! + r * a.dilations![1]!;
            if (y >= 0 && y < h && z >= 0 && z < w) places.push((p * h + y) * w + z);
          }
        const max = Math.max(...places.map((k) => x.data[k]!));
        const hits = places.filter((k) => x.data[k] === max);
        const d = dy.data[(p * th + i) * tw + j]!;
        if (shares) for (const k of hits) dx[k]! += d / hits.length;
        else dx[hits[0]!]! += d;
      }
  return dx;
}

test("MaxPoolGrad: ties share in tiles, the first maximum takes all elsewhere; its own gradient is its adjoint", async () => {
  for (let k = 0; k < 40; k++) {
    const tiled = k % 2 === 0;
    const kernel = [between(1, 3), between(1, 3)];
    const attributes = tiled
      ? { kernel_shape: kernel, strides: kernel, pads: [0, 0, 0, 0], dilations: [1, 1] }
      : {
          kernel_shape: kernel,
          strides: [between(1, 3), between(1, 3)],
          pads: [between(0, kernel[0]! - 1), between(0, kernel[1]! - 1), 0, 0],
          dilations: [1, 1],
        };
    const ceil = !tiled && random.below(2) === 1 ? 1 : 0;
    const same =
      kernel.every((v, d) => v === attributes.strides[d]) && attributes.pads.every((p) => p === 0) && ceil === 0;
    const x = normal([2, 3, between(4, 7), between(4, 7)]);
    x.data.forEach((v, i) => {
      x.data[i] = Math.round(v * 2);
    });
    const [y] = await run("MaxPool", [x], { ...attributes, ceil_mode: ceil }, 1, "");
    const dy = normal(y!.dims);
    const [dx] = await run("MaxPoolGrad", [dy, x, y!], { ...attributes, ceil_mode: ceil });
    const wanted = poolReference(dy, x, same, attributes);
    wanted.forEach((v, i) => {
      close(dx!.data[i]!, v, 0, `${JSON.stringify({ ...attributes, ceil })} element ${i}`);
    });
    const u = normal(x.dims);
    const [adjoint] = await gradient("MaxPoolGrad", [dy, x, y!], { ...attributes, ceil_mode: ceil }, [u]);
    close(dot(adjoint!, dy), dot(u, dx!), 10, "adjoint");
  }
});

/** Sum of y*a + mean*b + var*c in double precision. */
function normReference(
  x: Float64Array,
  dims: readonly number[],
  scale: ArrayLike<number>,
  bias: ArrayLike<number>,
  epsilon: number,
) {
  const [n, c] = dims as [number, number];
  const s = x.length / n / c;
  const m = n * s;
  const at = (i: number, k: number, j: number): number => (i * c + k) * s + j;
  const mean = new Float64Array(c);
  const variance = new Float64Array(c);
  const y = new Float64Array(x.length);
  for (let k = 0; k < c; k++) {
    for (let i = 0; i < n; i++) for (let j = 0; j < s; j++) mean[k]! += x[at(i, k, j)]! / m;
    for (let i = 0; i < n; i++) for (let j = 0; j < s; j++) variance[k]! += (x[at(i, k, j)]! - mean[k]!) ** 2 / m;
    const r = 1 / Math.sqrt(variance[k]! + epsilon);
    for (let i = 0; i < n; i++)
      for (let j = 0; j < s; j++) y[at(i, k, j)] = (x[at(i, k, j)]! - mean[k]!) * r * scale[k]! + bias[k]!;
  }
  return { y, mean, variance };
}
const sum = (a: ArrayLike<number>, b: ArrayLike<number>): number => {
  let total = 0;
  for (let i = 0; i < a.length; i++) total += a[i]! * b[i]!;
  return total;
};
/** Central differences of f at `at`, in double precision. */
function differences(f: (v: Float64Array) => number, at: ArrayLike<number>, step = 1e-5): Float64Array {
  const v = Float64Array.from(at);
  return v.map((value, i) => {
    v[i] = value + step;
    const up = f(v);
    v[i] = value - step;
    const down = f(v);
    v[i] = value;
    return (up - down) / (2 * step);
  });
}
const agree = (found: Array2 | null, wanted: Float64Array, what: string, tolerance = 2e-4): void => {
  assert.ok(found, what);
  const size = Math.max(1e-3, ...wanted.map(Math.abs));
  wanted.forEach((v, i) => {
    assert.ok(Math.abs(found.data[i]! - v) <= tolerance * size, `${what}[${i}]: ${found.data[i]} should be ${v}`);
  });
};

const epsilon = 1e-3;
for (const dims of [
  [4, 3],
  [3, 2, 5],
  [2, 3, 2, 3],
]) {
  test(`BatchNormTraining [${dims}]: values, gradient, gradient of the gradient`, async () => {
    const c = [dims[1]!];
    const [x, scale, bias] = [normal(dims), normal(c), normal(c)];
    x.data.forEach((v, i) => {
      x.data[i] = v + 3;
    });
    const [y, mean, variance] = await run("BatchNormTraining", [x, scale, bias], { epsilon: { float: epsilon } }, 3);
    const wanted = normReference(Float64Array.from(x.data), dims, scale.data, bias.data, epsilon);
    agree(y!, wanted.y, "y");
    agree(mean!, wanted.mean, "mean");
    agree(variance!, wanted.variance, "var");

    const [a, b, d] = [normal(dims), normal(c), normal(c)];
    const value = (xs: Float64Array, ss: ArrayLike<number>, bs: ArrayLike<number>): number => {
      const r = normReference(xs, dims, ss, bs, epsilon);
      return sum(r.y, a.data) + sum(r.mean, b.data) + sum(r.variance, d.data);
    };
    const x64 = Float64Array.from(x.data);
    const [dx, dScale, dBias] = await gradient("BatchNormTraining", [x, scale, bias], { epsilon: { float: epsilon } }, [
      a,
      b,
      d,
    ]);
    agree(
      dx!,
      differences((v) => value(v, scale.data, bias.data), x64),
      "dx",
    );
    agree(
      dScale!,
      differences((v) => value(x64, v, bias.data), scale.data),
      "dscale",
    );
    agree(
      dBias!,
      differences((v) => value(x64, scale.data, v), bias.data),
      "dbias",
    );

    // The gradient node as a function of five independent inputs.
    const back = (
      dy: ArrayLike<number>,
      xs: ArrayLike<number>,
      ss: ArrayLike<number>,
      ms: ArrayLike<number>,
      vs: ArrayLike<number>,
    ): number => {
      const [n, channels] = dims as [number, number];
      const s = sizeOf(dims) / n / channels;
      const m = n * s;
      let total = 0;
      for (let k = 0; k < channels; k++) {
        const r = 1 / Math.sqrt(vs[k]! + epsilon);
        const places = Array.from({ length: m }, (_, q) => (Math.floor(q / s) * channels + k) * s + (q % s));
        const h = (p: number): number => (xs[p]! - ms[k]!) * r;
        const db = places.reduce((t, p) => t + dy[p]!, 0);
        const ds = places.reduce((t, p) => t + dy[p]! * h(p), 0);
        for (const p of places) total += a.data[p]! * ss[k]! * r * (dy[p]! - db / m - (h(p) * ds) / m);
        total += b.data[k]! * ds + d.data[k]! * db;
      }
      return total;
    };
    const dy = normal(dims);
    const inputs = [dy, x, scale, mean!, variance!];
    const found = await gradient("BatchNormTrainingGrad", inputs, { epsilon: { float: epsilon } }, [a, b, d]);
    inputs.forEach((_, i) => {
      const values = inputs.map((v): ArrayLike<number> => v.data);
      const f = (v: Float64Array): number => {
        const all = [...values];
        all[i] = v;
        return back(...(all as [Float64Array, Float64Array, Float64Array, Float64Array, Float64Array]));
      };
      agree(found[i]!, differences(f, inputs[i]!.data), `second order, input ${i}`);
    });
  });
}
