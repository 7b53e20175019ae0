/** A user's module that exports samples: a path enters, a source leaves. */
import { basename, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import type { TypedArray } from "../engine/engine.js";
import { PareError } from "../graph/error.js";
import { sizeOf } from "../graph/tensor.js";
import type { Column, Table } from "./columns.js";
import { limitBytes } from "./read-bytes.js";
import { type Part, type Source, wholePart } from "./source.js";

/** Numbers of one sample: a flat or nested list, or values with their dims. Uint8Array is pixels (x / 255). */
export type SampleValues =
  | number
  | TypedArray
  | readonly SampleValues[]
  | { readonly data: TypedArray | readonly number[]; readonly dims: readonly number[] };
/** What a data module yields. */
export interface Sample {
  readonly x?: SampleValues;
  /** By the graph's input names. */
  readonly inputs?: Readonly<Record<string, SampleValues>>;
  readonly label?: number;
  readonly target?: SampleValues;
}
/** What a function in a data module is told. */
export interface ModuleRequest {
  /** No more samples than this are wanted; null: all. */
  readonly limit: number | null;
  readonly seed: number;
}
type Samples = AsyncIterable<Sample> | Iterable<Sample>;

/**
 * A module's exports: `train` (or `default`, `samples`, `data`), and `validation` and `test` where it has parts of its own. Each is an iterable of
 * samples, or a function of { limit, seed } that returns one; it is read to its end, or up to the limit. Throws where the module cannot be
 * loaded; reading throws where a sample's shape differs from the first one's, or the whole does not fit into memory.
 */
export async function moduleSource(path: string, request: ModuleRequest): Promise<Source> {
  let module: Record<string, unknown>;
  try {
    module = (await import(pathToFileURL(resolve(path)).href)) as Record<string, unknown>;
  } catch (e) {
    throw new PareError(`${path}: cannot be loaded as a module (${(e as Error).message})`, "input", { cause: e });
  }
  const name = basename(path);
  const part = (...keys: readonly string[]): Part | null => {
    const key = keys.find((k) => module[k] !== undefined);
    return key === undefined
      ? null
      : wholePart(async () => await collect(path, name, await samplesOf(module[key], path, key, request), request));
  };
  const [main, validation, test] = [part("train", "default", "samples", "data"), part("validation"), part("test")];
  if (!main)
    throw new PareError(
      `${path}: exports ${Object.keys(module).join(", ") || "nothing"}: export samples as default, train, samples or data`,
    );
  return { name, main, ...(validation ? { validation } : {}), ...(test ? { test } : {}) };
}

async function samplesOf(exported: unknown, path: string, key: string, request: ModuleRequest): Promise<Samples> {
  const samples: unknown = typeof exported === "function" ? await exported(request) : exported;
  if (samples && typeof samples === "object" && (Symbol.asyncIterator in samples || Symbol.iterator in samples))
    return samples as Samples;
  throw new PareError(`${path}: its export "${key}" must be an iterable of samples, or a function that returns one`);
}

async function collect(path: string, name: string, samples: Samples, request: ModuleRequest): Promise<Table> {
  const columns = new Map<string, Growing>();
  const labels: number[] = [];
  const targets = new Growing();
  let count = 0;
  try {
    for await (const sample of samples) {
      const where = `${name}: sample ${count}`;
      const inputs = sample?.inputs ?? (sample?.x === undefined ? null : { "": sample.x });
      if (!inputs || typeof inputs !== "object" || !Object.keys(inputs).length)
        throw new PareError(
          `${where} has neither x nor inputs: yield { x, label } or { inputs: { name: values }, target }`,
        );
      if (count === 0) for (const key of Object.keys(inputs)) columns.set(key, new Growing());
      if (String(Object.keys(inputs).sort()) !== String([...columns.keys()].sort()))
        throw new PareError(`${where} has the inputs ${Object.keys(inputs)}, the first one ${[...columns.keys()]}`);
      for (const [key, values] of Object.entries(inputs)) columns.get(key)!.add(values, `${where}, ${key || "x"}`);
      if (sample.label !== undefined) labels.push(sample.label);
      if (sample.target !== undefined) targets.add(sample.target, `${where}, target`);
      count++;
      if (count === request.limit) break;
    }
  } catch (e) {
    if (e instanceof PareError) throw e;
    throw new PareError(`${path}: its samples failed after ${count}: ${String((e as Error)?.message ?? e)}`, "input", {
      cause: e,
    });
  }
  if (!count) throw new PareError(`${path}: yields no samples`);
  if (labels.length && labels.length !== count)
    throw new PareError(`${path}: ${labels.length} of ${count} samples have a label`);
  if (targets.count && targets.count !== count)
    throw new PareError(`${path}: ${targets.count} of ${count} samples have a target`);
  return {
    name,
    columns: [...columns].map(([key, c]) => c.column(key || null)),
    ...(labels.length ? { labels: wholeLabels(labels, path) } : {}),
    ...(targets.count ? { targets: targets.column("targets") } : {}),
  };
}

/** Values of one field, gathered sample by sample. */
class Growing {
  #dims: readonly number[] | null = null;
  #data: Exclude<Column["data"], never> = new Float32Array(0);
  count = 0;

  add(values: SampleValues, where: string): void {
    const { dims, data } = flatten(values, where);
    const size = sizeOf(dims);
    if (!this.#dims) {
      this.#dims = dims;
      this.#data = new (data.constructor as new (n: number) => Float32Array)(16 * size);
    }
    if (String(dims) !== String(this.#dims))
      throw new PareError(`${where} has shape [${dims}], the first sample [${this.#dims}]`);
    if (data.constructor !== this.#data.constructor)
      throw new PareError(`${where} is a ${data.constructor.name}, the first sample a ${this.#data.constructor.name}`);
    const used = this.count * size;
    if (used + size > this.#data.length) {
      const bytes = 2 * this.#data.byteLength;
      if (bytes > limitBytes)
        throw new PareError(`${where}: more than ${limitBytes / 2} bytes of samples: use --limit`);
      const grown = new (this.#data.constructor as new (n: number) => Float32Array)(2 * this.#data.length);
      grown.set(this.#data as Float32Array);
      this.#data = grown;
    }
    (this.#data as Float32Array).set(data as Float32Array, used);
    this.count++;
  }
  column(name: string | null): Column {
    const dims = this.#dims!;
    return { name, dims, data: this.#data.slice(0, this.count * sizeOf(dims)) };
  }
}

function flatten(values: SampleValues, where: string): { dims: readonly number[]; data: Column["data"] } {
  const typed = (data: unknown): Column["data"] | null => {
    if (data instanceof BigUint64Array) return BigInt64Array.from(data);
    return ArrayBuffer.isView(data) && !(data instanceof DataView) ? (data as Column["data"]) : null;
  };
  const plain = typed(values);
  if (plain) return { dims: [plain.length], data: plain };
  if (typeof values === "number") return { dims: [1], data: Float32Array.of(values) };
  if (Array.isArray(values)) {
    const dims: number[] = [];
    for (let v: unknown = values; Array.isArray(v); v = v[0]) dims.push(v.length);
    const flat = (values as unknown[]).flat(dims.length) as number[];
    if (flat.length !== sizeOf(dims) || !flat.every((v) => typeof v === "number"))
      throw new PareError(
        `${where}: nested lists must be even and hold numbers: [${dims}] needs ${sizeOf(dims)}, got ${flat.length}`,
      );
    return { dims, data: Float32Array.from(flat) };
  }
  const { data, dims } = (values ?? {}) as { data?: unknown; dims?: readonly number[] };
  const array = typed(data) ?? (Array.isArray(data) ? Float32Array.from(data as number[]) : null);
  if (!array || !Array.isArray(dims) || sizeOf(dims) !== array.length)
    throw new PareError(
      `${where}: expected numbers, a list, a typed array or { data, dims } that agree${array ? `: [${dims}] and ${array.length} values` : ""}`,
    );
  return { dims, data: array };
}

function wholeLabels(labels: readonly number[], path: string): Int32Array {
  const bad = labels.findIndex((l) => !Number.isInteger(l));
  if (bad >= 0)
    throw new PareError(
      `${path}: label ${labels[bad]} of sample ${bad} is not a class index: yield numbers to be predicted as target`,
    );
  return Int32Array.from(labels);
}
