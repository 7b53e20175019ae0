/** What an unfinished run has settled so far, in a folder: a killed run goes on from there to the same bytes. */
import { createHash } from "node:crypto";
import { mkdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { deserialize, serialize } from "node:v8";
import type { Dataset } from "../data/dataset.js";
import { fromBytes } from "../graph/decode.js";
import { toBytes } from "../graph/encode.js";
import { save } from "../graph/file-save.js";
import type { Graph } from "../graph/graph.js";

/** What a run's result depends on, as a short text: equal for equal input, else different. */
export function keyOf(graph: Graph, rest: unknown, data: readonly (Dataset | null)[]): string {
  const hash = createHash("sha256").update(toBytes(graph)).update(JSON.stringify(rest));
  for (const d of data) {
    if (d === null || d.length === 0) continue;
    hash.update(`${d.name} ${d.length} ${JSON.stringify(d.fields)}`);
    const { inputs, labels } = d.batch([0, d.length - 1]);
    for (const a of [...inputs.map((i) => i.data), ...(labels ? [labels] : [])])
      if (ArrayBuffer.isView(a)) hash.update(new Uint8Array(a.buffer, a.byteOffset, a.byteLength));
  }
  return hash.digest("hex");
}

/** Made with a graph: the graph is stored as a model, the rest as it is. */
type Settled = { readonly graph: Graph };

export class Unfinished {
  /** `key`: of the run. Files of another run in the same folder are not read. */
  constructor(
    private readonly folder: string,
    private readonly key: string,
  ) {}

  /** What was saved under that name; null where there is nothing, or something of another run. */
  async load<T extends Settled>(name: string): Promise<T | null> {
    const bytes = await readFile(join(this.folder, `${name}.bin`)).catch(() => null);
    if (!bytes) return null;
    try {
      const { key, model, ...rest } = deserialize(bytes) as { key: string; model: Uint8Array };
      return key === this.key ? ({ ...rest, graph: fromBytes(model) } as unknown as T) : null;
    } catch {
      return null;
    }
  }
  async save<T extends Settled>(name: string, { graph, ...rest }: T): Promise<void> {
    await mkdir(this.folder, { recursive: true });
    await save(join(this.folder, `${name}.bin`), [serialize({ ...rest, key: this.key, model: toBytes(graph) })]);
  }
  /** Where a training keeps its state. Other runs never share it. */
  async trainingPath(name: string): Promise<string> {
    await mkdir(this.folder, { recursive: true });
    return join(this.folder, `${this.key.slice(0, 16)}-${name}.training`);
  }
  async remove(path: string): Promise<void> {
    await rm(path, { force: true });
  }
  /** Removes what only an unfinished run needs. */
  async discard(): Promise<void> {
    await rm(this.folder, { recursive: true, force: true });
  }
}
