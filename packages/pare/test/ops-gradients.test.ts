/** Every record's gradient against central differences of onnxruntime's forward pass, over the ONNX project's operator tests. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ortNode } from "../dist/engine/ort-node.js";
import { PareError } from "../dist/graph/error.js";
import { sizeOf } from "../dist/graph/tensor.js";
import { isNone } from "../dist/ops/record.js";
import { operators } from "../dist/ops/registry.js";
import { checkGradient } from "./support/gradient-check.js";
import { ownCases } from "./support/own-cases.js";
import { needsShared, sharedData } from "./support/shared.js";
import { type Trial, trials } from "./support/single-operator.js";

const own = new Set([...operators.values()].filter((r) => r.domain === ""));

/** Large images take one sample of the batch: the same windows slide over it. */
function oneSample(t: Trial): Trial {
  const [x, ...rest] = t.inputs;
  if (x?.type !== "float32" || x.dims.length < 3 || sizeOf(x.dims) < 20_000) return t;
  const dims = [1, ...x.dims.slice(1)];
  return { ...t, inputs: [{ ...x, dims, bytes: x.bytes.slice(0, 4 * sizeOf(dims)) }, ...rest] };
}

test("gradients equal central differences", async (t) => {
  if (!sharedData) return t.skip(needsShared);
  const wrong: string[] = [];
  const covered = new Map<string, number>();
  for (const whole of trials((r) => own.has(r) && !isNone(r.grad))) {
    const trial = oneSample(whole);
    // What onnxruntime does not run cannot be compared, and statistics of the batch belong to pare.BatchNormTraining.
    if (trial.status !== "pass" && trial.status !== "unknown") continue;
    if (trial.node.op === "BatchNormalization" && trial.node.attributes.training_mode) continue;
    if (!trial.inputs.some((v) => v?.type === "float32" || v?.type === "float64")) continue;
    if (trial.inputs[0]?.dims.includes(0)) continue; // Nothing to move.
    if (!trial.outputs.some((v) => v?.type === "float32" || v?.type === "float64")) continue;
    try {
      // A second and third point where the first one stands beside a kink.
      let outcome = await checkGradient(ortNode, trial);
      for (let seed = 2; seed < 4 && !outcome.right; seed++) outcome = await checkGradient(ortNode, trial, seed);
      if (!outcome.right)
        wrong.push(`${trial.name}: off by ${outcome.error.toExponential(1)} (${outcome.forward}, ${outcome.backward})`);
      covered.set(trial.record.type, (covered.get(trial.record.type) ?? 0) + 1);
    } catch (e) {
      // A form that the record refuses by name and with a reason.
      if (e instanceof PareError && /no gradient/.test(e.message)) continue;
      wrong.push(`${trial.name}: ${(e as Error).message}`);
    }
  }
  assert.ok(wrong.length === 0, wrong.join("\n"));
  const elsewhere = new Set(ownCases.map(([type]) => type));
  const untested = [...own]
    .filter((r) => !isNone(r.grad) && !covered.has(r.type) && !elsewhere.has(r.type))
    .map((r) => r.type);
  assert.ok(untested.length === 0, `no test for ${untested.join(" ")}`);
});
