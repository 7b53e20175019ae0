/** Old forms: a node rewritten for a newer opset computes what the ONNX project's tests of the old form expect. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ortNode } from "../dist/engine/ort-node.js";
import { draft, type Graph } from "../dist/graph/graph.js";
import { raiseOpset } from "../dist/passes/raise-opset.js";
import { arrayOf, worstDifference } from "./support/compare.js";
import { needsShared, sharedData } from "./support/shared.js";
import { type Trial, trials } from "./support/single-operator.js";

/** Why a case is left out. */
function reasonToSkip(t: Trial, to: number): string | null {
  if (t.opset >= to) return "its form is new enough already";
  if (t.status !== "pass" && t.status !== "unknown") return "onnxruntime does not run it";
  if (/^training_dropout|^dropout_random|training_mode/.test(t.name)) return "drops at random or trains";
  if (t.node.op === "Scan" && t.opset < 9) return "Scan of opset 8 is refused by name";
  return null;
}
/** The case with everything but the first input constant: scales and axes must be known to be rewritten. */
function pinned(t: Trial): Graph {
  const graph = draft(t.graph);
  t.node.inputs.forEach((name, i) => {
    if (name && i > 0 && name !== t.node.inputs[0]) graph.initializers.set(name, t.inputs[i]!);
  });
  return graph;
}

async function difference(t: Trial, to: number): Promise<number> {
  const raised: Graph = raiseOpset(pinned(t), to);
  assert.equal(raised.opsets.get(t.node.domain), t.node.domain ? t.opset : to);
  const session = await ortNode.load(raised, { optimize: "none" });
  const feeds = Object.fromEntries(
    t.node.inputs.flatMap((name, i) =>
      name && raised.inputs.some((v) => v.name === name) && !raised.initializers.has(name)
        ? [[name, arrayOf(t.inputs[i]!)]]
        : [],
    ),
  );
  const found = await session.run(feeds);
  await session.release();
  return Math.max(
    0,
    ...t.outputs.map((wanted, k) => (wanted ? worstDifference(found[t.node.outputs[k]!]!, arrayOf(wanted)) : 0)),
  );
}

const rewrites = (t: Trial, to: number): boolean => raiseOpset(pinned(t), to).nodes[0] !== t.graph.nodes[0];

/** At 21 every case; before, those that 21 rewrites: the others stay as they are at any opset. */
for (const [to, atLeast] of [
  [17, { versions: 15, rewritten: 35 }],
  [18, { versions: 15, rewritten: 40 }],
  [20, { versions: 15, rewritten: 40 }],
  [21, { versions: 100, rewritten: 40 }],
] as const)
  test(`raised to opset ${to}, old nodes compute the same`, async (t) => {
    if (!sharedData) return t.skip(needsShared);
    const wrong: string[] = [];
    const versions = new Set<string>();
    let rewritten = 0;
    for (const trial of trials(() => true)) {
      if (reasonToSkip(trial, to)) continue;
      if (trial.inputs.some((v) => v && !arrayOf(v, null))) continue; // Types that the JavaScript binding does not take.
      try {
        if (to < 21 && !rewrites(trial, 21)) continue;
        const d = await difference(trial, to);
        if (!(d < 1e-4)) wrong.push(`${trial.name} (opset ${trial.opset}): off by ${d}`);
        versions.add(`${trial.record.type}-${trial.opset}`);
        if (rewrites(trial, to)) rewritten++;
      } catch (e) {
        wrong.push(`${trial.name} (opset ${trial.opset}): ${(e as Error).message}`);
      }
    }
    assert.ok(wrong.length === 0, wrong.join("\n"));
    t.diagnostic(`${versions.size} operators by version, ${rewritten} cases rewritten`);
    assert.ok(
      versions.size > atLeast.versions && rewritten > atLeast.rewritten,
      `only ${versions.size} versions and ${rewritten} rewritten cases`,
    );
  });
