/** Output types and shapes of every record against the ONNX project's operator tests, with lengths known, and with symbols in their place. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Tensor, ValueType } from "../dist/graph/graph.js";
import { mathOperators } from "../dist/ops/math.js";
import { siteOf } from "../dist/ops/site.js";
import { needsShared, sharedData } from "./support/shared.js";
import { type Trial, trials, typeOf } from "./support/single-operator.js";

const own = new Set(mathOperators.flat());

type Inferred = readonly (ValueType | null)[];
const infer = (t: Trial, x: Inferred, value: (i: number) => Tensor | null): Inferred =>
  t.record.shape(siteOf(t.record, { node: t.node, opset: t.opset, x, value }));

function exact(t: Trial): string | null {
  const found = infer(t, t.inputs.map(typeOf), (i) => t.inputs[i] ?? null);
  for (const [k, wanted] of t.outputs.entries()) {
    if (!wanted) continue;
    const text = (v: ValueType | null | undefined) => (v ? `${v.type} [${v.shape ?? "?"}]` : "nothing");
    if (text(found[k]) !== `${wanted.type} [${wanted.dims}]`)
      return `output ${k} is ${text(found[k])}, should be ${wanted.type} [${wanted.dims}]`;
  }
  return null;
}

/** What is inferred from less must not contradict what is. */
function compatible(t: Trial, found: Inferred): string | null {
  for (const [k, wanted] of t.outputs.entries()) {
    const shape = found[k]?.shape;
    if (!wanted || !shape) continue;
    const fits =
      shape.length === wanted.dims.length && shape.every((d, i) => typeof d === "string" || d === wanted.dims[i]);
    if (!fits) return `output ${k} is [${shape}], should be [${wanted.dims}]`;
  }
  return null;
}

const ways: Record<string, (t: Trial) => string | null> = {
  "lengths and values known": exact,
  "lengths known, values unknown": (t) =>
    compatible(
      t,
      infer(t, t.inputs.map(typeOf), () => null),
    ),
  "every length a symbol of its own": (t) => {
    const x = t.inputs.map((v, i) => v && { type: v.type, shape: v.dims.map((_, d) => `x${i}d${d}`) });
    return compatible(
      t,
      infer(t, x, () => null),
    );
  },
  "ranks unknown": (t) =>
    compatible(
      t,
      infer(
        t,
        t.inputs.map((v) => v && { type: v.type, shape: null }),
        () => null,
      ),
    ),
};

for (const [way, check] of Object.entries(ways))
  test(`shapes equal onnxruntime's: ${way}`, (t) => {
    if (!sharedData) return t.skip(needsShared);
    const wrong: string[] = [];
    const covered = new Set<string>();
    for (const trial of trials((r) => own.has(r))) {
      covered.add(trial.record.type);
      try {
        const problem = check(trial);
        if (problem) wrong.push(`${trial.name} (${trial.status}): ${problem}`);
      } catch (e) {
        wrong.push(`${trial.name} (${trial.status}): ${(e as Error).message}`);
      }
    }
    assert.ok(wrong.length === 0, wrong.join("\n"));
    assert.ok(covered.size > 50, `only ${covered.size} operators met a test`);
  });
