/**
 * Bias correction: a float graph, what quantization makes of it, and samples come in; the float graph goes out with biases such that, quantized, every
 * channel of every layer has the mean that it has in float. Layer after layer, each with inputs that are quantized and corrected already.
 *
 * Nagel, van Baalen, Blankevoort, Welling: Data-Free Quantization Through Weight Equalization and Bias Correction, ICCV 2019, section 4.2;
 * the empirical form of appendix D.
 *
 * Differs from the paper:
 * - Means are of data, never of BatchNormalization's parameters.
 * - One pass over the samples does it, not one per layer: both graphs run as one, where each layer's output in the quantized half is shifted to
 *   the mean that the float half has on the same samples. So what follows sees a corrected input at once. The bias is the mean of these shifts.
 * - A layer without a bias gets one where its means are off by a noticeable part of its deviation.
 */
import { together } from "../../calibrate/together.js";
import type { Samples } from "../../data/samples.js";
import type { Engine, NDArray } from "../../engine/engine.js";
import { Emitter } from "../../graph/emit.js";
import { type Draft, draft, type Graph, type Node } from "../../graph/graph.js";
import { float32sOf, floats, sizeOf } from "../../graph/tensor.js";
import type { Site } from "../../ops/record.js";
import { recordOf } from "../../ops/registry.js";
import { dropDeadNodes } from "../../passes/drop-dead-nodes.js";
import { rereading } from "../../passes/each-body.js";
import { type Placed, type Wiring, wiringOf } from "../../quantization/wiring.js";

export interface BiasCorrectionOptions {
  readonly engine: Engine;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: { readonly done: number; readonly of: number }) => void;
}
export interface Corrected {
  /** Float: it is to be quantized as before. */
  readonly graph: Graph;
  /** Layers, by their first output, whose bias is another now. */
  readonly layers: readonly string[];
}

/** An error of the mean below this part of the channel's deviation is not worth a bias of its own. */
const noticeable = 0.01;
/** Where the output of a layer can be shifted. */
interface Place {
  readonly key: string;
  /** The value whose means are compared. */
  readonly value: string;
  readonly rank: number;
  readonly axis: number;
  readonly channels: number;
  /** What reads the bias, and as which input. */
  readonly reader: Placed;
  readonly input: number;
  /** The bias is multiplied by it. */
  readonly factor: number;
}

/**
 * `graph`: the float model, whose means are wanted. `layers`: first outputs of the nodes that are quantized; those inside bodies keep their biases. `quantize`: the plan applied to a float graph; values
 * must keep their names. Throws PareError where samples do not fit.
 */
export async function correctBiases(
  graph: Graph,
  layers: Iterable<string>,
  quantize: (graph: Graph) => Graph,
  samples: Samples,
  options: BiasCorrectionOptions,
): Promise<Corrected> {
  const wiring = wiringOf(graph);
  const wanted = new Set(layers);
  const { graph: open, most } = await together(graph, samples, options.engine);
  const quantized = quantize(open);
  const there = new Set(quantized.nodes.flatMap((n) => n.outputs));
  const places = wiring.nodes.flatMap((at): Place[] => {
    const place = wanted.has(at.key) && at.body === graph ? placeOf(at, wiring) : null;
    return place && there.has(place.value) ? [place] : [];
  });
  if (places.length === 0) return { graph, layers: [] };
  const shifts = await measure(side(open, quantized, places), places, samples, most, options);
  const biases = new Map<Place, Float32Array>();
  places.forEach((p, k) => {
    const { given, values } = biasOf(wiring, p);
    const { shift, deviation } = shifts[k]!;
    const worth = shift.some((s, c) => Math.abs(s) > (given ? 0 : noticeable * deviation[c]!));
    if (worth)
      biases.set(
        p,
        values.map((b, c) => b + shift[c]! / p.factor),
      );
  });
  return { graph: withBiases(graph, biases), layers: [...biases.keys()].map((p) => p.key) };
}

interface Shift {
  readonly shift: Float64Array;
  readonly deviation: Float64Array;
}
/** By place, means over all samples of what `side` reports. */
async function measure(
  graph: Graph,
  places: readonly Place[],
  samples: Samples,
  most: number,
  options: BiasCorrectionOptions,
): Promise<Shift[]> {
  const sums = places.map((p) => new Float64Array(3 * p.channels));
  const session = await options.engine.load(graph);
  try {
    for (let done = 0; done < samples.length; ) {
      options.signal?.throwIfAborted();
      options.onProgress?.({ done, of: samples.length });
      const count = Math.min(most, samples.length - done);
      const batch = count > 1 ? samples.batch(Array.from({ length: count }, (_, i) => done + i)) : null;
      const reports = await session.run(batch ?? samples.feeds(done));
      const weight = (batch ? count : 1) / samples.length;
      graph.outputs.forEach((v, k) => {
        (reports[v.name] as NDArray & { data: Float32Array }).data.forEach((x, i) => {
          sums[k]![i]! += x * weight;
        });
      });
      done += batch ? count : 1;
    }
  } finally {
    await session.release();
  }
  return places.map(({ channels }, k) => {
    const [shift, mean, power] = [0, 1, 2].map((row) => sums[k]!.subarray(row * channels, (row + 1) * channels));
    return { shift: shift!, deviation: power!.map((square, c) => Math.sqrt(Math.max(square - mean![c]! ** 2, 0))) };
  });
}

/**
 * Both graphs over the same inputs. In the quantized one every place is shifted to the float one's means; outputs, by place [3 c]: the shift, and mean and
 * mean square in float.
 */
function side(graph: Graph, quantized: Graph, places: readonly Place[]): Graph {
  const d = draft(graph);
  d.values = new Map();
  d.outputs = [];
  d.irVersion = Math.max(graph.irVersion, quantized.irVersion);
  for (const [domain, version] of quantized.opsets) d.opsets.set(domain, Math.max(version, d.opsets.get(domain) ?? 0));
  const g = new Emitter(d, "float32", "bias/");
  const fed = new Set(quantized.inputs.map((v) => v.name));
  const twin = (name: string) => (name === "" || fed.has(name) ? name : `quantized/${name}`);
  for (const [name, t] of quantized.initializers) d.initializers.set(twin(name), t);
  const at = new Map(places.map((p) => [p.value, p]));
  for (const node of quantized.nodes) {
    const found = node.outputs.map((o) => at.get(o));
    const raw = node.outputs.map((o, k) => (found[k] ? g.fresh("raw") : twin(o)));
    g.push({ ...rereading(node, twin), name: "", outputs: raw });
    found.forEach((p, k) => {
      if (p) shifted(g, d, p, raw[k]!, twin(p.value));
    });
  }
  return dropDeadNodes(d);
}
function shifted(g: Emitter, d: Draft, p: Place, raw: string, to: string): void {
  const axes = Array.from({ length: p.rank }, (_, i) => i).filter((i) => i !== p.axis);
  const opset = d.opsets.get("") ?? 1;
  const mean = (x: string) =>
    opset >= 18
      ? g.op("ReduceMean", [x, g.ints(axes)], { keepdims: 1 })
      : g.op("ReduceMean", [x], { axes, keepdims: 1 });
  const wanted = mean(p.value);
  const shift = g.op("Sub", [wanted, mean(raw)]);
  const power = mean(g.op("Mul", [p.value, p.value]));
  const rows = [shift, wanted, power].map((x) => g.reshape(x, [p.channels]));
  const report = g.op("Concat", rows, { axis: 0 });
  d.outputs.push({ name: report, type: "float32", shape: [3 * p.channels] });
  g.push({ op: "Add", domain: "", name: "", inputs: [raw, shift], outputs: [to], attributes: {} });
}

interface Biased {
  readonly values: Float32Array;
  /** Whether the layer has one already. */
  readonly given: boolean;
}
function biasOf(wiring: Wiring, p: Place): Biased {
  const name = p.reader.node.inputs[p.input];
  if (!name) return { given: false, values: new Float32Array(p.channels) };
  return { given: true, values: float32sOf(wiring.constants.get(name)!.tensor).slice() };
}

/** Where a constant can shift what a layer computes; null where it cannot. */
function placeOf(at: Placed, wiring: Wiring): Place | null {
  const { node, key } = at;
  const record = recordOf(node);
  if (record?.quant !== "weights") return null;
  const rank = wiring.typeOf(key)?.shape?.length ?? 0;
  const added = addsThird(wiring.siteOf(at));
  const axis = added ? 1 : rank - 1;
  const channels = wiring.typeOf(key)?.shape?.[axis];
  if (rank < 2 || typeof channels !== "number") return null;
  const fits = (name: string) => {
    const t = wiring.constants.get(name)?.tensor;
    return t?.type === "float32" && t.dims.length <= rank && t.dims.at(-1) === channels && sizeOf(t.dims) === channels;
  };
  if (added) {
    if (node.inputs[2] && !fits(node.inputs[2])) return null;
    const factor = node.attributes.beta?.kind === "float" ? node.attributes.beta.value : 1;
    return factor === 0 ? null : { key, value: key, rank, axis, channels, reader: at, input: 2, factor };
  }
  const [only, ...others] = wiring.readers.get(key) ?? [];
  const alone = only && others.length === 0 && !wiring.leaving.has(key);
  if (!alone || !recordOf(only.at.node)?.sums || only.at.node.inputs.length !== 2) return null;
  if (!fits(only.at.node.inputs[1 - only.input]!)) return null;
  return { key, value: only.at.key, rank, axis, channels, reader: only.at, input: 1 - only.input, factor: 1 };
}
/** Whether a contraction adds its third input to the product. */
const addsThird = (site: Site | null): boolean => {
  const facet = site && recordOf(site.node)?.homogeneous;
  const sets = typeof facet === "function" ? facet(site!) : facet;
  return sets?.length === 2 && sets.every((set) => set.includes(2));
};

/** The graph whose layers at these places read biases of their own. */
function withBiases(graph: Graph, biases: ReadonlyMap<Place, Float32Array>): Graph {
  const d = draft(graph);
  const g = new Emitter(d);
  const names = new Map<Node, { input: number; name: string }>();
  for (const [p, values] of biases) {
    const name = g.fresh(`${p.key}.bias`);
    d.initializers.set(name, floats(values, [p.channels]));
    names.set(p.reader.node, { input: p.input, name });
  }
  d.nodes = d.nodes.map((n) => {
    const own = names.get(n);
    if (!own) return n;
    const inputs = Array.from({ length: Math.max(n.inputs.length, own.input + 1) }, (_, i) => n.inputs[i] ?? "");
    return { ...n, inputs: inputs.with(own.input, own.name) };
  });
  return dropDeadNodes(d);
}
