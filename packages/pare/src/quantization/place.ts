/** Which values of a graph become codes, and on whose grid: wiring and formats come in, a placement goes out; nothing is written here. */
import type { Graph } from "../graph/graph.js";
import { float32sOf, sizeOf } from "../graph/tensor.js";
import type { LayerPlan } from "./plan.js";
import { dataInputs, integerSupport } from "./support.js";
import { type Placed, type Wiring, wiringOf } from "./wiring.js";

export interface Placement {
  /** Keys of the nodes that work on codes: planned ones, and those that pass codes between them. */
  readonly integer: ReadonlySet<string>;
  /** Values that integer nodes compute and that are rounded where they arise; after an absorbed node, its output stands here. */
  readonly rounded: ReadonlySet<string>;
  /** Value that becomes codes -> the value whose grid it lies on. */
  readonly source: ReadonlyMap<string, string>;
  /** Products with positive constants right behind an integer node, by key: they only change the scale by which the codes are read. */
  readonly rescales: ReadonlyMap<string, Rescale>;
  /** Additions of a constant row to an integer product, by key: the product adds it before anything is rounded. */
  readonly biases: ReadonlyMap<string, RowBias>;
}
export interface Rescale {
  /** The value before all such products in a row. */
  readonly from: string;
  /** Their factors' product; null: another one follows and stands for this one too. */
  readonly factor: number | null;
}
export interface RowBias {
  readonly product: Placed;
  /** Index of the addition's input that is the constant. */
  readonly input: number;
}

export type Layers = ReadonlyMap<string, Pick<LayerPlan, "format">>;

export function place(wiring: Wiring, layers: Layers): Placement {
  const roleOf = (at: Placed) => integerSupport(at.node)?.role ?? null;
  const integer = new Set<string>();
  for (const at of wiring.nodes) {
    const role = roleOf(at);
    const format = layers.get(at.key)?.format;
    if ((role === "product" || role === "arithmetic") && (format === "int8" || format === "int16")) integer.add(at.key);
  }
  const biases = rowBiases(wiring, integer);
  for (const key of biases.keys()) integer.delete(key);
  const wants = wantsCodes(wiring, integer);
  const ends = new Set<string>();
  for (const at of wiring.nodes) {
    const passes = passesCodes(at, wiring, wants, ends);
    if (passes) integer.add(at.key);
    if (!integer.has(at.key) && !biases.has(at.key)) continue;
    for (const output of at.node.outputs.filter(Boolean)) ends.add(passes ? output : endOf(output, at, wiring));
  }

  const rounded = new Set<string>();
  const products = new Set([...biases.values()].map(({ product }) => product.key));
  const rescales = new Map<string, Rescale>();
  for (const at of wiring.nodes) {
    if ((!integer.has(at.key) || products.has(at.key) || rescales.has(at.key)) && !biases.has(at.key)) continue;
    for (const output of at.node.outputs.filter(Boolean)) {
      const bounded = absorbed(output, at, wiring)?.key ?? output;
      const scaled = passing(at) ? [] : scalings(bounded, at, wiring);
      const value = scaled.at(-1)?.at.key ?? bounded;
      const free = (integerSupport(at.node)?.floatOutput || biases.has(at.key)) && !wants(value);
      if (free) continue;
      rounded.add(value);
      scaled.forEach((step, k) => {
        const factor = k + 1 < scaled.length ? null : scaled.reduce((product, { factor }) => product * factor, 1);
        rescales.set(step.at.key, { from: bounded, factor });
      });
    }
  }
  for (const key of rescales.keys()) integer.delete(key);
  return { integer, rounded, source: sourcesOf(wiring, integer, rounded), rescales, biases };
}

/** Names of the values whose ranges a plan with these formats needs. */
export function valuesToCalibrate(graph: Graph, layers: Layers): Set<string> {
  return new Set(place(wiringOf(graph), layers).source.values());
}

/** Mul and Div by positive scalars, one after the other, that alone read what comes before. */
function scalings(from: string, maker: Placed, wiring: Wiring): { at: Placed; factor: number }[] {
  const found: { at: Placed; factor: number }[] = [];
  for (let value = from; ; value = found.at(-1)!.at.key) {
    const readers = wiring.readers.get(value) ?? [];
    const [only] = readers;
    if (readers.length !== 1 || !only || wiring.leaving.has(value) || only.at.body !== maker.body) return found;
    const { op, domain, inputs } = only.at.node;
    const other = wiring.constants.get(inputs[1 - only.input] ?? "")?.tensor;
    if (domain !== "" || (op !== "Mul" && !(op === "Div" && only.input === 0))) return found;
    const rank = wiring.typeOf(value)?.shape?.length ?? -1;
    if (other?.type !== "float32" || sizeOf(other.dims) !== 1 || other.dims.length > rank) return found;
    const scalar = float32sOf(other)[0]!;
    const factor = op === "Mul" ? scalar : 1 / scalar;
    if (!(factor > 0 && Number.isFinite(factor))) return found;
    found.push({ at: only.at, factor });
  }
}

/** Every Add of a constant [n] to what an integer MatMul alone computes. */
function rowBiases(wiring: Wiring, integer: ReadonlySet<string>): Map<string, RowBias> {
  const found = new Map<string, RowBias>();
  for (const product of wiring.nodes) {
    const support = integer.has(product.key) ? integerSupport(product.node) : null;
    const readers = wiring.readers.get(product.key) ?? [];
    const [only] = readers;
    if (support?.role !== "product" || support.bias !== undefined || readers.length !== 1 || !only) continue;
    if (wiring.leaving.has(product.key) || only.at.node.op !== "Add" || only.at.body !== product.body) continue;
    const input = 1 - only.input;
    const bias = wiring.constants.get(only.at.node.inputs[input]!)?.tensor;
    const columns = wiring.typeOf(product.key)?.shape?.at(-1);
    const row = bias?.type === "float32" && bias.dims.at(-1) === columns && sizeOf(bias.dims) === columns;
    if (row) found.set(only.at.key, { product, input });
  }
  return found;
}

const readsData = (at: Placed, input: number): boolean => {
  const support = integerSupport(at.node);
  return support !== null && dataInputs(at.node, support).includes(input);
};

/** Whether an integer node reads a value, itself or through nodes that pass codes on. */
function wantsCodes(wiring: Wiring, integer: ReadonlySet<string>): (value: string) => boolean {
  const known = new Map<string, boolean>();
  const wants = (value: string): boolean => {
    const before = known.get(value);
    if (before !== undefined) return before;
    known.set(value, false);
    const found = (wiring.readers.get(value) ?? []).some(
      ({ at, input }) =>
        readsData(at, input) && (integer.has(at.key) || (passing(at) && at.node.outputs.filter(Boolean).every(wants))),
    );
    known.set(value, found);
    return found;
  };
  return wants;
}
const passing = (at: Placed): boolean => integerSupport(at.node)?.role === "passes";

/** Operators that give more than they take: rounding before them is less work, also where it is a float node's value that is rounded. */
const growing = new Set(["Resize", "Expand", "Tile"]);

/**
 * `ends`: values that integer nodes give. What a float node gives is passed on as it is and rounded after it: less to round behind a pool, and
 * onnxruntime's pool of codes is slow unless an integer convolution stands before it.
 */
function passesCodes(
  at: Placed,
  wiring: Wiring,
  wants: (value: string) => boolean,
  ends: ReadonlySet<string>,
): boolean {
  const [x] = at.node.inputs;
  if (!passing(at) || !x || wiring.constants.has(x) || wiring.typeOf(x)?.type !== "float32") return false;
  return (ends.has(x) || growing.has(at.node.op)) && at.node.outputs.filter(Boolean).every(wants);
}
/** What an integer node's output becomes before it is rounded: rectifiers and positive factors behind it are its own. */
function endOf(output: string, at: Placed, wiring: Wiring): string {
  const bounded = absorbed(output, at, wiring)?.key ?? output;
  return scalings(bounded, at, wiring).at(-1)?.at.key ?? bounded;
}

/** The rectifier that alone reads what an integer node computes: it vanishes in the range of its output. */
function absorbed(output: string, at: Placed, wiring: Wiring): Placed | null {
  const readers = wiring.readers.get(output) ?? [];
  const [only] = readers;
  if (readers.length !== 1 || !only || wiring.leaving.has(output) || passing(at)) return null;
  return only.input === 0 && only.at.body === at.body && boundsOf(only.at, wiring) ? only.at : null;
}

/** What a rectifier lets through; null for other nodes, and where its bounds are computed or leave zero out. */
export function boundsOf({ node }: Placed, wiring: Wiring): readonly [number, number] | null {
  if (integerSupport(node)?.role !== "absorbed") return null;
  if (node.op === "Relu") return [0, Number.POSITIVE_INFINITY];
  const bound = (i: number, otherwise: number): number => {
    if (!node.inputs[i]) return otherwise;
    const tensor = wiring.constants.get(node.inputs[i])?.tensor;
    return tensor?.type === "float32" ? float32sOf(tensor)[0]! : Number.NaN;
  };
  const [low, high] = [bound(1, Number.NEGATIVE_INFINITY), bound(2, Number.POSITIVE_INFINITY)];
  return low <= 0 && high > 0 ? [low, high] : null;
}

function sourcesOf(wiring: Wiring, integer: ReadonlySet<string>, rounded: ReadonlySet<string>): Map<string, string> {
  const source = new Map<string, string>();
  const find = (value: string): string => {
    const at = wiring.producer.get(value);
    return at && integer.has(at.key) && passing(at) ? find(at.node.inputs[0]!) : value;
  };
  for (const value of rounded) source.set(value, find(value));
  for (const at of wiring.nodes) {
    const support = integer.has(at.key) ? integerSupport(at.node) : null;
    if (!support) continue;
    for (const i of dataInputs(at.node, support)) {
      const value = at.node.inputs[i]!;
      if (!wiring.constants.has(value)) source.set(value, find(value));
    }
  }
  return source;
}
