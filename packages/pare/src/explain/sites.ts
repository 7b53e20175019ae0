/** A quantized graph and the float network behind it enter; every place that rounds leaves, and a graph in which each can be switched on and off by an input. */
import { constantsBy } from "../engine/constants.js";
import type { Engine } from "../engine/engine.js";
import { node } from "../graph/emit.js";
import { draft, emptyGraph, type Graph, type Node, type Subgraph, type Tensor, type Value } from "../graph/graph.js";
import { bodiesOf, withBodies } from "../graph/scope.js";
import { float32sOf } from "../graph/tensor.js";
import { codeRange } from "../quantization/grid.js";
import type { CodeType } from "../quantization/plan.js";
import { keyOf, type Placed, type Wiring, wiringOf } from "../quantization/wiring.js";

/** A value that is rounded to a grid. */
export interface RoundedValue {
  readonly kind: "value";
  readonly layer: Placed | null;
  /** The value before it is rounded, and after. */
  readonly raw: string;
  readonly rounded: string;
  readonly scale: number;
  readonly low: number;
  readonly high: number;
  readonly type: CodeType;
}
/** Constants of one node that are stored in fewer bits, its bias among them. */
export interface RoundedWeight {
  readonly kind: "weight";
  readonly layer: Placed;
  readonly parts: readonly Part[];
}
export interface Part {
  readonly input: number;
  readonly name: string;
  readonly float: Tensor;
  readonly stored: Tensor;
  /** As many scales as it has: 1 for one of the whole tensor. */
  readonly scales: number;
}
export type Site = RoundedValue | RoundedWeight;

export interface Sites {
  readonly wiring: Wiring;
  readonly sites: readonly Site[];
  /** Of the weights that are matched: the median signal to noise in dB, by which the right float network is told from others. */
  readonly likenessDb: number;
}

/** `float`: the network whose nodes and constants the quantized one was made of. */
export async function sitesOf(quantized: Graph, float: Graph, engine: Engine): Promise<Sites> {
  const wiring = wiringOf(quantized);
  const values = roundedValues(wiring);
  const weights = await roundedWeights(quantized, wiring, wiringOf(float), values, engine);
  const main = weights.map((w) => decibels(w.parts[0]!)).sort((a, b) => a - b);
  return { wiring, sites: [...values, ...weights], likenessDb: main[main.length >> 1] ?? Number.NEGATIVE_INFINITY };
}
function decibels({ float, stored }: Part): number {
  const [a, b] = [float32sOf(float), float32sOf(stored)];
  let [signal, noise] = [0, 0];
  for (let i = 0; i < a.length; i++) {
    signal += a[i]! ** 2;
    noise += (a[i]! - b[i]!) ** 2;
  }
  return 10 * Math.log10(signal / Math.max(noise, 1e-30));
}

function roundedValues(wiring: Wiring): RoundedValue[] {
  const found: RoundedValue[] = [];
  for (const { node: dq } of wiring.nodes) {
    const q = dq.op === "DequantizeLinear" ? wiring.producer.get(dq.inputs[0]!)?.node : undefined;
    if (q?.op !== "QuantizeLinear") continue;
    const scale = wiring.constants.get(q.inputs[1]!)?.tensor;
    if (scale?.type !== "float32") continue;
    const scales = float32sOf(scale);
    if (scales.length !== 1) continue;
    const zero = q.inputs[2] ? wiring.constants.get(q.inputs[2])?.tensor : undefined;
    const type = (zero?.type ?? "uint8") as CodeType;
    if (!(type in codeRange)) continue;
    const at = zero ? numberIn(zero) : 0;
    const [first, last] = codeRange[type];
    const [raw, rounded] = [q.inputs[0]!, dq.outputs[0]!];
    const range = { low: (first - at) * scales[0]!, high: (last - at) * scales[0]! };
    found.push({ kind: "value", layer: makerOf(raw, wiring), raw, rounded, scale: scales[0]!, type, ...range });
  }
  return found;
}
function numberIn({ type, bytes }: Tensor): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (type === "int8") return view.getInt8(0);
  if (type === "int16") return view.getInt16(0, true);
  return type === "uint16" ? view.getUint16(0, true) : view.getUint8(0);
}
/** What computes a value; before rectifiers, which belong to it. */
function makerOf(value: string, wiring: Wiring): Placed | null {
  const at = wiring.producer.get(value);
  if (at && (at.node.op === "Relu" || at.node.op === "Clip")) return makerOf(at.node.inputs[0]!, wiring) ?? at;
  return at ?? null;
}

/** Under what name the float network may know what a node computes: its own output's, or that of the rounded one. */
function namesBy(values: readonly RoundedValue[]): ReadonlyMap<string, string> {
  return new Map(values.map((v) => [v.raw, v.rounded]));
}

async function roundedWeights(
  graph: Graph,
  wiring: Wiring,
  float: Wiring,
  values: readonly RoundedValue[],
  engine: Engine,
): Promise<RoundedWeight[]> {
  const after = namesBy(values);
  const twins = new Map(float.nodes.map((at) => [at.key, at]));
  const computed = computedConstants(wiring);
  const pairs: { at: Placed; input: number; name: string; float: Tensor }[] = [];
  for (const at of wiring.nodes) {
    if (computed.has(at.key)) continue;
    const twin = twins.get(at.key) ?? twins.get(after.get(at.key) ?? "");
    if (!twin || twin.node.op !== at.node.op) continue;
    at.node.inputs.forEach((name, input) => {
      const tensor = float.constants.get(twin.node.inputs[input] ?? "")?.tensor;
      if (tensor?.type === "float32" && computed.has(name)) pairs.push({ at, input, name, float: tensor });
    });
  }
  const stored = await evaluated(graph, new Set(pairs.map((p) => p.name)), computed, wiring, engine);
  const sites = new Map<string, { kind: "weight"; layer: Placed; parts: Part[] }>();
  for (const { at, input, name, float } of pairs) {
    const tensor = stored.get(name);
    if (tensor?.type !== "float32" || tensor.dims.join() !== float.dims.join()) continue;
    const site = sites.get(at.key) ?? { kind: "weight", layer: at, parts: [] };
    site.parts.push({ input, name, float, stored: tensor, scales: scalesOf(name, computed, wiring) });
    sites.set(at.key, site);
  }
  return [...sites.values()];
}

/** Nodes that compute of constants alone, by output. */
function computedConstants(wiring: Wiring): Map<string, Node> {
  const found = new Map<string, Node>();
  for (const { node: n } of wiring.nodes) {
    if (bodiesOf(n).length > 0 || n.op.startsWith("Random") || n.inputs.length === 0) continue;
    if (n.inputs.every((name) => !name || wiring.constants.has(name) || found.has(name)))
      for (const o of n.outputs) found.set(o, n);
  }
  return found;
}
/** The nodes behind a value, in an order to compute them in. */
function behind(name: string, computed: ReadonlyMap<string, Node>, into: Set<Node>): Set<Node> {
  const n = computed.get(name);
  if (!n || into.has(n)) return into;
  for (const x of n.inputs) behind(x, computed, into);
  return into.add(n);
}
function scalesOf(name: string, computed: ReadonlyMap<string, Node>, wiring: Wiring): number {
  let most = 1;
  for (const n of behind(name, computed, new Set()))
    for (const x of n.inputs) {
      const t = wiring.constants.get(x)?.tensor;
      if (t?.type === "float32") most = Math.max(most, float32sOf(t).length);
    }
  return most;
}

async function evaluated(
  graph: Graph,
  names: ReadonlySet<string>,
  computed: ReadonlyMap<string, Node>,
  wiring: Wiring,
  engine: Engine,
): Promise<Map<string, Tensor>> {
  const results = new Map<string, Tensor>();
  if (names.size === 0) return results;
  const nodes = new Set<Node>();
  for (const name of names) behind(name, computed, nodes);
  const d = { ...emptyGraph("constants", 21), opsets: new Map(graph.opsets), irVersion: graph.irVersion };
  d.nodes = [...nodes];
  for (const n of nodes)
    for (const x of n.inputs) {
      const known = wiring.constants.get(x);
      if (known) d.initializers.set(x, known.tensor);
    }
  d.outputs = [...names].map((name) => ({ name, type: "undefined", shape: null }));
  for (const [name, tensor] of await constantsBy(engine, d)) results.set(name, tensor);
  return results;
}

/** The quantized graph, in float where a site's switch is off. Switches are inputs of type bool and no dims, in the order of the sites. */
export function switched(quantized: Graph, sites: readonly Site[]): { graph: Graph; switches: readonly string[] } {
  const switches = sites.map((_, i) => `explain/${i}`);
  const extra = new Map<string, Tensor>();
  const values = new Map<string, { raw: string; by: string }>();
  const weights = new Map<string, readonly (Part & { by: string })[]>();
  sites.forEach((s, i) => {
    const by = switches[i]!;
    if (s.kind === "value") values.set(s.rounded, { raw: s.raw, by });
    else
      weights.set(
        s.layer.key,
        s.parts.map((p) => ({ ...p, by })),
      );
  });
  const rewrite = (body: Subgraph): Subgraph => ({ ...body, nodes: body.nodes.flatMap((n) => around(n)) });
  const around = (before: Node): Node[] => {
    const n = withBodies(before, rewrite);
    const value = n.op === "DequantizeLinear" ? values.get(n.outputs[0]!) : undefined;
    if (value) {
      const on = `${n.outputs[0]}/explain/on`;
      return [{ ...n, outputs: [on] }, node("Where", [value.by, on, value.raw], [n.outputs[0]!], {}, "", "")];
    }
    const parts = weights.get(keyOf(n));
    if (!parts) return [n];
    const inputs = [...n.inputs];
    const choices = parts.map((p) => {
      const [float, chosen] = [`explain/w/${extra.size}`, `explain/c/${extra.size}`];
      extra.set(float, p.float);
      inputs[p.input] = chosen;
      return node("Where", [p.by, p.name, float], [chosen], {}, "", "");
    });
    return [...choices, { ...n, inputs }];
  };
  const d = draft({ ...quantized, ...rewrite(quantized) });
  for (const [name, tensor] of extra) d.initializers.set(name, tensor);
  d.inputs.push(...switches.map((name): Value => ({ name, type: "bool", shape: [] })));
  return { graph: d, switches };
}
