/** Gradients of LSTM, GRU and RNN, unrolled: the steps are computed again with their gates, then walked back. Emits plain ONNX. */
import type { Emitter } from "../graph/emit.js";
import { zeros } from "./calculus.js";
import { reject } from "./move.js";
import type { GradientSite } from "./record.js";

/** More steps make more nodes than are worth running. */
const mostSteps = 1024;

export interface RecurrentAttributes {
  readonly direction: string;
  readonly hidden: number | null;
  /** 1: x and y are [n t ..] instead of [t n ..]. */
  readonly layout: number;
  readonly activations: readonly string[] | null;
  readonly linearBeforeReset: boolean;
  readonly clip: boolean;
  readonly inputForget: boolean;
}

/** Arithmetic on names, so that formulas read as formulas. */
class Calculus {
  constructor(readonly g: Emitter) {}
  add = (a: string, ...rest: readonly (string | null)[]): string =>
    rest.reduce<string>((sum, b) => (b ? this.g.op("Add", [sum, b]) : sum), a);
  mul = (a: string, b: string): string => this.g.op("Mul", [a, b]);
  sub = (a: string, b: string): string => this.g.op("Sub", [a, b]);
  matmul = (a: string, b: string): string => this.g.op("MatMul", [a, b]);
  /** f'(a) from y = f(a), times dy. */
  throughSigmoid = (y: string, dy: string): string => this.mul(dy, this.mul(y, this.sub(this.g.scalar(1), y)));
  throughTanh = (y: string, dy: string): string => this.mul(dy, this.sub(this.g.scalar(1), this.mul(y, y)));
  split = (x: string, axis: number, parts: number, size: number): string[] =>
    this.g.ops("Split", [x, this.g.ints(Array(parts).fill(size))], { axis }, parts);
}

/** What a cell is given for one direction: R [gates h, h] as it is and transposed, and R's bias of each gate where it has a part of its own. */
interface Weights {
  readonly r: string;
  readonly rT: string;
  readonly h: number;
  readonly recurrentBias: string | null;
}
/** One step: x's share of the gates and the states before come in; out, the states after and the way back. */
interface Step {
  readonly h: string;
  readonly c: string | null;
  /** From dh and dc: gradients of x's gates, of R's gates with what R multiplied, and of the states before. */
  back(dh: string, dc: string | null): Back;
}
interface Back {
  readonly gates: string;
  /** Pairs (gradient of R's rows, what these rows multiplied), in the order of R's rows. */
  readonly recurrent: readonly (readonly [string, string])[];
  readonly h: string;
  readonly c: string | null;
}
type Cell = (k: Calculus, x: string, h: string, c: string, w: Weights) => Step;

/** i o f c: C' = f C + i c, H' = o tanh(C'). */
const lstm: Cell = (k, x, h, c, w) => {
  const [zi, zo, zf, zc] = k.split(k.add(x, k.matmul(h, w.rT)), 2, 4, w.h) as [string, string, string, string];
  const [i, o, f] = [zi, zo, zf].map((z) => k.g.op("Sigmoid", [z])) as [string, string, string];
  const g = k.g.op("Tanh", [zc]);
  const next = k.add(k.mul(f, c), k.mul(i, g));
  const t = k.g.op("Tanh", [next]);
  return {
    h: k.mul(o, t),
    c: next,
    back: (dh, dcLater) => {
      const dc = k.add(k.throughTanh(t, k.mul(dh, o)), dcLater);
      const dz = [
        k.throughSigmoid(i, k.mul(dc, g)),
        k.throughSigmoid(o, k.mul(dh, t)),
        k.throughSigmoid(f, k.mul(dc, c)),
        k.throughTanh(g, k.mul(dc, i)),
      ];
      const gates = k.g.op("Concat", dz, { axis: 2 });
      return { gates, recurrent: [[gates, h]], h: k.matmul(gates, w.r), c: k.mul(dc, f) };
    },
  };
};

/** h = tanh(x + R h). */
const rnn: Cell = (k, x, h, _, w) => {
  const y = k.g.op("Tanh", [k.add(x, k.matmul(h, w.rT))]);
  return {
    h: y,
    c: null,
    back: (dh) => {
      const gates = k.throughTanh(y, dh);
      return { gates, recurrent: [[gates, h]], h: k.matmul(gates, w.r), c: null };
    },
  };
};

/** z r h: H' = (1 - z) n + z H with n = tanh(x + R (r H)), or tanh(x + r (R H + b)) where R comes before the reset. */
const gru =
  (linearBeforeReset: boolean): Cell =>
  (k, x, h, _, w) => {
    const [xz, xr, xn] = k.split(x, 2, 3, w.h) as [string, string, string];
    const [rz, rr, rn] = k.split(w.rT, 1, 3, w.h) as [string, string, string];
    const [bz, br, bn] = k.split(w.r, 0, 3, w.h) as [string, string, string];
    const z = k.g.op("Sigmoid", [k.add(xz, k.matmul(h, rz))]);
    const r = k.g.op("Sigmoid", [k.add(xr, k.matmul(h, rr))]);
    const reset = k.mul(r, h);
    const inner = linearBeforeReset ? k.add(k.matmul(h, rn), w.recurrentBias) : null;
    const n = k.g.op("Tanh", [k.add(xn, inner ? k.mul(r, inner) : k.matmul(reset, rn))]);
    const one = k.g.scalar(1);
    return {
      h: k.add(k.mul(k.sub(one, z), n), k.mul(z, h)),
      c: null,
      back: (dh) => {
        const dn = k.throughTanh(n, k.mul(dh, k.sub(one, z)));
        const dz = k.throughSigmoid(z, k.mul(dh, k.sub(h, n)));
        const dReset = inner ? null : k.matmul(dn, bn);
        const dr = k.throughSigmoid(r, inner ? k.mul(dn, inner) : k.mul(dReset!, h));
        // What R's last rows got back, and what they multiplied.
        const own = inner ? k.mul(dn, r) : dn;
        const before = k.add(
          k.mul(dh, z),
          inner ? k.matmul(own, bn) : k.mul(dReset!, r),
          k.matmul(dz, bz),
          k.matmul(dr, br),
        );
        return {
          gates: k.g.op("Concat", [dz, dr, dn], { axis: 2 }),
          recurrent: [
            [k.g.op("Concat", [dz, dr], { axis: 2 }), h],
            [own, inner ? h : reset],
          ],
          h: before,
          c: null,
        };
      },
    };
  };

const defaults: Readonly<Record<string, readonly string[]>> = {
  LSTM: ["sigmoid", "tanh", "tanh"],
  GRU: ["sigmoid", "tanh"],
  RNN: ["tanh"],
};
function refuse(s: GradientSite<RecurrentAttributes>): void {
  const { activations, clip, inputForget, direction } = s.a;
  const usual = defaults[s.node.op]!;
  const directions = direction === "bidirectional" ? 2 : 1;
  const odd = activations?.some((a, i) => a.toLowerCase() !== usual[i % usual.length]);
  if (odd || (activations && activations.length !== usual.length * directions))
    reject(s.node, `no gradient with activations ${activations}; ${usual} have one`);
  if (clip || inputForget) reject(s.node, "no gradient with clip or input_forget");
  if (s.x[4]) reject(s.node, "no gradient with sequence_lens: give sequences of one length");
  if (s.x[7]) reject(s.node, "no gradient with peepholes");
  const steps = s.dims(0)[s.a.layout ? 1 : 0]!;
  if (steps > mostSteps) reject(s.node, `no gradient over ${steps} steps, at most ${mostSteps} are unrolled`);
}

/** dX [t n i], dW, dR, dB, none for sequence_lens, dh0, dc0; in the node's own layout. */
export function recurrentGradient(
  g: Emitter,
  s: GradientSite<RecurrentAttributes>,
  gates: number,
): readonly (string | null)[] {
  refuse(s);
  const from = g.graph.nodes.length;
  const k = new Calculus(g);
  const directions = s.a.direction === "bidirectional" ? 2 : 1;
  const each = Array.from({ length: directions }, (_, d) =>
    oneDirection(k, s, gates, d, s.a.direction === "reverse" || d === 1),
  );
  const x = each.map((e) => e.x).reduce((a, b) => k.add(a, b));
  const join = (list: readonly string[], axis = 0): string =>
    list.length === 1 ? list[0]! : g.op("Concat", list, { axis });
  const states = (list: readonly string[]): string => {
    const all = join(list);
    return s.a.layout ? g.transpose(all, [1, 0, 2]) : all;
  };
  const found = [
    s.a.layout ? g.transpose(x, [1, 0, 2]) : x,
    join(each.map((e) => e.w)),
    join(each.map((e) => e.r)),
    join(each.map((e) => e.b)),
    null,
    states(each.map((e) => e.h)),
    s.node.op === "LSTM" ? states(each.map((e) => e.c!)) : null,
  ].map((name, i) => (s.wanted[i] ? name : null));
  sweep(g, from, found);
  return found.slice(0, s.inputs.length);
}

/** Drops the nodes since `from` that nobody reads: a step emits all its gradients, and not all are wanted. */
function sweep(g: Emitter, from: number, results: readonly (string | null)[]): void {
  const read = new Set(results.filter((r): r is string => r !== null));
  const kept = g.graph.nodes.splice(from).reverse();
  const used = kept.filter((n) => {
    if (!n.outputs.some((o) => read.has(o))) return false;
    for (const i of n.inputs) read.add(i);
    return true;
  });
  g.graph.nodes.push(...used.reverse());
}

interface Direction {
  readonly x: string;
  readonly w: string;
  readonly r: string;
  readonly b: string;
  readonly h: string;
  readonly c: string | null;
}
function oneDirection(
  k: Calculus,
  s: GradientSite<RecurrentAttributes>,
  gates: number,
  d: number,
  reverse: boolean,
): Direction {
  const { g } = k;
  const { layout } = s.a;
  const shape = s.dims(0);
  const [t, n, inputs] = [shape[layout ? 1 : 0]!, shape[layout ? 0 : 1]!, shape[2]!];
  const h = s.dims(2)[2]!;
  const rows = gates * h;
  const pickOf = (name: string, axis: number): string => g.op("Gather", [name, g.constant(index(d))], { axis });
  const x = layout ? g.transpose(s.inputs[0]!, [1, 0, 2]) : s.inputs[0]!;
  const [w, r] = [pickOf(s.inputs[1]!, 0), pickOf(s.inputs[2]!, 0)];
  const bias = s.inputs[3] ? k.split(pickOf(s.inputs[3], 0), 0, 2, rows) : null;
  const apart = s.node.op === "GRU" && s.a.linearBeforeReset;
  const own = bias && apart ? g.ops("Split", [bias[1]!, g.ints([2 * h, h])], { axis: 0 }, 2) : null;
  const shared = own ? g.op("Concat", [own[0]!, zeros(g, [h])], { axis: 0 }) : (bias?.[1] ?? null);
  const weights: Weights = { r, rT: g.transpose(r, [1, 0]), h, recurrentBias: own?.[1] ?? null };

  const xw = k.add(k.matmul(x, g.transpose(w, [1, 0])), bias?.[0] ?? null, shared);
  const parts = k.split(xw, 0, t, 1);
  const order = Array.from({ length: t }, (_, i) => (reverse ? t - 1 - i : i));
  const cell = s.node.op === "LSTM" ? lstm : s.node.op === "GRU" ? gru(s.a.linearBeforeReset) : rnn;
  const initial = (i: number): string => {
    if (!s.inputs[i]) return zeros(g, [1, n, h]);
    const all = layout ? g.transpose(s.inputs[i], [1, 0, 2]) : s.inputs[i];
    return g.reshape(pickOf(all, 0), [1, n, h]);
  };
  let [state, memory] = [initial(5), s.node.op === "LSTM" ? initial(6) : ""];
  const steps = order.map((i) => {
    const step = cell(k, parts[i]!, state, memory, weights);
    [state, memory] = [step.h, step.c ?? ""];
    return step;
  });

  const given = gradientsOfOutputs(k, s, d, t, n, h);
  let [dh, dc] = [given.last, given.memory];
  const backs: Back[] = Array(t);
  for (const [at, i] of [...order.entries()].reverse()) {
    const here = [given.steps?.[i] ?? null, dh].filter((v): v is string => v !== null);
    const total = here.length > 0 ? k.add(here[0]!, here[1] ?? null) : zeros(g, [1, n, h]);
    backs[i] = steps[at]!.back(total, dc);
    [dh, dc] = [backs[i].h, backs[i].c];
  }

  const stack = (list: readonly string[]): string => g.op("Concat", list, { axis: 0 });
  const dz = stack(backs.map((b) => b.gates));
  const flat = (name: string, width: number): string => g.reshape(name, [t * n, width]);
  const outer = (a: string, wide: number, b: string, width: number): string =>
    g.op("Gemm", [flat(a, wide), flat(b, width)], { transA: 1 });
  const recurrent = backs[0]!.recurrent.map((_, j) => ({
    rows: stack(backs.map((b) => b.recurrent[j]![0])),
    read: stack(backs.map((b) => b.recurrent[j]![1])),
    wide: backs[0]!.recurrent.length === 1 ? rows : j === 0 ? 2 * h : h,
  }));
  const dr = recurrent.map((p) => outer(p.rows, p.wide, p.read, h));
  const total = (name: string): string => g.reduceSum(name, [0, 1]);
  const wb = total(dz);
  const rb = recurrent.map((p) => total(p.rows));
  return {
    x: k.matmul(dz, w),
    w: g.reshape(outer(dz, rows, x, inputs), [1, rows, inputs]),
    r: g.reshape(dr.length === 1 ? dr[0]! : g.op("Concat", dr, { axis: 0 }), [1, rows, h]),
    b: g.reshape(g.op("Concat", [wb, ...rb], { axis: 0 }), [1, 2 * rows]),
    h: dh!,
    c: dc,
  };
}
const index = (d: number) => ({
  type: "int64" as const,
  dims: [],
  bytes: new Uint8Array(BigInt64Array.of(BigInt(d)).buffer),
});

/** dY by step, and what the last states add; null where nothing depends on them. */
function gradientsOfOutputs(
  k: Calculus,
  s: GradientSite<RecurrentAttributes>,
  d: number,
  t: number,
  n: number,
  h: number,
): { steps: string[] | null; last: string | null; memory: string | null } {
  const { g } = k;
  const direction = (name: string, axis: number) => g.op("Gather", [name, g.constant(index(d))], { axis });
  const [dy, dh, dc] = [s.dy[0], s.dy[1], s.dy[2]];
  const state = (name: string | null | undefined) =>
    name ? g.reshape(direction(name, s.a.layout ? 1 : 0), [1, n, h]) : null;
  // [n t d h] or [t d n h] without its direction, step by step.
  const all = dy && (s.a.layout ? g.transpose(direction(dy, 2), [1, 0, 2]) : direction(dy, 1));
  return { steps: all ? k.split(all, 0, t, 1) : null, last: state(dh), memory: state(dc) };
}
