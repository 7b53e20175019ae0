/** Gradients are closed: the gradient of a record's gradient equals central differences of that gradient. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { differentiate } from "../dist/autodiff/differentiate.js";
import type { NDArray, Session } from "../dist/engine/engine.js";
import { ortNode } from "../dist/engine/ort-node.js";
import { Emitter, node } from "../dist/graph/emit.js";
import { type Draft, draft, emptyGraph, type Graph } from "../dist/graph/graph.js";
import { float32sOf, sizeOf } from "../dist/graph/tensor.js";
import { siteOf } from "../dist/ops/site.js";
import { raiseOpset } from "../dist/passes/raise-opset.js";
import { innerFloat32, isVariable, loadsButRefusesDoubles, randomSource } from "./support/gradient-check.js";
import { type Own, ownCases, ownPlace, ownTitle } from "./support/own-cases.js";

type Float = "float32" | "float64";
const floatInputs = (p: Own): number[] => p.inputs.flatMap((_, i) => (isVariable(p, i) ? [i] : []));
const constant = (type: Float, dims: readonly number[], values: Float64Array) => {
  const data = type === "float64" ? values : Float32Array.from(values);
  return { type, dims, bytes: new Uint8Array(data.buffer) };
};

/** The node, then the scalar "loss" = sum of c y^2: its gradient depends on x even where y does so linearly. */
function lossGraph(p: Own, type: Float, random: () => number): Draft {
  const old = emptyGraph("loss", p.opset);
  old.nodes.push(p.node);
  p.inputs.forEach((t, i) => {
    if (t && isVariable(p, i)) old.inputs.push({ name: `x${i}`, type, shape: t.dims });
    else if (t) old.initializers.set(`x${i}`, t);
  });
  const x = p.inputs.map((t, i) => t && { type: isVariable(p, i) ? type : t.type, shape: t.dims });
  const value = (i: number) => (isVariable(p, i) ? null : (p.inputs[i] ?? null));
  const y = p.record.shape(siteOf(p.record, { node: p.node, opset: p.opset, x, value }))[0]!;
  const dims = y.shape as readonly number[];
  const graph = draft(raiseOpset(old));
  const g = new Emitter(graph, type, "loss/");
  const c = g.constant(constant(type, dims, Float64Array.from({ length: sizeOf(dims) }, random)));
  const weighted = g.op("Mul", [g.op("Mul", ["y0", "y0"]), c]);
  graph.nodes.push(node("ReduceSum", [weighted], ["loss"], { keepdims: 0 }));
  graph.outputs.push({ name: "loss", type, shape: [] });
  return graph;
}

/** first: sum over parameters of gradient . v, one scalar "slope"; second: its gradients. */
function both(p: Own, type: Float): { first: Graph; second: Graph; gradients: ReadonlyMap<string, string> } {
  const random = randomSource(7);
  const names = floatInputs(p).map((i) => `x${i}`);
  const once = differentiate(lossGraph(p, type, random), "loss", names);
  const work = draft(once.graph);
  const g = new Emitter(work, type, "slope/");
  const terms = floatInputs(p).map((i) => {
    const { dims } = p.inputs[i]!;
    const v = g.constant(constant(type, dims, Float64Array.from({ length: sizeOf(dims) }, random)), "v");
    return g.op("ReduceSum", [g.op("Mul", [once.gradients.get(`x${i}`)!, v])], { keepdims: 0 });
  });
  const slope = terms.reduce((a, b) => g.op("Add", [a, b]));
  work.outputs = [{ name: slope, type, shape: [] }];
  const first = differentiate(work, slope, []).graph;
  const twice = differentiate(work, slope, names);
  const second = {
    ...twice.graph,
    outputs: twice.graph.outputs.filter((o) => [...twice.gradients.values()].includes(o.name)),
  };
  return { first, second, gradients: twice.gradients };
}

async function load(
  p: Own,
  type: Float,
): Promise<{ first: Session; second: Session; slope: string; gradients: ReadonlyMap<string, string> }> {
  const made = both(p, type);
  const first = await ortNode.load(made.first, { optimize: "none" });
  const second = await ortNode.load(made.second, { optimize: "none" });
  return { first, second, slope: made.first.outputs[0]!.name, gradients: made.gradients };
}

async function check(p: Own): Promise<{ error: number; type: Float }> {
  let type: Float = loadsButRefusesDoubles.has(p.node.op) ? "float32" : "float64";
  const sessions = await load(p, type).catch(() => load(p, (type = "float32")));
  const at = floatInputs(p).map((i) => Float64Array.from(float32sOf(p.inputs[i]!)));
  const feeds = (x: readonly Float64Array[]): Record<string, NDArray> =>
    Object.fromEntries(
      floatInputs(p).map((i, k) => {
        const data = type === "float64" ? x[k]! : Float32Array.from(x[k]!);
        return [`x${i}`, { type, dims: p.inputs[i]!.dims, data }];
      }),
    );
  const slopeAt = async (x: readonly Float64Array[]) =>
    Number((await sessions.first.run(feeds(x)))[sessions.slope]!.data[0]);
  const found = await sessions.second.run(feeds(at));
  const random = randomSource(11);
  let error = 0;
  for (const [k, i] of floatInputs(p).entries()) {
    const u = Float64Array.from(at[k]!, random);
    const gradient = Array.from(found[sessions.gradients.get(`x${i}`)!]!.data as Float64Array, Number);
    const product = gradient.reduce((s, v, j) => s + v * u[j]!, 0);
    const terms = Math.sqrt(gradient.reduce((s, v, j) => s + (v * u[j]!) ** 2, 0));
    const base = Math.abs(await slopeAt(at));
    let best = Number.POSITIVE_INFINITY;
    for (const h of type === "float64" ? [1e-4, 1e-5] : [0.03, 0.01, 0.003]) {
      const moved = (t: number) => slopeAt(at.map((x, j) => (j === k ? x.map((v, n) => v + t * u[n]!) : x)));
      const difference = ((await moved(h)) - (await moved(-h))) / (2 * h);
      const size = terms + Math.abs(difference) + base * (type === "float64" ? 1e-5 : 1e-2) + 1e-2;
      best = Math.min(best, Math.abs(product - difference) / size);
    }
    error = Math.max(error, Number.isNaN(best) ? Number.POSITIVE_INFINITY : best);
  }
  await sessions.first.release();
  await sessions.second.release();
  return { error, type };
}

for (const own of ownCases) {
  const p = ownPlace(...own);
  test(`second gradient of ${ownTitle(p)}`, async () => {
    const { error, type } = await check(p);
    assert.ok(error < (type === "float64" && !innerFloat32.has(p.node.op) ? 1e-5 : 3e-3), `off by ${error} (${type})`);
  });
}
