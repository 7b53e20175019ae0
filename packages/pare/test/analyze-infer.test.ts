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

/** Names that onnxruntime shows: what it leaves without a type (sequences, maps) cannot be fetched. */
async function compare(graph: Graph, model: Model) {
  const given = randomFeeds(graph, model.dims);
  if (given.sr) (given.sr.data as BigInt64Array)[0] = 16000n;
  const shapes = Object.fromEntries(Object.entries(given).map(([name, a]) => [name, a.dims]));
  const { types, values } = infer(graph, { inputs: shapes });
  const shown = expose(graph, (name) => types.get(name)?.type !== "undefined" || true);
  const session = await ortNode.load(shown, { optimize: "none" });
  const result = await session.run(given);
  await session.release();
  const wrong: string[] = [];
  let open = 0;
  for (const [name, actual] of Object.entries(result)) {
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

for (const model of [...sharedModels(), ...packagedModels()]) {
  test(`shapes of ${model.name} are onnxruntime's`, async (t) => {
    const graph = await read(model.path);
    const strange = [...new Set(graph.nodes.filter((n) => !recordOf(n)).map((n) => n.op))];
    const { wrong, open, total } = await compare(graph, model);
    t.diagnostic(`${total} tensors, ${open} unknown${strange.length ? `; no record of ${strange}` : ""}`);
    assert.deepEqual(wrong, []);
    assert.ok(feeds(graph).length > 0);
  });
}
