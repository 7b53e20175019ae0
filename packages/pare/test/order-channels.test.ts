/** Channels in another order: onnxruntime computes the same, and what is packed is smaller. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { toBytes } from "../dist/graph/encode.js";
import { read } from "../dist/graph/file.js";
import { draft, type Graph, type Tensor } from "../dist/graph/graph.js";
import { float32sOf } from "../dist/graph/tensor.js";
import { network } from "../dist/methods/architecture/networks.js";
import { pack } from "../dist/pack/pack.js";
import { orderChannels } from "../dist/passes/order-channels.js";
import { type Model, sharedModels } from "./support/models.js";
import { ortOutputs, ortTensor, seeded } from "./support/ort-outputs.js";
import { randomFeeds } from "./support/random-feeds.js";
import { needsShared } from "./support/shared.js";

/** Nine tenths of the weights of more than one axis set to zero; the columns of neighbouring rows have much in common, rows are shuffled. */
function pruned(graph: Graph, survivor: (w: number, random: () => number) => number): Graph {
  const random = seeded(4);
  const d = draft(graph);
  for (const [name, t] of graph.initializers) {
    if (t.type !== "float32" || t.dims.length < 2 || t.bytes.length < 256) continue;
    const values = float32sOf(t).slice();
    const rows = t.dims[0]!;
    const columns = values.length / rows;
    for (let r = 0; r < rows; r++) {
      const kind = Math.floor(random() * 4);
      for (let c = 0; c < columns; c++) {
        const usual = (Math.imul(c + 1, 0x9e3779b1 * (2 * kind + 1)) >>> 16) % 10 === 0;
        if (random() > (usual ? 0.7 : 0.03)) values[r * columns + c] = 0;
        else values[r * columns + c] = survivor(values[r * columns + c]!, random);
      }
    }
    d.initializers.set(name, { ...t, bytes: new Uint8Array(values.buffer) });
  }
  return d;
}
/** Keeps the variance of sums over a tenth as many; wakes layers that start from zero. */
const louder = (w: number, random: () => number): number => (w === 0 ? random() - 0.5 : 3 * w);
const fewValues = (w: number, random: () => number): number => (w > 0 ? 1 : -1) * (random() < 0.3 ? 0.5 : 0.25);
const moved = (a: Graph, b: Graph): string[] =>
  [...a.initializers.keys()].filter((name) => Buffer.compare(bytes(a, name), bytes(b, name)) !== 0);
const bytes = (g: Graph, name: string): Uint8Array => g.initializers.get(name)!.bytes;

async function assertSameOutputs(a: Graph, b: Graph, feeds: Record<string, Tensor>): Promise<void> {
  const cast = () => Object.fromEntries(Object.entries(feeds).map(([name, t]) => [name, ortTensor(t)]));
  const [x, y] = [await ortOutputs(toBytes(a), cast()), await ortOutputs(toBytes(b), cast())];
  for (const [name, { type, bits }] of Object.entries(x)) {
    if (type !== "float32") continue;
    const floats = (b: Uint8Array) => new Float32Array(b.slice().buffer);
    const [u, v] = [floats(bits as Uint8Array), floats(y[name]!.bits as Uint8Array)];
    const size = u.reduce((m, e) => Math.max(m, Math.abs(e)), 0);
    assert.ok(Number.isFinite(size) && size > 1e-6, `${name}: up to ${size}: nothing to compare`);
    const error = u.reduce((m, e, i) => Math.max(m, Math.abs(e - v[i]!)), 0);
    assert.ok(error <= 1e-4 * size, `${name}: differs by ${error} of ${size}`);
  }
}

let orderable = 0;
const skipped = ["espcn_subpixel_quant", "super_resolution", "sklearn_randomforest", "style_candy_winml"];
const models: Model[] = sharedModels((m) => !skipped.includes(m.name));
for (const model of models)
  test(`same outputs in another order: ${model.name}`, async (t) => {
    const graph = pruned(await read(model.path), louder);
    const ordered = orderChannels(graph);
    const names = moved(graph, ordered);
    t.diagnostic(`${names.length} constants moved`);
    if (names.length) orderable++;
    await assertSameOutputs(graph, ordered, randomFeeds(model, graph));
  });
test("most models have an order to choose", (t) => {
  if (models.length === 0) return t.skip(needsShared);
  t.diagnostic(`${orderable} of ${models.length}`);
  assert.ok(orderable > models.length / 2);
});

for (const name of ["lenet-300-100", "lenet-5", "resnet-20"])
  test(`${name} computes the same and packs smaller`, async (t) => {
    const graph = pruned(network(name, { seed: 2 }), fewValues);
    const ordered = orderChannels(graph);
    assert.ok(moved(graph, ordered).length >= 3);
    const feeds = randomFeeds(
      { name, path: "", dims: { x: [2, ...(graph.inputs[0]!.shape!.slice(1) as number[])] } },
      graph,
    );
    await assertSameOutputs(graph, ordered, feeds);
    const [before, after] = [pack(graph).length, pack(ordered).length];
    t.diagnostic(`${before} -> ${after} bytes`);
    assert.ok(after < 0.99 * before, `${before} -> ${after}`);
  });

test("dense graphs stay as they are", () => {
  const graph = network("lenet-300-100", { seed: 2 });
  assert.deepEqual(moved(graph, orderChannels(graph)), []);
});
