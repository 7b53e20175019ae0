/** Structural operators against the ONNX project's own tests: what shape inference says is what onnxruntime makes. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { infer } from "../dist/analyze/infer.js";
import { fromBytes } from "../dist/graph/decode.js";
import { draft, feeds, type Graph, type Tensor } from "../dist/graph/graph.js";
import { compositeOperators } from "../dist/ops/composite.js";
import { mathOperators } from "../dist/ops/math.js";
import { operators } from "../dist/ops/registry.js";
import { structureOperators } from "../dist/ops/structure.js";
import { type Case, conformance } from "./support/conformance.js";
import { needsShared, sharedData } from "./support/shared.js";

const mine = new Set(structureOperators.flat().map((o) => `${o.domain}:${o.type}`));
/** The case's model if it is one node of these operators and onnxruntime passes it. */
function single(c: Case): Graph | null {
  if (c.status !== "pass") return null;
  const graph = fromBytes(c.model);
  const [n] = graph.nodes;
  return n && graph.nodes.length === 1 && mine.has(`${n.domain}:${n.op}`) ? graph : null;
}
/** The graph with the case's own shapes, and its inputs from the second on as constants where `pin` says so. */
function placed(graph: Graph, c: Case, pin: boolean): Graph {
  const d = draft(graph);
  const fed = feeds(graph).map((v, i) => [v, c.inputs[i] ?? null] as const);
  d.inputs = fed.map(([v, t]) => (t ? { ...v, type: t.type, shape: t.dims } : v));
  d.outputs = d.outputs.map((v) => ({ ...v, shape: null }));
  d.values = new Map();
  const first = graph.nodes[0]!.op === "ConstantOfShape" ? "" : graph.nodes[0]!.inputs[0];
  const constants = new Map(fed.flatMap(([v, t]): [string, Tensor][] => (t && v.name !== first ? [[v.name, t]] : [])));
  if (pin) for (const [name, t] of constants) d.initializers.set(name, t);
  return d;
}

test("no operator has two records", () => {
  const all = [...mathOperators.flat(), ...structureOperators.flat(), ...compositeOperators];
  assert.equal(all.length, operators.size);
});

test("shape facets agree with onnxruntime on the conformance tests", (t) => {
  if (!sharedData) return t.skip(needsShared);
  const seen = new Map<string, number>();
  const wrong: string[] = [];
  for (const c of conformance("node")) {
    const graph = single(c);
    if (!graph) continue;
    for (const pin of [true, false]) {
      try {
        const { types } = infer(placed(graph, c, pin));
        graph.outputs.forEach((v, k) => {
          const [actual, found] = [c.outputs[k], types.get(v.name)];
          if (!actual) return;
          const open = found?.shape === null || found?.shape.some((d) => typeof d !== "number");
          const fits =
            found?.type === actual.type &&
            (found.shape === null ||
              (found.shape.length === actual.dims.length &&
                found.shape.every((d, i) => typeof d === "string" || d === actual.dims[i])));
          // What these return depends on data, not on shapes.
          const data = /^(NonZero|NonMaxSuppression|Loop)$/.test(graph.nodes[0]!.op);
          if (!fits || (pin && open && !data))
            wrong.push(
              `${c.name}${pin ? "" : " (unpinned)"}: ${found?.type} [${found?.shape}], is ${actual.type} [${actual.dims}]`,
            );
        });
      } catch (error) {
        wrong.push(`${c.name}: ${error}`);
      }
    }
    const { op } = graph.nodes[0]!;
    seen.set(op, (seen.get(op) ?? 0) + 1);
  }
  t.diagnostic([...seen].map(([op, n]) => `${op} ${n}`).join(", "));
  assert.deepEqual(wrong, []);
  assert.ok(seen.size > 10);
});
