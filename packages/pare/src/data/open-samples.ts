/** What --data names and a graph enter, samples as the graph takes them leave: one run each, of one shape or of many. */
import { existsSync } from "node:fs";
import { basename } from "node:path";
import { heldBytes, type NDArray } from "../engine/engine.js";
import { PareError } from "../graph/error.js";
import { feeds, type Graph, type Value } from "../graph/graph.js";
import type { Dataset } from "./dataset.js";
import { isModule } from "./find-source.js";
import { type FittedSample, fitSample } from "./fit-sample.js";
import {
  type CheckedSample,
  checkSample,
  eachSample,
  isIndexed,
  loadModule,
  type ModulePart,
  type Sample,
  valuesOf,
} from "./module-samples.js";
import { checkedNormalization, parseNormalization } from "./normalize.js";
import { type OpenOptions, open, planSplits } from "./open.js";
import { limitBytes } from "./read-bytes.js";
import type { Samples } from "./samples.js";
import { spread } from "./views.js";

/** Of samples that are kept as the graph takes them. */
const keptBytes = 2 ** 26;

/** An input of the model for which the data holds nothing. */
export class MissingInputError extends PareError {
  constructor(
    readonly input: string,
    message: string,
  ) {
    super(message);
  }
}

/**
 * The samples at `source` for a graph. Whatever `open` reads is taken as samples of one shape; a module may yield samples of differing shapes,
 * for models without a batch axis too: values of an input's own rank are fed as they are, values of one axis less get a batch axis. Samples of
 * an iterable are held as they came, those of { length, sample(i) } are asked for one by one, the first 64 MiB of them once. Throws PareError where the data are missing,
 * damaged, empty, not finite or do not fit (MissingInputError where an input has none): names the sample, the input and both shapes.
 */
export async function openSamples(source: string, graph: Graph, options: OpenOptions = {}): Promise<Samples> {
  if (!isModule(source) || !existsSync(source)) return samplesOf(await open(source, options), graph);
  const { split = "all", limit, seed = 0, normalize } = options;
  if (limit !== undefined) spread(1, limit);
  const normalization = typeof normalize === "string" ? parseNormalization(normalize) : (normalize ?? null);
  if (normalization) checkedNormalization(normalization);
  const read = split === "all" ? (limit ?? null) : null;
  const module = await loadModule(source, { limit: read, seed });
  const [part, choose] = planSplits(module, [split], { ...options, seed })[0]!;
  const all = await rowsOf(part, read);
  if (all.length < 1) throw new PareError(`${source}: yields no samples`);
  const indices = choose(all.length)[0]![1];
  const chosen = limit === undefined ? null : spread(indices?.length ?? all.length, limit);
  const at = (i: number): number => {
    const k = chosen ? chosen[i]! : i;
    return indices ? indices[k]! : k;
  };
  const fit = fitter(module.name, graph, normalization);
  const length = chosen?.length ?? indices?.length ?? all.length;
  const labels = new Map<number, number | null>();
  const row = (i: number): CheckedSample => {
    const found = all.row(at(inside(i, length, module.name)));
    labels.set(i, found.label ?? null);
    return found;
  };
  const samples = {
    name: module.name,
    length,
    label: (i: number) => (labels.has(i) ? labels.get(i)! : (row(i).label ?? null)),
    numberOf: at,
    fitted: kept((i: number) => fit(row(i), at(i))),
  };
  samples.fitted(0);
  return withBatches(samples, graph);
}

/** A dataset as samples of a graph. Throws as `openSamples`. */
export function samplesOf(dataset: Dataset, graph: Graph): Samples {
  const { name, length, fields } = dataset;
  if (length < 1) throw new PareError(`${name}: no samples`);
  const fit = fitter(name, graph, null, true);
  const samples = {
    name,
    length,
    label: (i: number) => dataset.batch([inside(i, length, name)]).labels?.[0] ?? null,
    fitted: kept((i: number) => {
      const { inputs } = dataset.batch([inside(i, length, name)]);
      const values = fields.map((f, k) => [f.name ?? "", { dims: f.dims, data: inputs[k]!.data }] as const);
      return fit({ inputs: Object.fromEntries(values) as CheckedSample["inputs"] }, i);
    }),
  };
  samples.fitted(0);
  return withBatches(samples, graph);
}

function inside(i: number, length: number, name: string): number {
  if (Number.isInteger(i) && i >= 0 && i < length) return i;
  throw new PareError(`${name}: sample ${i} does not exist: it has ${length} (0 to ${length - 1})`, "usage");
}

type Fitted = ReadonlyMap<string, FittedSample>;

/** The same samples, those asked for first kept within `keptBytes`: decoding one again costs more than most models take to run on it. */
function kept(fitted: (i: number) => Fitted): (i: number) => Fitted {
  const known = new Map<number, Fitted>();
  let bytes = 0;
  return (i) => {
    const before = known.get(i);
    if (before) return before;
    const made = fitted(i);
    for (const { array } of made.values()) bytes += heldBytes(array);
    if (bytes > keptBytes) return made;
    // The data may write its next sample into the same array.
    const own = [...made].map(
      ([name, f]) => [name, { ...f, array: { ...f.array, data: f.array.data.slice() } }] as const,
    );
    known.set(i, new Map(own));
    return known.get(i)!;
  };
}

/** Samples whose feeds are fitted one by one, and put together where each has a first axis of one. */
function withBatches(
  { fitted, ...samples }: Omit<Samples, "feeds" | "batch"> & { fitted(i: number): Fitted },
  graph: Graph,
): Samples {
  const inputs = feeds(graph);
  return {
    ...samples,
    feeds: (i) => arraysOf(fitted(i)),
    batch(indices) {
      if (indices.length < 1) return null;
      const all = indices.map(fitted);
      const out: Record<string, NDArray> = {};
      for (const { name } of inputs) {
        const rows = all.map((f) => f.get(name)!);
        const first = rows[0]!.array;
        if (!rows.every((r) => r.batched && String(r.array.dims) === String(first.dims))) return null;
        out[name] = joined(rows.map((r) => r.array));
      }
      return out;
    },
  };
}
const arraysOf = (fitted: Fitted): Record<string, NDArray> =>
  Object.fromEntries([...fitted].map(([name, { array }]) => [name, array]));

/** [1, ...] arrays one after the other. */
function joined(rows: readonly NDArray[]): NDArray {
  const { type, dims, data } = rows[0]!;
  const out = new (data.constructor as new (n: number) => Float32Array)(rows.length * data.length);
  for (const [i, row] of rows.entries()) out.set(row.data as Float32Array, i * data.length);
  return { type, dims: [rows.length, ...dims.slice(1)], data: out };
}

/** A function that fits the inputs of a sample to the graph's. */
function fitter(
  name: string,
  graph: Graph,
  normalization: Parameters<typeof fitSample>[2]["normalization"],
  single = false,
): (sample: CheckedSample, index: number) => Fitted {
  const inputs = feeds(graph);
  if (!inputs.length) throw new PareError("the model has no inputs: it takes no data");
  const list = inputs.map((v) => `"${v.name}"`).join(", ");
  return ({ inputs: given }, index) => {
    const names = Object.keys(given);
    const where = `${name}: sample ${index}`;
    const alone = names.length === 1 && inputs.length === 1;
    const extra = names.find((n) => !inputs.some((v) => v.name === n));
    if (extra !== undefined && !alone)
      throw new PareError(
        `${where}: "${extra || "(unnamed)"}" is no input of the model, whose inputs are ${list}: name each array of the data by its input`,
      );
    const fitOne = (value: Value, key: string): FittedSample => {
      const values = valuesOf(given[key]!, `${where}, ${key || "x"}`);
      const normal = key === names[0] ? normalization : null;
      return fitSample(values, value, { where, normalization: normal ?? null, single });
    };
    return new Map(
      inputs.map((value) => {
        const key = alone ? names[0]! : value.name;
        if (!(key in given))
          throw new MissingInputError(
            value.name,
            `input "${value.name}" of the model has no data: ${name} holds ${names.map((n) => `"${n}"`).join(", ")}: add it to the data, or quantize weights only`,
          );
        return [value.name, fitOne(value, key)];
      }),
    );
  };
}

/** The samples of a part of a module: held, where it can only be read from the start. */
async function rowsOf(
  part: ModulePart,
  limit: number | null,
): Promise<{ length: number; row(i: number): CheckedSample }> {
  const name = basename(part.path);
  const exported = await part.read();
  if (isIndexed(exported)) {
    const sample = (i: number): Sample => {
      try {
        return exported.sample(i);
      } catch (e) {
        throw new PareError(`${part.path}: sample ${i} failed: ${String((e as Error)?.message ?? e)}`, "input", {
          cause: e,
        });
      }
    };
    return {
      length: exported.length,
      row: (i) => checkSample(sample(i), `${name}: sample ${i}`),
    };
  }
  const held: CheckedSample[] = [];
  let bytes = 0;
  for await (const sample of eachSample({ ...part, read: async () => exported }, limit)) {
    const where = `${name}: sample ${held.length}`;
    const inputs: Record<string, { dims: readonly number[]; data: ReturnType<typeof valuesOf>["data"] }> = {};
    for (const [key, values] of Object.entries(sample.inputs)) {
      const { dims, data } = valuesOf(values, `${where}, ${key || "x"}`);
      // The module may write its next sample into the same array.
      inputs[key] = { dims: [...dims], data: data.slice() };
      bytes += data.byteLength;
    }
    if (bytes > limitBytes)
      throw new PareError(
        `${where}: more than ${limitBytes} bytes of samples: use --limit, or export { length, sample(i) }`,
      );
    held.push({ ...sample, inputs });
  }
  return { length: held.length, row: (i) => held[i]! };
}
