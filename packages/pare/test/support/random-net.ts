/** Random graphs whose channels are coupled in every way that networks couple them: drawn numbers come in; out, a Graph that onnxruntime runs. */
import fc from "fast-check";
import type { Graph } from "../../dist/graph/graph.js";
import { Net } from "./net.js";

/** One block of a network; what it cannot be applied to it leaves alone, so that any list of steps is a network. */
export interface Step {
  readonly kind: Kind;
  /** Which value it reads, how wide it is, which variant. */
  readonly pick: number;
  readonly size: number;
  readonly how: number;
}
export interface Plan {
  readonly seed: number;
  /** The batch is left open and shapes are computed. */
  readonly open: boolean;
  readonly steps: readonly Step[];
  readonly heads: readonly number[];
}
/** [batch, c, h, w], or [batch, t, d] where h is 0. */
interface Value {
  readonly name: string;
  readonly c: number;
  readonly h: number;
  readonly w: number;
}

class Build {
  readonly net: Net;
  readonly images: Value[] = [];
  readonly sequences: Value[] = [];
  constructor(readonly plan: Plan) {
    this.net = new Net([plan.open ? "n" : 2, 3, 4, 4], 18, plan.seed);
    this.images.push({ name: "x", c: 3, h: 4, w: 4 });
  }
  /** The batch as Reshape takes it: copied, computed, or a number where it is one. */
  reshape(x: string, dims: readonly number[], how: number): string {
    const { net } = this;
    if (how % 3 === 0) return net.op("Reshape", [x, net.ints(0, ...dims)]);
    if (how % 3 === 1 && !this.plan.open) return net.op("Reshape", [x, net.ints(2, ...dims)]);
    const batch = net.op("Gather", [net.op("Shape", ["x"]), net.ints(0)]);
    return net.op("Reshape", [x, net.op("Concat", [batch, net.ints(...dims)], { axis: 0 })]);
  }
  image(pick: number): Value {
    return this.images.at(-1 - (pick % Math.min(3, this.images.length)))!;
  }
  sequence(pick: number): Value {
    const { sequences } = this;
    if (sequences.length) return sequences.at(-1 - (pick % Math.min(3, sequences.length)))!;
    const { name, c, h, w } = this.image(pick);
    const flat = this.reshape(name, [c, pick % 2 ? -1 : h * w], pick);
    const seq = { name: this.net.op("Transpose", [flat], { perm: [0, 2, 1] }), c, h: 0, w: h * w };
    sequences.push(seq);
    return seq;
  }
  conv(x: Value, c: number, k = 1, group = 1, bias = true): Value {
    const inputs = [x.name, [c, x.c / group, k, k], ...(bias ? [[c]] : [])];
    const p = k >> 1;
    return { ...x, name: this.net.op("Conv", inputs, { pads: [p, p, p, p], group }), c };
  }
  linear(x: string, from: number, to: number): string {
    return this.net.op("Add", [this.net.op("MatMul", [x, [from, to]]), [to]]);
  }
}
const width = (size: number): number => 2 + (size % 7);
const even = (size: number): number => 4 + 2 * (size % 4);
const spatial = ["Relu", "Sigmoid", "Tanh", "HardSwish", "LeakyRelu", "Softplus", "Erf", "Abs"] as const;

/** Each gives the new values, images or sequences. */
const imageSteps = {
  conv: (b, x, s) => [b.conv(x, width(s.size), s.how % 2 ? 3 : 1, 1, s.how % 3 > 0)],
  stride: (b, x, s) =>
    x.h < 4
      ? []
      : [
          {
            name: b.net.op("Conv", [x.name, [width(s.size), x.c, 2, 2]], { strides: [2, 2] }),
            c: width(s.size),
            h: x.h >> 1,
            w: x.w >> 1,
          },
        ],
  norm: (b, x, s) => {
    const c = [x.c];
    const how = s.how % 4;
    if (how === 0) return [{ ...x, name: b.net.op("InstanceNormalization", [x.name, c, c]) }];
    if (how === 1) return [{ ...x, name: b.net.op("Mul", [x.name, [1, x.c, 1, 1]]) }];
    return [{ ...x, name: b.net.op("BatchNormalization", [x.name, c, c, c, c]) }];
  },
  layerNorm: (b, x) => {
    const last = b.net.op("Transpose", [x.name], { perm: [0, 2, 3, 1] });
    const normal = b.net.op("LayerNormalization", [last, [x.c], [x.c]], { axis: -1 });
    return [{ ...x, name: b.net.op("Transpose", [normal], { perm: [0, 3, 1, 2] }) }];
  },
  bend: (b, x, s) => [{ ...x, name: b.net.op(spatial[s.how % spatial.length]!, [x.name]) }],
  prelu: (b, x) => [{ ...x, name: b.net.op("PRelu", [x.name, [x.c, 1, 1]]) }],
  residual: (b, x, s) => {
    const other = b.images.filter((y) => y.h === x.h && y.w === x.w && y !== x && y.name !== "x");
    const y = other[s.size % other.length];
    if (!y) return [];
    const [p, q] = y.c === x.c && s.how % 4 ? [x, y] : [b.conv(x, even(s.size)), b.conv(y, even(s.size))];
    return [{ ...p, name: b.net.op(["Add", "Mul", "Sub", "Max"][s.how % 4]!, [p.name, q.name]) }];
  },
  concat: (b, x, s) => {
    const other = b.images.filter((y) => y.h === x.h && y.w === x.w && y.c + x.c < 40);
    const y = other[s.size % other.length];
    return y ? [{ ...x, name: b.net.op("Concat", [x.name, y.name], { axis: 1 }), c: x.c + y.c }] : [];
  },
  split: (b, x, s) => {
    if (x.c < 2) return [];
    const left = 1 + (s.size % (x.c - 1));
    const [p, q] = b.net.ops("Split", [x.name, b.net.ints(left, x.c - left)], { axis: 1 }, 2);
    return [
      { ...x, name: p!, c: left },
      { ...x, name: q!, c: x.c - left },
    ];
  },
  gate: (b, x, s) => {
    const y = b.conv(x, even(s.size));
    const [p, q] = b.net.ops("Split", [y.name], { axis: 1, num_outputs: 2 }, 2);
    return [{ ...y, name: b.net.op("Mul", [p!, b.net.op("Sigmoid", [q!])]), c: y.c / 2 }];
  },
  grouped: (b, x, s) => {
    const groups = [2, 3, 4].filter((g) => x.c % g === 0 && g < x.c);
    const g = groups[s.pick % groups.length];
    return g ? [b.conv(x, g * (1 + (s.size % 4)), s.how % 2 ? 3 : 1, g, s.how % 3 > 0)] : [];
  },
  depthwise: (b, x, s) => [b.conv(x, x.c * (1 + (s.size % 2)), 3, x.c, s.how % 2 > 0)],
  transposed: (b, x, s) => {
    const g = s.how % 2 && x.c % 2 === 0 ? 2 : 1;
    if (x.h > 4) return [];
    const each = 1 + (s.size % 4);
    const name = b.net.op("ConvTranspose", [x.name, [x.c, each, 2, 2], [each * g]], { group: g, strides: [2, 2] });
    return [{ name, c: each * g, h: 2 * x.h, w: 2 * x.w }];
  },
  squeeze: (b, x, s) => {
    const pooled =
      s.how % 2
        ? b.net.op("GlobalAveragePool", [x.name])
        : b.net.op("ReduceMean", [x.name, b.net.ints(2, 3)], { keepdims: 1 });
    const inner = b.conv({ name: pooled, c: x.c, h: 1, w: 1 }, width(s.size));
    const back = b.conv({ ...inner, name: b.net.op("Relu", [inner.name]) }, x.c);
    return [{ ...x, name: b.net.op("Mul", [x.name, b.net.op("Sigmoid", [back.name])]) }];
  },
  spatialGate: (b, x) => {
    const mean = b.net.op("ReduceMean", [x.name, b.net.ints(1)], { keepdims: 1 });
    return [{ ...x, name: b.net.op("Mul", [x.name, b.net.op("Sigmoid", [mean])]) }];
  },
  shuffle: (b, x, s) => {
    const groups = [2, 3, 4].filter((g) => x.c % g === 0 && g < x.c);
    const g = groups[s.size % groups.length];
    if (!g) return [];
    const five = b.reshape(x.name, [g, x.c / g, x.h, x.w], s.how);
    const turned = b.net.op("Transpose", [five], { perm: [0, 2, 1, 3, 4] });
    return [{ ...x, name: b.reshape(turned, [s.how % 2 ? -1 : x.c, x.h, x.w], s.pick) }];
  },
  depthToSpace: (b, x, s) => {
    if (x.h > 4) return [];
    const y = b.conv(x, 4 * (1 + (s.size % 3)));
    const name = b.net.op("DepthToSpace", [y.name], { blocksize: 2, mode: s.how % 2 ? "CRD" : "DCR" });
    return [{ name, c: y.c / 4, h: 2 * x.h, w: 2 * x.w }];
  },
  spaceToDepth: (b, x) =>
    x.h % 2 || x.c > 8
      ? []
      : [{ name: b.net.op("SpaceToDepth", [x.name], { blocksize: 2 }), c: 4 * x.c, h: x.h / 2, w: x.w / 2 }],
  pad: (b, x, s) => {
    const [front, back] = s.how % 2 ? [s.size % 3, s.pick % 3] : [0, 0];
    const edge = front + back === 0 ? 1 : 0;
    const pads = b.net.ints(0, front, edge, edge, 0, back, 0, 0);
    return [{ name: b.net.op("Pad", [x.name, pads]), c: x.c + front + back, h: x.h + edge, w: x.w + edge }];
  },
  slice: (b, x, s) => {
    const from = s.size % x.c;
    const to = from + 1 + (s.pick % (x.c - from));
    const step = s.how % 3 === 0 ? 2 : 1;
    const name = b.net.op("Slice", [x.name, b.net.ints(from), b.net.ints(to), b.net.ints(1), b.net.ints(step)]);
    return [{ ...x, name, c: Math.ceil((to - from) / step) }];
  },
  permute: (b, x, s) => {
    const order = Array.from({ length: x.c }, (_, i) => (i * (s.size % x.c) + s.pick) % x.c);
    return [{ ...x, name: b.net.op("Gather", [x.name, b.net.ints(...order)], { axis: 1 }) }];
  },
  resize: (b, x, s) => {
    if (x.h > 4) return [];
    const name = b.net.op("Resize", [x.name, "", b.net.g.constant(scales)], { mode: s.how % 2 ? "linear" : "nearest" });
    return [{ ...x, name, h: 2 * x.h, w: 2 * x.w }];
  },
  pool: (b, x, s) =>
    x.h < 2
      ? []
      : [
          {
            ...x,
            name: b.net.op(s.how % 2 ? "MaxPool" : "AveragePool", [x.name], {
              kernel_shape: [2, 2],
              strides: [2, 2],
            }),
            h: x.h >> 1,
            w: x.w >> 1,
          },
        ],
  tied: (b, x, s) => {
    const c = even(s.size);
    const weight = b.net.weight([c, c, 1, 1]);
    const first = b.net.op("Conv", [b.conv(x, c).name, weight]);
    return [{ ...x, name: b.net.op("Conv", [b.net.op("Tanh", [first]), weight]), c }];
  },
  throughGemm: (b, x, s) => {
    const [c, size] = [1 + (s.size % 4), x.c * x.h * x.w];
    if (size > 300) return [];
    const flat = s.how % 2 ? b.net.op("Flatten", [x.name]) : b.reshape(x.name, [s.pick % 2 ? -1 : size], s.pick);
    const to = c * x.h * x.w;
    const weight = s.pick % 2 ? [to, size] : [size, to];
    const y = b.net.op("Gemm", [flat, weight, [to]], { transB: s.pick % 2 });
    return [{ ...x, c, name: b.reshape(y, [c, x.h, x.w], s.how) }];
  },
  softmax: (b, x) => [{ ...x, name: b.net.op("Softmax", [x.name], { axis: 1 }) }],
} satisfies Record<string, (b: Build, x: Value, s: Step) => Value[]>;

const scales = {
  type: "float32" as const,
  dims: [4],
  bytes: new Uint8Array(Float32Array.of(1, 1, 2, 2).buffer),
};

/** d: a sequence's features are its c, its length its w. */
const sequenceSteps = {
  linear: (b, x, s) => [{ ...x, name: b.linear(x.name, x.c, even(s.size)), c: even(s.size) }],
  mlp: (b, x, s) => {
    const inner = b.net.op(["Relu", "Erf", "Tanh", "Elu"][s.how % 4]!, [b.linear(x.name, x.c, width(s.size))]);
    return [{ ...x, name: b.net.op("Add", [x.name, b.linear(inner, width(s.size), x.c)]) }];
  },
  swiglu: (b, x, s) => {
    const [p, q] = b.net.ops("Split", [b.linear(x.name, x.c, even(s.size))], { axis: 2, num_outputs: 2 }, 2);
    const c = even(s.size) / 2;
    const inner = b.net.op("Mul", [p!, b.net.op("Mul", [q!, b.net.op("Sigmoid", [q!])])]);
    return [{ ...x, name: b.linear(inner, c, x.c) }];
  },
  layerNorm: (b, x) => [{ ...x, name: b.net.op("LayerNormalization", [x.name, [x.c], [x.c]], { axis: -1 }) }],
  attention: (b, x, s) => {
    const { net } = b;
    const [h, e, t] = [1 + (s.size % 4), 2 + (s.how % 3), x.w];
    const shape = [s.pick % 2 ? t : -1, h, e];
    const free = s.pick % 5 === 0 ? [t, h, -1] : shape;
    const turn = (v: string, perm: readonly number[]) =>
      net.op("Transpose", [b.reshape(v, free, s.how)], { perm: [...perm] });
    const made = () => b.linear(x.name, x.c, h * e);
    let [q, k, v] = ["", "", ""];
    if (s.how % 4 === 0) {
      const five = b.reshape(b.linear(x.name, x.c, 3 * h * e), [t, 3, h, e], s.pick);
      const all = net.op("Transpose", [five], { perm: [2, 0, 3, 1, 4] });
      const part = (i: number) => net.op("Gather", [all, net.scalar(i)], { axis: 0 });
      [q, v] = [part(0), part(2)];
      k = net.op("Transpose", [part(1)], { perm: [0, 1, 3, 2] });
    } else if (s.how % 4 === 1) {
      const parts = net.ops("Split", [b.linear(x.name, x.c, 3 * h * e)], { axis: 2, num_outputs: 3 }, 3);
      [q, k, v] = [turn(parts[0]!, [0, 2, 1, 3]), turn(parts[1]!, [0, 2, 3, 1]), turn(parts[2]!, [0, 2, 1, 3])];
    } else [q, k, v] = [turn(made(), [0, 2, 1, 3]), turn(made(), [0, 2, 3, 1]), turn(made(), [0, 2, 1, 3])];
    const scores = net.op("Mul", [net.op("MatMul", [q, k]), net.g.scalar(1 / Math.sqrt(e))]);
    const mixed = net.op("MatMul", [net.op("Softmax", [scores], { axis: -1 }), v]);
    const flat = b.reshape(net.op("Transpose", [mixed], { perm: [0, 2, 1, 3] }), [t, s.size % 2 ? -1 : h * e], s.pick);
    const out = b.linear(flat, h * e, x.c);
    return [{ ...x, name: s.pick % 3 ? net.op("Add", [x.name, out]) : out }];
  },
  recurrent: (b, x, s) => {
    const { net } = b;
    const [hidden, dirs] = [width(s.size), 1 + (s.pick % 2)];
    const [op, gates] = (
      [
        ["LSTM", 4],
        ["GRU", 3],
        ["RNN", 1],
      ] as const
    )[s.how % 3]!;
    const weights = [
      [dirs, gates * hidden, x.c],
      [dirs, gates * hidden, hidden],
      [dirs, 2 * gates * hidden],
    ];
    const [y, last] = net.ops(
      op,
      [net.op("Transpose", [x.name], { perm: [1, 0, 2] }), ...weights],
      {
        hidden_size: hidden,
        direction: dirs > 1 ? "bidirectional" : s.how % 2 ? "reverse" : "forward",
        ...(op === "GRU" && s.pick % 3 ? { linear_before_reset: 1 } : {}),
      },
      2,
    );
    const c = dirs * hidden;
    if (s.how % 5 === 0) {
      const flat = b.reshape(net.op("Transpose", [last!], { perm: [1, 0, 2] }), [1, c], s.pick);
      return [{ ...x, name: net.op("Add", [x.name, b.linear(flat, c, x.c)]) }];
    }
    const turned = net.op("Transpose", [y!], { perm: [2, 0, 1, 3] });
    return [{ ...x, name: b.reshape(turned, [x.w, c], s.pick), c }];
  },
  toImage: (b, x, s) => {
    const side = Math.round(Math.sqrt(x.w));
    if (side * side !== x.w) return [];
    const name = b.reshape(b.net.op("Transpose", [x.name], { perm: [0, 2, 1] }), [x.c, side, side], s.how);
    return [{ name, c: x.c, h: side, w: side }];
  },
} satisfies Record<string, (b: Build, x: Value, s: Step) => Value[]>;

type Kind = keyof typeof imageSteps | `sequence ${keyof typeof sequenceSteps}`;
type Apply = (b: Build, x: Value, s: Step) => Value[];
const images: Readonly<Record<string, Apply>> = imageSteps;
const sequences: Readonly<Record<string, Apply>> = sequenceSteps;
export const kinds = [
  ...Object.keys(imageSteps),
  ...Object.keys(sequenceSteps).map((k) => `sequence ${k}`),
] as readonly Kind[];

/** The network of a plan: what nothing reads gets a head, a layer or (some) none. */
export function randomNet(plan: Plan): Graph {
  const b = new Build(plan);
  for (const s of plan.steps) {
    const onImage = images[s.kind];
    const made = onImage ? onImage(b, b.image(s.pick), s) : sequences[s.kind.slice(9)]!(b, b.sequence(s.pick), s);
    for (const v of made) (v.h ? b.images : b.sequences).push(v);
  }
  const read = new Set(b.net.draft.nodes.flatMap((n) => n.inputs));
  const leaves = [...b.images, ...b.sequences].filter((v) => !read.has(v.name) && v.name !== "x");
  if (leaves.length === 0) leaves.push(b.conv(b.images.at(-1)!, 4));
  const outputs = leaves.map((v, i) => {
    const how = plan.heads[i % plan.heads.length]! % 8;
    if (how === 0) return v.name;
    if (v.h === 0)
      return how < 5
        ? b.linear(v.name, v.c, 3)
        : b.linear(b.net.op("ReduceMean", [v.name, b.net.ints(1)], { keepdims: 0 }), v.c, 3);
    if (how < 4) return b.conv(v, 3).name;
    const pooled = how < 6 ? b.net.op("GlobalAveragePool", [v.name]) : v.name;
    const size = how < 6 ? v.c : v.c * v.h * v.w;
    return b.net.op("Gemm", [b.net.op("Flatten", [pooled]), [size, 3], [3]]);
  });
  return b.net.done(...outputs);
}

const number = fc.nat({ max: 999 });
/** Plans of `length` steps at most; fast-check shrinks them by dropping steps. */
export const plans = (length: number): fc.Arbitrary<Plan> =>
  fc.record({
    seed: fc.integer({ min: 1, max: 1e6 }),
    open: fc.boolean(),
    steps: fc.array(fc.record({ kind: fc.constantFrom(...kinds), pick: number, size: number, how: number }), {
      minLength: 1,
      maxLength: length,
      size: "max",
    }),
    heads: fc.array(number, { minLength: 1, maxLength: 3 }),
  });
