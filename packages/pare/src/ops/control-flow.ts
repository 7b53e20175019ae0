/** Operators whose attributes are graphs: If, Loop, Scan. */
import type { Dim, Shape, ValueType } from "../graph/graph.js";
import { axisIn, sameDim } from "./dims.js";
import { reject } from "./move.js";
import type { Operator, Site } from "./record.js";
import { none, op } from "./record.js";
import { numbersOf } from "./values.js";

const common = {
  domain: "",
  axes: none("control flow: its bodies read what they like of it"),
  grad: none("which nodes run is decided while running: unroll it or train the part outside of it"),
  quant: none("its bodies are quantized, not it"),
  packs: none("the runtime has no control flow"),
  raise: "same" as const,
  rewrite: "none needed" as const,
  fold: none("its bodies are not run"),
};
const anything: ValueType = { type: "undefined", shape: null };
const scalar = (type: ValueType["type"]): ValueType => ({ type, shape: [] });

/** What is true of both: lengths that differ are unknown. */
export function either(a: ValueType | null, b: ValueType | null): ValueType {
  if (!a || !b) return a ?? b ?? anything;
  const shape =
    a.shape && b.shape && a.shape.length === b.shape.length
      ? a.shape.map((d, i): Dim => (d === b.shape![i] ? d : ""))
      : null;
  const type =
    a.type === b.type ? a.type : a.type === "undefined" ? b.type : b.type === "undefined" ? a.type : "undefined";
  const other = a.other ?? b.other;
  return { type, shape, ...(other === undefined ? {} : { other }) };
}

const If = op({
  ...common,
  type: "If",
  attrs: () => ({}),
  bodies: () => ({ then_branch: [], else_branch: [] }),
  turns: () => "one of",
  shape: (s) => {
    const condition = s.value(0);
    const chosen = condition && numbersOf(condition)?.[0];
    const [yes, no] = [s.results?.then_branch ?? [], s.results?.else_branch ?? []];
    return s.node.outputs.map((_, k) => {
      if (chosen !== null && chosen !== undefined) return (chosen ? yes[k] : no[k]) ?? null;
      return either(yes[k] ?? null, no[k] ?? null);
    });
  },
});

/** Inputs: trip count, condition, states. Body: iteration, condition, states -> condition, states, scanned values. */
const Loop = op({
  ...common,
  type: "Loop",
  attrs: () => ({}),
  bodies: (s) => ({ body: [scalar("int64"), scalar("bool"), ...carried(s)] }),
  turns: (s) => {
    const count = s.value(0);
    return (count && numbersOf(count)?.[0]) ?? "";
  },
  shape: (s) => {
    const states = s.x.length - 2;
    const results = s.results?.body ?? [];
    const stacked = results.slice(1 + states).map((v): ValueType | null => v && under("", 0, v));
    return [...carried(s), ...stacked];
  },
});
const carried = (s: Site): ValueType[] =>
  s.x.slice(2).map((x, k) => (s.results?.body ? either(x, s.results.body[1 + k] ?? null) : (x ?? anything)));
/** The type of values stacked along a new axis of that length. */
const under = (length: Dim, axis: number, v: ValueType): ValueType => ({
  ...v,
  shape: v.shape && [...v.shape.slice(0, axis), length, ...v.shape.slice(axis)],
});

interface ScanAttributes {
  readonly scans: number;
  readonly inputAxes: readonly number[] | null;
  readonly outputAxes: readonly number[] | null;
}
/** States, then inputs that are taken apart along an axis; out come states, then outputs put together along one. */
const Scan = op<ScanAttributes>({
  ...common,
  type: "Scan",
  attrs: (r) => ({
    scans: r.int("num_scan_inputs"),
    inputAxes: r.ints("scan_input_axes"),
    outputAxes: r.ints("scan_output_axes"),
  }),
  bodies: (s) => {
    const { states, scanned } = partsOf(s);
    return { body: [...states, ...scanned.map(({ type, shape }): ValueType => ({ type, shape }))] };
  },
  turns: (s) => partsOf(s).length,
  shape: (s) => {
    const { states, length, batch } = partsOf(s);
    const results = s.results?.body ?? [];
    const outputs = results.slice(states.length).map((v, k): ValueType | null => {
      if (!v?.shape) return v && { ...v, shape: null };
      const axis = axisIn(s.node, s.a.outputAxes?.[k] ?? 0, v.shape.length + 1);
      return under(length, axis, v);
    });
    const all = [...states, ...outputs];
    return batch === null ? all : all.map((v) => v && under(batch, 0, v));
  },
  // Opset 8 scanned a batch of sequences of their own lengths.
  raise: (_, n, opset) =>
    opset >= 9
      ? "same"
      : reject(n, "Scan of opset 8 runs over a batch of sequences; export the model at opset 9 or later"),
});
/** The states and one step of each scanned input; `batch` only in opset 8, whose axis 0 it is. */
function partsOf(s: Site<ScanAttributes>): {
  states: ValueType[];
  scanned: ValueType[];
  length: Dim;
  batch: Dim | null;
} {
  const old = s.opset < 9;
  const x = s.x.slice(old ? 1 : 0).map((v) => v ?? anything);
  const count = x.length - s.a.scans;
  if (count < 0) reject(s.node, `num_scan_inputs is ${s.a.scans}, there are ${x.length} inputs`);
  let length: Dim = "";
  let batch: Dim = "";
  const unbatched = (v: ValueType): ValueType => {
    if (old && v.shape?.length) batch = sameDim(s.node, batch, v.shape[0]!, "batch");
    return { ...v, shape: old ? (v.shape?.slice(1) ?? null) : v.shape };
  };
  const states = x.slice(0, count).map((v, k) => {
    const mine = unbatched(v);
    const next = s.results?.body?.[k];
    return next ? either(mine, next) : mine;
  });
  const scanned = x.slice(count).map((v, k) => {
    const mine = unbatched(v);
    if (!mine.shape) return mine;
    const axis = axisIn(s.node, s.a.inputAxes?.[k] ?? 0, mine.shape.length);
    length = sameDim(s.node, length, mine.shape[axis]!, "length of the scanned axes");
    const shape: Shape = mine.shape.filter((_, d) => d !== axis);
    return { ...mine, shape };
  });
  return { states, scanned, length, batch: old ? batch : null };
}

export const controlFlow: readonly Operator[] = [If, Loop, Scan];
