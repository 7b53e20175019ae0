/** Coupled channels on small graphs for what the real models do not show: the operators that repeat sizes, shared constants, open batches. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { couple } from "../dist/analyze/couple.js";
import { cut, masked } from "../dist/analyze/cut.js";
import { groupsOf } from "../dist/analyze/groups.js";
import type { Graph } from "../dist/graph/graph.js";
import { prove, run, summary } from "./support/cut-proof.js";
import { randomFeeds } from "./support/expose.js";
import { Net } from "./support/net.js";
import { far } from "./support/zeros.js";

const pads = [1, 1, 1, 1];
const image = [2, 3, 8, 8];

/** Name, free channels expected, graph. */
const nets: readonly [string, number[], () => Graph][] = [
  [
    "Split into two gates",
    [12],
    () => {
      const n = new Net(image);
      const [a, b] = n.ops(
        "Split",
        [n.op("Conv", ["x", [24, 3, 3, 3], [24]], { pads }), n.ints(12, 12)],
        { axis: 1 },
        2,
      );
      return n.done(n.op("Conv", [n.op("Mul", [a!, n.op("Sigmoid", [b!])]), [5, 12, 1, 1], [5]]));
    },
  ],
  [
    "Split by num_outputs",
    [12],
    () => {
      const n = new Net(image);
      const c = n.op("Conv", ["x", [24, 3, 3, 3], [24]], { pads });
      const [a, b] = n.ops("Split", [c], { axis: 1, num_outputs: 2 }, 2);
      return n.done(n.op("Conv", [n.op("Mul", [a!, n.op("Sigmoid", [b!])]), [5, 12, 1, 1]]));
    },
  ],
  [
    "uneven Split of opset 11, joined in another order",
    [24],
    () => {
      const n = new Net(image, 11);
      const [a, b] = n.ops(
        "Split",
        [n.op("Conv", ["x", [24, 3, 3, 3], [24]], { pads })],
        { axis: 1, split: [8, 16] },
        2,
      );
      return n.done(n.op("Conv", [n.op("Concat", [n.op("Tanh", [b!]), a!], { axis: 1 }), [5, 24, 1, 1]]));
    },
  ],
  [
    "grouped ConvTranspose",
    [3, 4, 6],
    () => {
      const n = new Net(image);
      const r = n.op("Relu", [n.op("Conv", ["x", [12, 3, 3, 3], [12]], { pads })]);
      const t = n.op("ConvTranspose", [r, [12, 6, 2, 2], [18]], { group: 3, strides: [2, 2] });
      return n.done(n.op("Conv", [n.op("PRelu", [t, [18, 1, 1]]), [5, 18, 1, 1]]));
    },
  ],
  [
    "squeeze and excite",
    [4, 8],
    () => {
      const n = new Net(image);
      const c = n.op("Conv", ["x", [8, 3, 3, 3], [8]], { pads });
      const squeezed = n.op("Tanh", [n.op("Conv", [n.op("GlobalAveragePool", [c]), [4, 8, 1, 1], [4]])]);
      const gate = n.op("Sigmoid", [n.op("Conv", [squeezed, [8, 4, 1, 1], [8]])]);
      return n.done(n.op("Conv", [n.op("Mul", [c, gate]), [5, 8, 1, 1]]));
    },
  ],
  [
    "SpaceToDepth and DepthToSpace",
    [6, 6],
    () => {
      const n = new Net(image);
      const s = n.op("SpaceToDepth", [n.op("Conv", ["x", [6, 3, 3, 3], [6]], { pads })], { blocksize: 2 });
      const c = n.op("Relu", [n.op("Conv", [s, [24, 24, 3, 3], [24]], { pads })]);
      return n.done(n.op("Conv", [n.op("DepthToSpace", [c], { blocksize: 2 }), [5, 6, 1, 1]]));
    },
  ],
  [
    "a permutation of channels by Gather, and one channel picked",
    [8],
    () => {
      const n = new Net(image);
      const c = n.op("Conv", ["x", [8, 3, 3, 3], [8]], { pads });
      const p = n.op("Gather", [c, n.ints(3, 1, 7, 0, -4, 2, 6, 5)], { axis: 1 });
      return n.done(n.op("Conv", [n.op("Relu", [p]), [5, 8, 1, 1]]));
    },
  ],
  [
    "one channel picked by number stays",
    [7],
    () => {
      const n = new Net(image);
      const c = n.op("Conv", ["x", [8, 3, 3, 3], [8]], { pads });
      return n.done(n.op("Conv", [c, [5, 8, 1, 1]]), n.op("Gather", [c, n.scalar(2)], { axis: 1 }));
    },
  ],
  [
    "Slice into overlapping parts",
    [2, 10],
    () => {
      const n = new Net(image);
      const c = n.op("Conv", ["x", [12, 3, 3, 3], [12]], { pads });
      const a = n.op("Slice", [c, n.ints(0), n.ints(8), n.ints(1)]);
      const b = n.op("Slice", [c, n.ints(-6), n.ints(2 ** 31), n.ints(1)]);
      return n.done(n.op("Conv", [n.op("Concat", [a, b], { axis: 1 }), [5, 14, 1, 1]]));
    },
  ],
  [
    "Slice of opset 9",
    [3, 5],
    () => {
      const n = new Net(image, 9);
      const c = n.op("Conv", ["x", [8, 3, 3, 3], [8]], { pads });
      const a = n.op("Slice", [c], { starts: [3], ends: [2 ** 31], axes: [1] });
      return n.done(n.op("Conv", [a, [5, 5, 1, 1]]), n.op("Conv", [c, [4, 8, 1, 1]]));
    },
  ],
  [
    "every second channel by a stepped Slice: held",
    [],
    () => {
      const n = new Net(image);
      const c = n.op("Conv", ["x", [8, 3, 3, 3], [8]], { pads });
      return n.done(n.op("Conv", [n.op("Slice", [c, n.ints(0), n.ints(8), n.ints(1), n.ints(2)]), [5, 4, 1, 1]]));
    },
  ],
  [
    "Tile and Expand",
    [6, 4],
    () => {
      const n = new Net([2, 4, 10]);
      const a = n.op("Tile", [n.op("MatMul", ["x", [10, 6]]), n.ints(1, 1, 3)]);
      const h = n.op("MatMul", [a, [18, 4]]);
      const e = n.op("Expand", [n.op("Unsqueeze", [h, n.ints(1)]), n.ints(2, 3, 4, 4)]);
      return n.done(n.op("MatMul", [e, [4, 5]]));
    },
  ],
  [
    "grouped-query attention",
    [2, 2, 4, 4],
    () => {
      const n = new Net([2, 6, 16]);
      const heads = (x: string, count: number, d: number) =>
        n.op("Transpose", [n.op("Reshape", [x, n.ints(2, 6, count, d)])], { perm: [0, 2, 1, 3] });
      const wide = (x: string) => {
        const e = n.op("Expand", [n.op("Reshape", [x, n.ints(2, 2, 1, 6, 4)]), n.ints(2, 2, 2, 6, 4)]);
        return n.op("Reshape", [e, n.ints(2, 4, 6, 4)]);
      };
      const q = heads(n.op("MatMul", ["x", [16, 16]]), 4, 4);
      const k = wide(heads(n.op("MatMul", ["x", [16, 8]]), 2, 4));
      const v = wide(heads(n.op("MatMul", ["x", [16, 8]]), 2, 4));
      const p = n.op("Softmax", [n.op("MatMul", [q, n.op("Transpose", [k], { perm: [0, 1, 3, 2] })])], { axis: -1 });
      const o = n.op("Reshape", [
        n.op("Transpose", [n.op("MatMul", [p, v])], { perm: [0, 2, 1, 3] }),
        n.ints(2, 6, 16),
      ]);
      return n.done(n.op("MatMul", [o, [16, 5]]));
    },
  ],
  [
    "bidirectional GRU",
    [8],
    () => {
      const n = new Net([4, 2, 6]);
      const [y] = n.ops(
        "GRU",
        ["x", [2, 24, 6], [2, 24, 8], [2, 48]],
        { hidden_size: 8, direction: "bidirectional" },
        2,
      );
      const flat = n.op("Reshape", [n.op("Transpose", [y!], { perm: [0, 2, 1, 3] }), n.ints(4, 2, 16)]);
      return n.done(n.op("MatMul", [flat, [16, 5]]));
    },
  ],
  [
    "RNN with an initial state of constants",
    [8],
    () => {
      const n = new Net([4, 2, 6]);
      const [y] = n.ops("RNN", ["x", [1, 8, 6], [1, 8, 8], [1, 16], "", [1, 2, 8]], { hidden_size: 8 }, 2);
      return n.done(n.op("MatMul", [n.op("Squeeze", [y!, n.ints(1)]), [8, 5]]));
    },
  ],
  [
    "norms, pools, padding and resizing",
    [8],
    () => {
      const n = new Net(image);
      const c = n.op("Conv", [n.op("Pad", ["x", n.ints(0, 0, 1, 1, 0, 0, 1, 1)]), [8, 3, 3, 3], [8]]);
      const i = n.op("InstanceNormalization", [c, [8], [8]]);
      const p = n.op("AveragePool", [i], { kernel_shape: [2, 2], strides: [2, 2] });
      const r = n.op("Resize", [p, "", "", n.ints(2, 8, 8, 8)], { mode: "linear" });
      return n.done(n.op("Gemm", [n.op("Flatten", [n.op("MaxPool", [r], { kernel_shape: [2, 2] })]), [392, 5], [5]]));
    },
  ],
  [
    "two views of one axis: held, since no list can say both",
    [],
    () => {
      const n = new Net(image);
      const c = n.op("ReduceMean", [n.op("Conv", ["x", [12, 3, 3, 3]], { pads }), n.ints(2, 3)], { keepdims: 0 });
      const turn = (a: number, b: number) =>
        n.op("Reshape", [
          n.op("Transpose", [n.op("Reshape", [c, n.ints(2, a, b)])], { perm: [0, 2, 1] }),
          n.ints(2, 12),
        ]);
      return n.done(n.op("Gemm", [n.op("Add", [turn(3, 4), turn(2, 6)]), [12, 5]]));
    },
  ],
  [
    "a sum over rectified channels",
    [8],
    () => {
      const n = new Net(image);
      const c = n.op("Relu", [n.op("Conv", ["x", [8, 3, 3, 3], [8]], { pads })]);
      return n.done(n.op("ReduceSum", [c, n.ints(1)]));
    },
  ],
  [
    "a sum over sigmoids counts what is zeroed: held",
    [],
    () => {
      const n = new Net(image);
      const c = n.op("Sigmoid", [n.op("Conv", ["x", [8, 3, 3, 3], [8]], { pads })]);
      return n.done(n.op("ReduceSum", [c, n.ints(1)]));
    },
  ],
  [
    "linear attention: elu + 1 of zero is one, so query and key channels are held",
    [6],
    () => {
      const n = new Net([2, 6, 16]);
      const positive = (x: string) => n.op("Add", [n.op("Elu", [x]), n.g.scalar(1)]);
      const [q, k] = [positive(n.op("MatMul", ["x", [16, 4]])), positive(n.op("MatMul", ["x", [16, 4]]))];
      const v = n.op("MatMul", ["x", [16, 6]]);
      const kv = n.op("MatMul", [n.op("Transpose", [k], { perm: [0, 2, 1] }), v]);
      return n.done(n.op("MatMul", [n.op("MatMul", [q, kv]), [6, 5]]));
    },
  ],
  [
    "one bias for two layers of which one is held",
    [8],
    () => {
      const n = new Net([2, 6]);
      const bias = n.weight([8]);
      const a = n.op("Add", [n.op("MatMul", ["x", [6, 8]]), bias]);
      const b = n.op("Add", [n.op("MatMul", ["x", [6, 8]]), bias]);
      return n.done(n.op("MatMul", [n.op("Relu", [a]), [8, 3]]), b);
    },
  ],
];
for (const [name, sizes, make] of nets)
  test(`cut equals zeroed: ${name}`, async (t) => {
    const graph = make();
    const proof = await prove(graph, randomFeeds(graph));
    t.diagnostic(summary(proof));
    assert.deepEqual(proof.wrong, []);
    assert.equal(proof.missed, 0);
    assert.deepEqual(
      proof.free.map((g) => g.size).sort((a, b) => a - b),
      [...sizes].sort((a, b) => a - b),
    );
  });

/** Cuts with a batch of 2 in mind, then runs with a batch of 5. */
async function openBatch(graph: Graph, tail: readonly number[], expected: number): Promise<void> {
  const c = couple(graph, { inputs: { x: [2, ...tail] } });
  const free = groupsOf(c).filter((g) => !g.blocked);
  assert.equal(free.length, expected);
  const removed = new Set(free.flatMap((g) => g.channels.filter((_, i) => i % 3 !== 1)));
  for (const batch of [1, 5]) {
    const feeds = randomFeeds(graph, { x: [batch, ...tail] });
    const twin = await run(masked(c, removed), feeds);
    assert.ok(far(await run(graph, feeds), twin) > 1e-2, "zeroing changed nothing");
    const error = far(twin, await run(cut(c, removed), feeds));
    assert.ok(error < 1e-5, `batch ${batch}: off by ${error}`);
  }
}
/** Shape(x)[axis] as a vector of one. */
const length = (n: Net, x: string, axis: number): string => n.op("Gather", [n.op("Shape", [x]), n.ints(axis)]);

test("a batch that is open stays open: flattening by computed shapes and by literals", async () => {
  const n = new Net(["batch", 3, 8, 8]);
  const c = n.op("Relu", [n.op("Conv", ["x", [8, 3, 3, 3], [8]], { pads })]);
  const flat = n.op("Reshape", [c, n.op("Concat", [length(n, c, 0), n.ints(-1)], { axis: 0 })]);
  const h = n.op("Gemm", [flat, [512, 12], [12]]);
  const cube = n.op("Reshape", [h, n.op("Concat", [length(n, h, 0), n.ints(4, 3)], { axis: 0 })]);
  const back = n.op("Reshape", [cube, n.ints(0, 12)]);
  await openBatch(n.done(n.op("Gemm", [back, [12, 5]])), [3, 8, 8], 3);
});
test("a batch that is open stays open: recurrent states made by size", async () => {
  const n = new Net(["batch", 7, 6]);
  const t = n.op("Transpose", ["x"], { perm: [1, 0, 2] });
  const state = n.op("ConstantOfShape", [n.op("Concat", [n.ints(1), length(n, t, 1), n.ints(9)], { axis: 0 })]);
  const [y] = n.ops("LSTM", [t, [1, 36, 6], [1, 36, 9], [1, 72], "", state, state], { hidden_size: 9 }, 3);
  await openBatch(n.done(n.op("MatMul", [n.op("Squeeze", [y!, n.ints(1)]), [9, 5]])), [7, 6], 1);
});
test("a batch that is open stays open: attention scaled by the root of a computed head size", async () => {
  const n = new Net(["batch", 6, 16]);
  const heads = (x: string) => {
    const d = n.op("Div", [length(n, x, 2), n.ints(4)]);
    const shape = n.op("Concat", [length(n, x, 0), length(n, x, 1), n.ints(4), d], { axis: 0 });
    return n.op("Transpose", [n.op("Reshape", [x, shape])], { perm: [0, 2, 1, 3] });
  };
  const [q, k, v] = [
    heads(n.op("MatMul", ["x", [16, 24]])),
    heads(n.op("MatMul", ["x", [16, 24]])),
    heads(n.op("MatMul", ["x", [16, 24]])),
  ];
  const root = n.op("Sqrt", [n.g.cast(length(n, q, 3), "float32")]);
  const scores = n.op("Div", [n.op("MatMul", [q, n.op("Transpose", [k], { perm: [0, 1, 3, 2] })]), root]);
  const o = n.op("Transpose", [n.op("MatMul", [n.op("Softmax", [scores], { axis: -1 }), v])], { perm: [0, 2, 1, 3] });
  const flat = n.op("Reshape", [o, n.op("Concat", [length(n, "x", 0), length(n, "x", 1), n.ints(-1)], { axis: 0 })]);
  await openBatch(n.done(n.op("MatMul", [flat, [24, 5]])), [6, 16], 3);
});
test("an axis keeps one index at least", () => {
  const c = couple(nets[0]![2]());
  const removed = new Set(groupsOf(c).find((v) => !v.blocked)!.channels);
  assert.throws(() => cut(c, removed), {
    name: "PareError",
    message: /all \d+ indices of axis \d of .* would go; leave one/,
  });
});
test("cut and masked leave their graph alone", () => {
  const graph = nets[0]![2]();
  const before = JSON.stringify(graph, (_, v) => (v instanceof Map ? [...v] : v));
  const c = couple(graph);
  const removed = new Set(groupsOf(c)[0]!.channels.slice(0, 3));
  cut(c, removed);
  masked(c, removed);
  assert.equal(
    JSON.stringify(graph, (_, v) => (v instanceof Map ? [...v] : v)),
    before,
  );
});
