/** pack and unpack on graphs made at random, on odd tensors and on LeNets: every bit comes back, and the layout is as small as promised. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { node } from "../dist/graph/emit.js";
import type { Attribute, Draft, ElementType, Graph, Node, Subgraph, Tensor, Value } from "../dist/graph/graph.js";
import { emptyGraph } from "../dist/graph/graph.js";
import { bitsOf, byteLengthOf, floats } from "../dist/graph/tensor.js";
import { pack, unpack } from "../dist/pack/pack.js";
import { packedSize } from "../dist/pack/size.js";
import { canonical } from "./support/canonical.js";
import { seeded } from "./support/ort-outputs.js";
import { assertSame } from "./support/same.js";
import { sumOf } from "./support/small-graph.js";

const types = (Object.keys(bitsOf) as ElementType[]).filter((t) => t !== "undefined" && t !== "string");

const tensorOf = (type: ElementType, dims: readonly number[]): fc.Arbitrary<Tensor> => {
  const size = byteLengthOf(type, dims);
  const sub = bitsOf[type] < 8 ? (bitsOf[type] * dims.reduce((p, d) => p * d, 1)) % 8 : 0;
  // Bits beyond the last element of a packed type mean nothing.
  const trim = (bytes: Uint8Array) => {
    if (sub) bytes[size - 1]! &= (1 << sub) - 1;
    return bytes;
  };
  const noise = fc.uint8Array({ minLength: size, maxLength: size });
  const few = fc
    .tuple(fc.uint8Array({ minLength: 1, maxLength: 48 }), noise)
    .map(([pool, pick]) => pick.map((b, i) => (b < 160 ? 0 : pool[(b + (i % 4)) % pool.length]!)));
  return fc.oneof(noise, few, fc.constant(new Uint8Array(size))).map((bytes) => ({ type, dims, bytes: trim(bytes) }));
};
const dims = fc.oneof(
  fc.constant([]),
  fc.array(fc.integer({ min: 0, max: 5 }), { maxLength: 4 }),
  fc.tuple(fc.integer({ min: 1, max: 12 }), fc.integer({ min: 1, max: 36 })),
);
const strings: fc.Arbitrary<Tensor> = fc
  .array(fc.uint8Array({ maxLength: 5 }), { maxLength: 4 })
  .map((strings) => ({ type: "string", dims: [strings.length], bytes: new Uint8Array(0), strings }));
const tensor: fc.Arbitrary<Tensor> = fc.oneof(
  { weight: 9, arbitrary: fc.tuple(fc.constantFrom(...types), dims).chain(([type, d]) => tensorOf(type, d)) },
  { weight: 1, arbitrary: strings },
);
const text = fc.oneof(fc.string({ maxLength: 6 }), fc.string({ unit: "binary", maxLength: 4 }));
const int = fc.oneof(
  fc.integer(),
  fc.maxSafeInteger(),
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map((x) => (BigInt.asIntN(54, x) === x ? Number(x) : x)),
);
const float = fc.oneof(
  fc.float(),
  fc.double(),
  fc.integer({ min: -9, max: 9 }).map((x) => Math.fround(x / 10)),
);
const dim = fc.oneof(fc.nat(), fc.constantFrom("", "batch", "n"), text);
const valueType = fc.record({
  type: fc.constantFrom(...types),
  shape: fc.option(fc.array(dim, { maxLength: 4 })),
});
const anything = fc.anything({ withBigInt: true, withMap: true, withTypedArray: false, withSet: false });

function attribute(depth: number): fc.Arbitrary<Attribute> {
  const of = <K extends Attribute["kind"]>(kind: K, value: fc.Arbitrary<unknown>) =>
    value.map((v) => ({ kind, value: v }) as unknown as Attribute);
  const list = <T>(x: fc.Arbitrary<T>) => fc.array(x, { maxLength: 3 });
  return fc.oneof(
    of("int", int),
    of("ints", list(int)),
    of("float", float),
    of("floats", list(float)),
    of("string", text),
    of("strings", list(text)),
    of("tensor", tensor),
    fc.uint8Array({ maxLength: 9 }).map((data): Attribute => ({ kind: "other", proto: { type: 11, data } })),
    ...(depth > 0 ? [of("graph", body(depth - 1)), of("graphs", fc.array(body(depth - 1), { maxLength: 2 }))] : []),
  );
}

/** A body whose nodes read earlier names, names of nothing ("") and initialisers; inner names are unique by `prefix`. */
function body(depth: number): fc.Arbitrary<Subgraph> {
  const operator = fc.record({
    op: fc.constantFrom("Conv", "Relu", "Own", "If"),
    domain: fc.constantFrom("", "own"),
    reads: fc.array(fc.nat(), { maxLength: 4 }),
    writes: fc.integer({ min: 0, max: 3 }),
    attributes: fc.dictionary(text, attribute(depth), { maxKeys: 3, noNullPrototype: true }),
  });
  return fc
    .record({
      id: fc.nat(),
      inputs: fc.array(valueType, { maxLength: 3 }),
      outputs: fc.array(fc.tuple(fc.nat(), valueType), { maxLength: 2 }),
      constants: fc.array(tensor, { maxLength: 3 }),
      shadowing: fc.boolean(),
      operators: fc.array(operator, { maxLength: 4 }),
    })
    .map(({ id, inputs, outputs, constants, shadowing, operators }) => {
      const prefix = `${depth}.${id}`;
      const names: string[] = [];
      const named = (name: string) => {
        names.push(name);
        return name;
      };
      const values = inputs.map((v, i): Value => ({ ...v, name: named(`${prefix} in ${i}`) }));
      const initializers = new Map<string, Tensor>(constants.map((t, i) => [named(`${prefix} const ${i}`), t]));
      if (shadowing && values.length && constants.length) initializers.set(values[0]!.name, constants[0]!);
      const nodes = operators.map(({ op, domain, reads, writes, attributes }, i): Node => {
        const ins = reads.map((r) => (r % 5 === 0 || names.length === 0 ? "" : names[r % names.length]!));
        const outs = Array.from({ length: writes }, (_, k) => (k === 1 ? "" : named(`${prefix} out ${i}.${k}`)));
        return { op, domain, name: `node ${i}`, inputs: ins, outputs: outs, attributes };
      });
      const computed = nodes.flatMap((n) => n.outputs).filter((o) => o !== "");
      const ends = computed.length
        ? outputs.map(([k, v]): Value => ({ ...v, name: computed[k % computed.length]! }))
        : [];
      return { name: prefix, nodes, initializers, inputs: values, outputs: ends, values: new Map() };
    });
}
const graph: fc.Arbitrary<Graph> = fc
  .record({
    body: body(2),
    irVersion: fc.integer({ min: 3, max: 12 }),
    metadata: fc.dictionary(text, text, { noNullPrototype: true }),
  })
  .map(({ body, irVersion, metadata }) => ({
    ...body,
    irVersion,
    opsets: new Map([
      ["", 21],
      ["own", 1],
    ]),
    functions: [],
    metadata: new Map(Object.entries(metadata)),
  }));

test("graphs made at random come back", () => {
  fc.assert(
    fc.property(graph, (g) => {
      const bytes = pack(g);
      const back = unpack(bytes);
      assertSame(canonical(back), canonical(g), "unpacked");
      assertSame(pack(back), bytes, "packed again");
      assertSame(unpack(pack(g, { keepNames: true })), g, "with names");
    }),
    { numRuns: 150, seed: 3 },
  );
});

test("whatever a file says beyond the graph comes back", () => {
  fc.assert(
    fc.property(anything, (said) => {
      fc.pre(
        said !== undefined && !JSON.stringify(said, (_, v) => (typeof v === "bigint" ? 0 : v))?.includes("__proto__"),
      );
      const g: Graph = { ...sumOf({}), extra: { said } };
      // Objects without a prototype and symbols do not come out of model files.
      assertSame(structuredClone(unpack(pack(g)).extra), structuredClone({ said }), "extra");
    }),
    { numRuns: 200, seed: 3 },
  );
});

const bits32 = (values: readonly number[], dims: readonly number[]): Tensor => ({
  type: "float32",
  dims,
  bytes: new Uint8Array(Uint32Array.from(values).buffer),
});
const random = seeded(5);
const odd: Record<string, Tensor> = {
  "no elements": floats([], [0]),
  "no elements in two axes": floats([], [3, 0]),
  "one element without axes": floats([1.5], []),
  "all zero": floats(new Float32Array(1000), [10, 100]),
  "all equal": floats(new Float32Array(1000).fill(0.1), [10, 100]),
  "minus zero": bits32([0x80000000, 0, 0x80000000, 0], [4]),
  "NaN with payloads": bits32([0x7fc00001, 0x7f800001, 0xffc12345, 0x7fc00001, 0x3f800000], [5]),
  "infinities and denormals": bits32([0x7f800000, 0xff800000, 1, 0x80000001, 0x007fffff, 0], [6]),
  "a signalling NaN among many values": bits32(
    [0x7f800001, ...Array.from({ length: 999 }, () => random() * 2 ** 32)],
    [1000],
  ),
  "float16 kept as float32": floats(
    Float32Array.from({ length: 900 }, () => Math.round(random() * 2048) / 4096),
    [900],
  ),
  "a grid": floats(
    Float32Array.from({ length: 900 }, () => Math.fround(0.0371 * Math.round(random() * 14 - 7))),
    [30, 30],
  ),
  "two values, neither zero": floats(
    Float32Array.from({ length: 900 }, () => (random() < 0.5 ? -1 : 1)),
    [30, 30],
  ),
  "256 values": { type: "uint8", dims: [40, 40], bytes: Uint8Array.from({ length: 1600 }, (_, i) => i) },
  "257 values": {
    type: "int16",
    dims: [257],
    bytes: new Uint8Array(Int16Array.from({ length: 257 }, (_, i) => i - 99).buffer),
  },
  "int64 beyond 2^53": {
    type: "int64",
    dims: [3],
    bytes: new Uint8Array(BigInt64Array.of(2n ** 62n, -1n, 2n ** 62n).buffer),
  },
  "int4 of odd length": { type: "int4", dims: [5], bytes: Uint8Array.of(0x21, 0x8f, 0x07) },
  "a long row of one survivor": floats(
    Float32Array.from({ length: 70000 }, (_, i) => (i === 69999 ? 1 : 0)),
    [70000],
  ),
};
for (const [what, t] of Object.entries(odd)) {
  test(`a tensor with ${what}`, () => {
    for (const coder of ["best", "deep-compression"] as const) {
      const g = sumOf({ w: t });
      const bytes = pack(g, { coder });
      assertSame([...unpack(bytes).initializers.values()], [t], coder);
      assertSame(pack(unpack(bytes), { coder }), bytes, "packed again");
    }
  });
}

/** Pruned and clustered weights: columns and rows of different density, 7 values. */
function pruned(rows: number, columns: number, kept: number): Tensor {
  const density = Float64Array.from({ length: columns }, () => random() ** 3 * 4 * kept);
  const row = Float64Array.from({ length: rows }, () => 0.5 + random());
  const centroids = [-0.31, -0.22, -0.1, 0.09, 0.13, 0.2, 0.34].map(Math.fround);
  return floats(
    Float32Array.from({ length: rows * columns }, (_, i) =>
      random() < density[i % columns]! * row[Math.floor(i / columns)]! ? centroids[Math.floor(random() * 7)]! : 0,
    ),
    [rows, columns],
  );
}
function lenet(conv: boolean): Draft {
  const g = emptyGraph("lenet", 21);
  g.inputs.push({ name: "input", type: "float32", shape: ["batch", 1, 28, 28] });
  g.outputs.push({ name: "output", type: "float32", shape: ["batch", 10] });
  let x = "input";
  const add = (op: string, weights: readonly Tensor[], attributes: Parameters<typeof node>[3], last = false) => {
    const names = weights.map((t, i) => {
      const name = `${op}${g.nodes.length}.${i ? "bias" : "weight"}`;
      g.initializers.set(name, t);
      return name;
    });
    const y = last ? "output" : `${op}${g.nodes.length}`;
    g.nodes.push(node(op, [x, ...names], [y], attributes));
    x = y;
  };
  const bias = (n: number) => floats(Float32Array.from({ length: n }, random), [n]);
  let features = 784;
  if (conv) {
    for (const [o, c] of [
      [20, 1],
      [50, 20],
    ] as const) {
      add("Conv", [{ ...pruned(o, c * 25, 0.2), dims: [o, c, 5, 5] }, bias(o)], { kernel_shape: [5, 5] });
      add("MaxPool", [], { kernel_shape: [2, 2], strides: [2, 2] });
    }
    features = 800;
  }
  add("Flatten", [], { axis: 1 });
  const sizes = conv ? [500, 10] : [300, 100, 10];
  for (const [i, n] of sizes.entries()) {
    const last = i === sizes.length - 1;
    add(
      "Gemm",
      [pruned(n, i ? sizes[i - 1]! : features, 0.05), bias(n)],
      { transB: 1, alpha: { float: 1 }, beta: { float: 1 } },
      last,
    );
    if (!last) add("Relu", [], {});
  }
  return g;
}

for (const conv of [false, true]) {
  test(`the topology of LeNet-${conv ? "5" : "300-100"} costs less than 200 bytes, and its weights less than zeroth-order entropy`, (t) => {
    const g = lenet(conv);
    const size = packedSize(g);
    t.diagnostic(
      `topology ${size.topologyBytes.toFixed(0)} bytes, weights ${size.bytes} of ${size.entropyBytes.toFixed(0)}`,
    );
    assert.ok(size.topologyBytes < 100, `${size.topologyBytes}`);
    const weights = size.tensors.filter((w) => w.name.endsWith("weight"));
    const of = (f: (w: (typeof weights)[number]) => number) => weights.reduce((sum, w) => sum + f(w), 0);
    assert.ok(of((w) => w.bytes) < 0.96 * of((w) => w.entropyBytes));
    const sum = size.tensors.reduce((total, w) => total + w.bytes, size.topologyBytes);
    assert.ok(Math.abs(sum - size.bytes) < 8, `shares of ${sum}, file of ${size.bytes} bytes`);
    assertSame(canonical(unpack(pack(g))), canonical(g), "unpacked");
  });
}

test("each tensor takes the coding that is smallest for it", () => {
  const coding = (t: Tensor) => packedSize(sumOf({ w: t })).tensors[0]!.coding;
  assert.equal(coding(pruned(100, 100, 0.1)), "codebook");
  assert.equal(coding(odd["all equal"]!), "constant");
  assert.equal(
    coding(
      floats(
        Float32Array.from({ length: 5000 }, () => random() - random()),
        [50, 100],
      ),
    ),
    "floats",
  );
  const noise = Uint8Array.from({ length: 8000 }, () => random() * 256);
  assert.equal(coding({ type: "float64", dims: [1000], bytes: noise }), "raw");
});
