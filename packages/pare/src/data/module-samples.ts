/** A user's module that exports samples: a path enters, its parts leave as samples one by one, checked. */
import { basename, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import type { TypedArray } from "../engine/engine.js";
import { PareError } from "../graph/error.js";
import { quote } from "../graph/quote.js";
import { sizeOf } from "../graph/tensor.js";

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
/** Samples that are made when they are asked for, in any order: nothing is held. */
interface IndexedSamples {
  readonly length: number;
  sample(i: number): Sample;
}
type Exported = AsyncIterable<Sample> | Iterable<Sample> | IndexedSamples;

export interface ModulePart {
  /** Where it comes from, for messages. */
  readonly path: string;
  read(): Promise<Exported>;
}
export interface SampleModule {
  readonly name: string;
  /** The training part, or the only one. */
  readonly main: ModulePart;
  readonly validation?: ModulePart;
  readonly test?: ModulePart;
}

/**
 * A module's exports: `train` (or `default`, `samples`, `data`), and `validation` and `test` where it has parts of its own. Each is an iterable of
 * samples, an object { length, sample(i) }, or a function of { limit, seed } that returns either. Throws where the module cannot be loaded or
 * exports no samples.
 */
export async function loadModule(path: string, request: ModuleRequest): Promise<SampleModule> {
  let module: Record<string, unknown>;
  try {
    module = (await import(pathToFileURL(resolve(path)).href)) as Record<string, unknown>;
  } catch (e) {
    throw new PareError(`${path}: cannot be loaded as a module (${(e as Error).message})`, "input", { cause: e });
  }
  const part = (...keys: readonly string[]): ModulePart | null => {
    const key = keys.find((k) => module[k] !== undefined);
    return key === undefined ? null : { path, read: async () => await exportedOf(module[key], path, key, request) };
  };
  const [main, validation, test] = [part("train", "default", "samples", "data"), part("validation"), part("test")];
  if (!main)
    throw new PareError(
      `${path}: exports ${Object.keys(module).join(", ") || "nothing"}: export samples as default, train, samples or data`,
    );
  return { name: basename(path), main, ...(validation ? { validation } : {}), ...(test ? { test } : {}) };
}

async function exportedOf(exported: unknown, path: string, key: string, request: ModuleRequest): Promise<Exported> {
  const samples: unknown = typeof exported === "function" ? await called(exported, path, key, request) : exported;
  if (isIndexed(samples)) return samples;
  if (samples && typeof samples === "object" && (Symbol.asyncIterator in samples || Symbol.iterator in samples))
    return samples as Exported;
  throw new PareError(
    `${path}: its export "${key}" must be an iterable of samples, an object { length, sample(i) }, or a function that returns one`,
  );
}

async function called(make: CallableFunction, path: string, key: string, request: ModuleRequest): Promise<unknown> {
  try {
    return await make(request);
  } catch (cause) {
    throw new PareError(`${path}: its export "${key}" failed: ${String((cause as Error)?.message ?? cause)}`, "input", {
      cause,
    });
  }
}

/** Whether samples can be had in any order. */
export function isIndexed(samples: unknown): samples is IndexedSamples {
  const { length, sample } = (samples ?? {}) as Partial<IndexedSamples>;
  return Number.isInteger(length) && typeof sample === "function";
}

/** What a module's sample says, by the names of inputs ("" where it has only `x`). */
export interface CheckedSample {
  readonly inputs: Readonly<Record<string, SampleValues>>;
  readonly label?: number;
  readonly target?: SampleValues;
}

/** Throws where a sample is none; `where` leads the message. */
export function checkSample(sample: Sample, where: string): CheckedSample {
  const inputs = sample?.inputs ?? (sample?.x === undefined ? null : { "": sample.x });
  if (!inputs || typeof inputs !== "object" || !Object.keys(inputs).length)
    throw new PareError(
      `${where} has neither x nor inputs: yield { x, label } or { inputs: { name: values }, target }`,
    );
  const { label, target } = sample;
  if (label !== undefined && !Number.isInteger(label))
    throw new PareError(
      `${where}: label ${typeof label === "string" ? quote(label) : String(label)} is not a class index: yield numbers to be predicted as target`,
    );
  return { inputs, ...(label === undefined ? {} : { label }), ...(target === undefined ? {} : { target }) };
}

/** The samples of a part one after another, at most `limit`. Throws with the part's path where the module's own code fails. */
export async function* eachSample(part: ModulePart, limit: number | null): AsyncGenerator<CheckedSample> {
  const name = basename(part.path);
  let count = 0;
  const next = (sample: Sample): CheckedSample => checkSample(sample, `${name}: sample ${count}`);
  try {
    const samples = await part.read();
    if (isIndexed(samples))
      for (; count < Math.min(samples.length, limit ?? Infinity); count++) yield next(samples.sample(count));
    else
      for await (const sample of samples) {
        yield next(sample);
        count++;
        if (count === limit) break;
      }
  } catch (e) {
    if (e instanceof PareError) throw e;
    throw new PareError(
      `${part.path}: its samples failed after ${count}: ${String((e as Error)?.message ?? e)}`,
      "input",
      {
        cause: e,
      },
    );
  }
  if (!count) throw new PareError(`${part.path}: yields no samples`);
}

type Values = Exclude<TypedArray, BigUint64Array>;
/** The dims and numbers of a field of a sample; lists become float32, or float64 where they hold whole numbers that float32 lacks. Throws where they disagree; `where` leads the message. */
export function valuesOf(values: SampleValues, where: string): { dims: readonly number[]; data: Values } {
  const typed = (data: unknown): Values | null => {
    if (data instanceof BigUint64Array) return BigInt64Array.from(data);
    return ArrayBuffer.isView(data) && !(data instanceof DataView) ? (data as Values) : null;
  };
  const plain = typed(values);
  if (plain) return { dims: [plain.length], data: plain };
  if (typeof values === "number") return { dims: [1], data: numbersOf([values], where) };
  if (Array.isArray(values)) {
    const dims: number[] = [];
    for (let v: unknown = values; Array.isArray(v); v = v[0]) dims.push(v.length);
    const flat: unknown[] = (values as unknown[]).flat(dims.length);
    if (flat.length !== sizeOf(dims) || flat.some(Array.isArray))
      throw new PareError(
        `${where}: nested lists must be even and hold numbers: [${dims}] needs ${sizeOf(dims)}, got ${flat.length}`,
      );
    return { dims, data: numbersOf(flat, where) };
  }
  const { data, dims } = (values ?? {}) as { data?: unknown; dims?: readonly number[] };
  const array = typed(data) ?? (Array.isArray(data) ? numbersOf(data, where) : null);
  if (!array || !Array.isArray(dims) || sizeOf(dims) !== array.length)
    throw new PareError(
      `${where}: expected numbers, a list, a typed array or { data, dims } that agree${array ? `: [${dims}] and ${array.length} values` : ""}`,
    );
  return { dims, data: array };
}

/** A list's numbers, or what is true and false in it; throws where it holds anything else. */
function numbersOf(list: readonly unknown[], where: string): Float32Array | Float64Array {
  const odd = list.findIndex((v) => typeof v !== "number" && typeof v !== "boolean");
  if (odd < 0) {
    const large = list.some((v) => Number.isInteger(v) && Math.fround(v as number) !== v);
    return large ? Float64Array.from(list, Number) : Float32Array.from(list, Number);
  }
  const v = list[odd];
  const shown = typeof v === "string" ? quote(v) : typeof v === "bigint" ? `${v}n` : String(v);
  throw new PareError(
    `${where}: lists must hold numbers: element ${odd} is ${shown}${typeof v === "bigint" ? ": use a BigInt64Array" : ""}`,
  );
}
