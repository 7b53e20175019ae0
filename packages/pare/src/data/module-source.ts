/** A user's module as a table of samples of one shape: a path enters, a source leaves. */
import { PareError } from "../graph/error.js";
import { sizeOf } from "../graph/tensor.js";
import type { Column, Table } from "./columns.js";
import {
  eachSample,
  loadModule,
  type ModulePart,
  type ModuleRequest,
  type SampleValues,
  valuesOf,
} from "./module-samples.js";
import { limitBytes } from "./read-bytes.js";
import { type Part, type Source, wholePart } from "./source.js";

/**
 * The parts of a module (see `loadModule`), each read to its end, or up to the limit. Reading throws where a sample's shape differs from the
 * first one's, or the whole does not fit into memory.
 */
export async function moduleSource(path: string, request: ModuleRequest): Promise<Source> {
  const { name, main, validation, test } = await loadModule(path, request);
  const part = (p: ModulePart): Part => wholePart(async () => await collect(name, p, request));
  return {
    name,
    main: part(main),
    ...(validation ? { validation: part(validation) } : {}),
    ...(test ? { test: part(test) } : {}),
  };
}

async function collect(name: string, part: ModulePart, request: ModuleRequest): Promise<Table> {
  const { path } = part;
  const columns = new Map<string, Growing>();
  const labels: number[] = [];
  const targets = new Growing();
  let count = 0;
  for await (const { inputs, label, target } of eachSample(part, request.limit)) {
    const where = `${name}: sample ${count}`;
    if (count === 0) for (const key of Object.keys(inputs)) columns.set(key, new Growing());
    if (String(Object.keys(inputs).sort()) !== String([...columns.keys()].sort()))
      throw new PareError(`${where} has the inputs ${Object.keys(inputs)}, the first one ${[...columns.keys()]}`);
    for (const [key, values] of Object.entries(inputs)) columns.get(key)!.add(values, `${where}, ${key || "x"}`);
    if (label !== undefined) labels.push(label);
    if (target !== undefined) targets.add(target, `${where}, target`);
    count++;
  }
  if (labels.length && labels.length !== count)
    throw new PareError(`${path}: ${labels.length} of ${count} samples have a label`);
  if (targets.count && targets.count !== count)
    throw new PareError(`${path}: ${targets.count} of ${count} samples have a target`);
  return {
    name,
    columns: [...columns].map(([key, c]) => exact(c.column(key || null))),
    ...(labels.length ? { labels: Int32Array.from(labels) } : {}),
    ...(targets.count ? { targets: targets.column("targets") } : {}),
  };
}

/** Doubles are delivered as float32: whole numbers that it lacks, such as ids, as int64. */
function exact(column: Column): Column {
  const { data } = column;
  const ids = data instanceof Float64Array && data.every(Number.isInteger) && data.some((v) => Math.fround(v) !== v);
  return ids ? { ...column, data: BigInt64Array.from(data, BigInt) } : column;
}

/** Values of one field, gathered sample by sample. */
class Growing {
  #dims: readonly number[] | null = null;
  #data: Exclude<Column["data"], never> = new Float32Array(0);
  count = 0;

  add(values: SampleValues, where: string): void {
    const { dims, data } = valuesOf(values, where);
    const size = sizeOf(dims);
    if (!this.#dims) {
      this.#dims = dims;
      this.#data = new (data.constructor as new (n: number) => Float32Array)(16 * size);
    }
    if (String(dims) !== String(this.#dims))
      throw new PareError(`${where} has shape [${dims}], the first sample [${this.#dims}]`);
    if (data instanceof Float64Array && this.#data instanceof Float32Array) this.#data = Float64Array.from(this.#data);
    const narrower = data instanceof Float32Array && this.#data instanceof Float64Array;
    if (!narrower && data.constructor !== this.#data.constructor)
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
