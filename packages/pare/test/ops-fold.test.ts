/** Folding: what a record computes from constants is, bit for bit, what onnxruntime gives; or it leaves it to onnxruntime. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { isNone } from "../dist/ops/record.js";
import { siteOf } from "../dist/ops/site.js";
import { needsShared, sharedData } from "./support/shared.js";
import { trials, typeOf } from "./support/single-operator.js";

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

test("folded constants equal onnxruntime's", (t) => {
  if (!sharedData) return t.skip(needsShared);
  const wrong: string[] = [];
  const folded = new Set<string>();
  for (const trial of trials((r) => !isNone(r.fold))) {
    const { record, node, opset, inputs, outputs } = trial;
    if (trial.status !== "pass" && trial.status !== "unknown") continue;
    try {
      const site = siteOf(record, { node, opset, x: inputs.map(typeOf), value: (i) => inputs[i] ?? null });
      const found = (record.fold as Exclude<typeof record.fold, { none: string }>)(site);
      if (!found) continue;
      for (const [k, wanted] of outputs.entries()) {
        const value = found[k];
        if (!wanted || !value) continue;
        folded.add(record.type);
        const same = value.type === wanted.type && `${value.dims}` === `${wanted.dims}`;
        if (!same || hex(value.bytes) !== hex(wanted.bytes))
          wrong.push(
            `${trial.name}: ${value.type} [${value.dims}] ${hex(value.bytes).slice(0, 64)}, should be ${wanted.type} [${wanted.dims}] ${hex(wanted.bytes).slice(0, 64)}`,
          );
      }
    } catch (e) {
      wrong.push(`${trial.name}: ${(e as Error).message}`);
    }
  }
  assert.ok(wrong.length === 0, wrong.join("\n"));
  assert.ok(folded.size > 30, `only ${[...folded]} folded`);
});
