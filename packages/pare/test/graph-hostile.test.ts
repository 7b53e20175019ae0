/** Bad model files: each gives one PareError that says where, soon and in bounded memory. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import { fromBytes } from "../dist/graph/decode.js";
import { node } from "../dist/graph/emit.js";
import { toBytes } from "../dist/graph/encode.js";
import { PareError } from "../dist/graph/error.js";
import { ModelProtoSchema } from "../dist/graph/generated/onnx_pb.js";
import type { FunctionDefinition, Graph } from "../dist/graph/graph.js";
import { Pieces } from "../dist/graph/pieces.js";
import { mutate } from "./fuzz/mutate.js";
import { mutateModel } from "./fuzz/mutate-model.js";
import { branching, calling, handMadeModels } from "./support/hand-made.js";
import { packagedModels } from "./support/models.js";
import { seeded } from "./support/ort-outputs.js";
import { ramp, sumOf } from "./support/small-graph.js";

/** Reads; true where the file is good. Any other error than a PareError fails the test. */
function reads(bytes: Uint8Array, what: string): boolean {
  try {
    fromBytes(bytes);
    return true;
  } catch (error) {
    assert.ok(error instanceof PareError, `${what}: ${error instanceof Error ? error.stack : error}`);
    assert.ok(error.message.length < 10_000, what);
    return false;
  }
}
const refuses = (bytes: Uint8Array, message: RegExp) =>
  assert.throws(
    () => fromBytes(bytes),
    (error) => {
      assert.ok(error instanceof PareError, String(error));
      assert.match(error.message, message);
      return true;
    },
  );

test("cut off after any byte", () => {
  for (const [name, bytes] of Object.entries(handMadeModels())) {
    // What is left may be a model without its last fields; most often it is none.
    const good = Array.from(bytes.keys()).filter((end) => reads(bytes.subarray(0, end), `${name} cut at ${end}`));
    assert.ok(good.length < 5, `${name}: ${good.length} of ${bytes.length} cuts went unnoticed: ${good}`);
  }
  for (const { name, path } of packagedModels()) {
    const bytes = new Uint8Array(readFileSync(path));
    for (let i = 0; i < 20; i++)
      assert.ok(!reads(bytes.subarray(0, Math.floor((bytes.length * i) / 20)), `${name}, part ${i}`));
    assert.ok(!reads(bytes.subarray(0, bytes.length - 20), `${name}, without its last bytes`));
  }
});

test("any bit flipped", () => {
  for (const [name, bytes] of Object.entries(handMadeModels())) {
    let refused = 0;
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const damaged = bytes.slice();
      damaged[bit >> 3]! ^= 1 << (bit & 7);
      if (!reads(damaged, `${name}, bit ${bit}`)) refused++;
    }
    assert.ok(refused > bytes.length, `${name}: only ${refused} of ${bytes.length * 8} flips were refused`);
  }
});

test("two thousand seeded damages", () => {
  const models = Object.values(handMadeModels());
  for (let seed = 0; seed < 2000; seed++) {
    const random = seeded(seed);
    const bytes = models[seed % models.length]!;
    reads((seed & 1 ? mutate : mutateModel)(bytes, random), `seed ${seed}`);
  }
});

test("nodes in a cycle are shown; nodes out of order are sorted", () => {
  const graph = sumOf({ a: ramp(1), b: ramp(1), c: ramp(1) });
  const sorted = graph.nodes;
  graph.nodes = [...sorted].reverse();
  assert.deepEqual(fromBytes(toBytes(graph)).nodes, fromBytes(toBytes({ ...graph, nodes: sorted })).nodes);
  graph.nodes = sorted.map((n) => (n.inputs[0] === "x" ? { ...n, inputs: ["after c", "a"] } : n));
  refuses(toBytes(graph), /3 nodes form a cycle: Add "after \w" needs Add .* needs Add .* needs Add/);
  refuses(
    toBytes({ ...graph, nodes: [node("Identity", ["y"], ["y"])] }),
    /1 nodes form a cycle: Identity "y" needs Identity "y"/,
  );
});

test("functions that call themselves, or one another, or grow without end", () => {
  const graph = calling() as Graph & { functions: FunctionDefinition[] };
  const [scale, twice] = graph.functions as [FunctionDefinition, FunctionDefinition];
  const bodyOf = (f: FunctionDefinition, op: string): FunctionDefinition => ({
    ...f,
    attributes: [],
    nodes: [node(op, ["a"], ["b"], {}, "own")],
  });
  refuses(toBytes({ ...graph, functions: [scale, bodyOf(twice, "Twice")] }), /function own:Twice calls itself/);
  refuses(
    toBytes({ ...graph, functions: [bodyOf(scale, "Twice"), bodyOf(twice, "Scale")] }),
    /function own:\w+ calls itself: own:\w+ -> own:\w+/,
  );
  refuses(toBytes({ ...graph, functions: [scale, scale, twice] }), /two functions are named own:Scale/);
  const laughs = Array.from(
    { length: 40 },
    (_, i): FunctionDefinition => ({
      ...twice,
      name: `F${i}`,
      nodes: [node(`F${i + 1}`, ["a"], ["m"], {}, "own"), node(`F${i + 1}`, ["m"], ["b"], {}, "own")],
    }),
  );
  refuses(toBytes({ ...graph, functions: [scale, twice, ...laughs] }), /written out, come to \d+ nodes/);
  const chain = Array.from({ length: 5000 }, (_, i) => ({ ...bodyOf(twice, `F${i + 1}`), name: `F${i}` }));
  refuses(toBytes({ ...graph, functions: [scale, twice, ...chain] }), /more than 100 deep/);
});

test("bodies within bodies: 30 are read, 40 and 2,000 refused", () => {
  const nested = (depth: number): Uint8Array => {
    // Framed by hand: no writer of objects would survive the depth.
    const branch = new Pieces().add(
      toBinary(ModelProtoSchema.field.graph!.message!, create(ModelProtoSchema.field.graph!.message!)),
    );
    let inner = branch;
    const ascii = (text: string) => new TextEncoder().encode(text);
    for (let i = 0; i < depth; i++) {
      const attribute = new Pieces()
        .field(1, ascii("then_branch"))
        .field(6, inner)
        .add(Uint8Array.of(0xa0, 1, 5));
      const wrapped = new Pieces().field(1, ascii("c")).field(4, ascii("If")).field(5, attribute);
      inner = new Pieces().field(1, wrapped);
    }
    const input = toBinary(
      ModelProtoSchema.field.graph!.message!,
      create(ModelProtoSchema.field.graph!.message!, { input: [{ name: "c" }] } as never),
    );
    return new Pieces()
      .add(Uint8Array.of(8, 8, 0x42, 2, 0x10, 17))
      .field(7, inner.add(input))
      .join();
  };
  assert.equal(fromBytes(nested(30)).nodes.length, 1);
  refuses(nested(40), /nested deeper than 100|nested deeper than 32/);
  refuses(nested(2000), /nested deeper than 100/);
});

test("lengths and dims that no file has", () => {
  const bytes = toBytes(sumOf({ w: ramp(4) }));
  const at = Buffer.from(bytes).indexOf(Buffer.from(ramp(4).bytes));
  for (const huge of [
    [0xff, 0xff, 0xff, 0xff, 0x07],
    [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f],
  ]) {
    const damaged = new Uint8Array([...bytes.subarray(0, at - 1), ...huge, ...bytes.subarray(at)]);
    refuses(damaged, /byte \d+, in graph(\.initializer\[0\])?: \w+ of \d+ bytes passes the end of its part/);
  }
  const withDims = (dims: bigint[]) =>
    toBinary(
      ModelProtoSchema,
      create(ModelProtoSchema, {
        irVersion: 8n,
        opsetImport: [{ version: 17n }],
        graph: { initializer: [{ name: "w", dims, dataType: 1, rawData: new Uint8Array(8) }] },
      }),
    );
  refuses(withDims([2n ** 62n]), /initialiser "w": shape \[\d+\] is not one that a tensor can have/);
  refuses(withDims([2n ** 32n, 2n ** 32n]), /is not one that a tensor can have/);
  refuses(withDims([-2n]), /is not one that a tensor can have/);
  refuses(withDims([2n ** 40n]), /needs 4398046511104 bytes, the file has 8/);
  refuses(withDims([3n]), /float32 \[3\] needs 12 bytes, the file has 8/);
});

test("millions of empty parts cost neither memory nor time", () => {
  for (const field of [0x0a, 0x2a, 0x5a]) {
    const parts = new Uint8Array(20_000_000);
    for (let i = 0; i < parts.length; i += 2) parts[i] = field;
    const before = process.memoryUsage.rss();
    refuses(new Pieces().add(Uint8Array.of(8, 8)).field(7, parts).join(), /more small parts than 1 GiB/);
    assert.ok(process.memoryUsage.rss() - before < 500e6);
  }
});

test("names are shown so that they cannot hide anything", () => {
  const graph = branching();
  const evil = "a\n\u001b[2J\u202e".padEnd(5000, "z");
  refuses(
    toBytes({ ...graph, outputs: [{ name: evil, type: "float32", shape: null }] }),
    /output "a\\n\\u001b\[2J\\u202ez+…" is computed by nothing/,
  );
});

test("what is no model at all", () => {
  refuses(new Uint8Array(0), /it is empty/);
  refuses(new TextEncoder().encode("<html>404 Not Found</html>"), /not a readable ONNX model/);
  refuses(new Uint8Array(1000), /byte 0: field number 0 does not exist/);
  refuses(Uint8Array.of(8, 8), /no graph/);
  for (let seed = 0; seed < 300; seed++) {
    const random = seeded(seed);
    assert.ok(
      !reads(
        Uint8Array.from({ length: seed }, () => random() * 256),
        `noise ${seed}`,
      ),
    );
  }
});
