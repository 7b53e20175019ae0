/** Finished stages of a run on disk, so that a killed run goes on where it was: a stage's outcome <-> a file in the run's folder. */
import { createHash } from "node:crypto";
import { mkdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { deserialize, serialize } from "node:v8";
import type { Dataset } from "../data/dataset.js";
import { fromBytes } from "../graph/decode.js";
import { toBytes } from "../graph/encode.js";
import { save } from "../graph/file-save.js";
import type { Graph } from "../graph/graph.js";
import type { Outcome } from "./outcome.js";

type Stored = Omit<Outcome, "graph"> & { readonly key: string; readonly model: Uint8Array };

/** What a run's result depends on, as a short text: equal for equal input, else different. */
export function keyOf(graph: Graph, rest: unknown, data: readonly Dataset[]): string {
  const hash = createHash("sha256").update(toBytes(graph)).update(JSON.stringify(rest));
  for (const d of data) {
    hash.update(`${d.name} ${d.length} ${JSON.stringify(d.fields)}`);
    const { inputs, labels } = d.batch([0, d.length - 1]);
    for (const a of [...inputs.map((i) => i.data), ...(labels ? [labels] : [])])
      if (ArrayBuffer.isView(a)) hash.update(new Uint8Array(a.buffer, a.byteOffset, a.byteLength));
  }
  return hash.digest("hex");
}

export class SavedStages {
  private constructor(
    private readonly folder: string,
    private readonly key: string,
  ) {}

  static async open(folder: string, key: string): Promise<SavedStages> {
    await mkdir(folder, { recursive: true });
    return new SavedStages(folder, key);
  }
  /** A stage's outcome; null where there is none, or one of another run. */
  async load(stage: number): Promise<Outcome | null> {
    const bytes = await readFile(this.#path(stage)).catch(() => null);
    if (!bytes) return null;
    try {
      const { key, model, ...rest } = deserialize(bytes) as Stored;
      return key === this.key ? { ...rest, graph: fromBytes(model) } : null;
    } catch {
      return null;
    }
  }
  async save(stage: number, { graph, ...rest }: Outcome): Promise<void> {
    const stored: Stored = { ...rest, key: this.key, model: toBytes(graph) };
    await save(this.#path(stage), [serialize(stored)]);
  }
  /** Where training number `k` of a stage keeps its state. Runs of other input never share it. */
  trainingPath(stage: number, k: number): string {
    return join(this.folder, `${this.key.slice(0, 16)}-${stage}-${k}.training`);
  }
  /** Removes what only an unfinished run needs. */
  async discard(): Promise<void> {
    await rm(this.folder, { recursive: true, force: true });
  }
  #path(stage: number): string {
    return join(this.folder, `stage-${stage}.bin`);
  }
}
