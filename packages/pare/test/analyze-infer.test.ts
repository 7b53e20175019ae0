/** Shape inference on whole models: every tensor that onnxruntime computes has the shape and the value that inference says. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { infer } from "../dist/analyze/infer.js";
import { ortNode } from "../dist/engine/ort-node.js";
import { read } from "../dist/graph/file.js";
import { feeds, type Graph } from "../dist/graph/graph.js";
import { recordOf } from "../dist/ops/registry.js";
import { numbersOf } from "../dist/ops/values.js";
import { expose, randomFeeds } from "./support/expose.js";
import { type Model, packagedModels, sharedModels } from "./support/models.js";

/** Sequences and maps cannot be fetched, so outputs of such types are left out. */
async function compare(graph: Graph, model: Model) {
  const given = randomFeeds(graph, model.dims);
  if (given.sr) (given.sr.data as BigInt64Array)[0] = 16000n;
  const shapes = Object.fromEntries(Object.entries(given).map(([name, a]) => [name, a.dims]));
  const { types, values } = infer(graph, { inputs: shapes });
  const odd = new Set(graph.outputs.filter((v) => v.other !== undefined).map((v) => v.name));
  const tensors = { ...graph, outputs: graph.outputs.filter((v) => !odd.has(v.name)) };
  const shown = expose(tensors, (name) => !odd.has(name));
  const session = await ortNode.load(shown, { optimize: "none" });
  const result = await session.run(given);
  await session.release();
  const wrong: string[] = [];
  let open = 0;
  // Without dims for the inputs less is known, and none of it is wrong.
  const { types: general } = infer(graph);
  for (const [name, actual] of Object.entries(result)) {
    const shape = general.get(name)?.shape;
    if (
      shape &&
      (shape.length !== actual.dims.length || shape.some((d, i) => typeof d === "number" && d !== actual.dims[i]))
    )
      wrong.push(`${name}: [${shape}] with open inputs, is [${actual.dims}]`);
    const found = types.get(name);
    const type = found?.type;
    const fits =
      found !== undefined &&
      (type === "undefined" || type === actual.type) &&
      (found.shape === null ||
        (found.shape.length === actual.dims.length &&
          found.shape.every((d, i) => typeof d === "string" || d === actual.dims[i])));
    if (!fits) wrong.push(`${name}: ${type} [${found?.shape}], is ${actual.type} [${actual.dims}]`);
    if (!found?.shape || found.shape.some((d) => typeof d === "string")) open++;
    const value = values.get(name);
    if (value && actual.type !== "string") {
      const numbers = numbersOf(value);
      const same = numbers?.every((v, i) => Object.is(v, Number(actual.data[i])) || v === Number(actual.data[i]));
      if (numbers && !same) wrong.push(`${name}: folded to ${numbers.slice(0, 8)}, is ${actual.data.slice(0, 8)}`);
    }
  }
  return { wrong, open, total: Object.keys(result).length };
}

/** onnxruntime 1.30 has no kernel for the broadcasting Add of opset 1 in it. */
const tooOld = "super_resolution";

for (const model of [...sharedModels(), ...packagedModels()]) {
  if (model.name === tooOld) continue;
  test(`shapes of ${model.name} are onnxruntime's`, async (t) => {
    const graph = await read(model.path);
    const strange = [...new Set(graph.nodes.filter((n) => !recordOf(n)).map((n) => n.op))];
    const { wrong, open, total } = await compare(graph, model);
    t.diagnostic(`${total} tensors, ${open} unknown${strange.length ? `; no record of ${strange}` : ""}`);
    assert.deepEqual(wrong, []);
    assert.ok(feeds(graph).length > 0);
  });
}
