/** Which values of a graph become codes, and on whose grid: wiring and formats come in, a placement goes out; nothing is written here. */
import type { Graph } from "../graph/graph.js";
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
}

export type Layers = ReadonlyMap<string, Pick<LayerPlan, "format">>;

/** `absorbs`: whether a rectifier can vanish in the range of the value before it; without grids yet, all are taken to. */
export function place(wiring: Wiring, layers: Layers, absorbs: (at: Placed) => boolean = () => true): Placement {
  const roleOf = (at: Placed) => integerSupport(at.node)?.role ?? null;
  const integer = new Set<string>();
  for (const at of wiring.nodes) {
    const role = roleOf(at);
    const format = layers.get(at.key)?.format;
    if ((role === "product" || role === "arithmetic") && (format === "int8" || format === "int16")) integer.add(at.key);
  }
  const wants = wantsCodes(wiring, integer);
  for (const at of wiring.nodes) if (passesCodes(at, wiring, wants)) integer.add(at.key);

  const rounded = new Set<string>();
  for (const at of wiring.nodes) {
    if (!integer.has(at.key)) continue;
    for (const output of at.node.outputs.filter(Boolean)) {
      const rectifier = absorbed(output, at, wiring, absorbs);
      const value = rectifier?.key ?? output;
      const free = integerSupport(at.node)?.floatOutput && !wants(value);
      if (!free) rounded.add(value);
    }
  }
  return { integer, rounded, source: sourcesOf(wiring, integer, rounded) };
}

/** Names of the values whose ranges a plan with these formats needs. */
export function valuesToCalibrate(graph: Graph, layers: Layers): Set<string> {
  return new Set(place(wiringOf(graph), layers).source.values());
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

function passesCodes(at: Placed, wiring: Wiring, wants: (value: string) => boolean): boolean {
  const [x] = at.node.inputs;
  if (!passing(at) || !x || wiring.constants.has(x) || wiring.typeOf(x)?.type !== "float32") return false;
  return at.node.outputs.filter(Boolean).every(wants);
}

/** The rectifier that alone reads what an integer node computes, where it can vanish in the range. */
function absorbed(output: string, at: Placed, wiring: Wiring, absorbs: (at: Placed) => boolean): Placed | null {
  const readers = wiring.readers.get(output) ?? [];
  const [only] = readers;
  if (readers.length !== 1 || !only || wiring.leaving.has(output) || passing(at)) return null;
  const fits = integerSupport(only.at.node)?.role === "absorbed" && only.input === 0 && only.at.body === at.body;
  return fits && absorbs(only.at) ? only.at : null;
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
