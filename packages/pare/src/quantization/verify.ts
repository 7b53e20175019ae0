/** A quantized graph and feeds -> whether its target loads and runs it, by loading and running it there. */
import { type BrowserEngine, openChromium } from "../engine/chromium.js";
import type { Engine, NDArray } from "../engine/engine.js";
import { ortNode } from "../engine/ort-node.js";
import { PareError } from "../graph/error.js";
import type { Graph } from "../graph/graph.js";
import type { Target } from "./plan.js";

export interface Verification {
  /** null: it could not be tried here; `note` says what is missing. */
  readonly runs: boolean | null;
  /** What was tried, or what went wrong, in words. */
  readonly note: string;
  /** Outputs of each run, where all of them ran. */
  readonly outputs: readonly Readonly<Record<string, NDArray>>[];
}

/** Loads the graph where `target` says and runs it once for each of `runs`. An output of nothing but NaN is a failure. */
export async function verify(
  graph: Graph,
  target: Target,
  runs: readonly Readonly<Record<string, NDArray>>[],
  { limitMs = 120_000 }: { readonly limitMs?: number } = {},
): Promise<Verification> {
  let browser: BrowserEngine | null = null;
  try {
    if (target.startsWith("ort-web")) {
      try {
        browser = await openChromium(target === "ort-web-webgpu" ? "webgpu" : "wasm");
      } catch (error) {
        return { runs: null, note: `not tried in a browser: ${wordsOf(error)}`, outputs: [] };
      }
    }
    const outputs = await within(browser ? limitMs : null, runAll(browser ?? ortNode, graph, runs));
    if (!outputs)
      return {
        runs: null,
        note: `not finished in a browser after ${limitMs / 1000} s: its WebGPU may be software`,
        outputs: [],
      };
    const where = browser ? "in onnxruntime-web in Chromium" : "in onnxruntime";
    const note =
      target === "pare"
        ? `loaded and run ${where}; Pare's own runtime does not execute yet`
        : `loaded and run ${where}`;
    return { runs: true, note, outputs };
  } catch (error) {
    return { runs: false, note: wordsOf(error), outputs: [] };
  } finally {
    await browser?.close();
  }
}

/** null where the limit comes first. */
async function within<T>(limitMs: number | null, work: Promise<T>): Promise<T | null> {
  if (limitMs === null) return work;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<null>((resolve) => {
    timer = setTimeout(() => resolve(null), limitMs);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
    work.catch(() => {});
  }
}

async function runAll(engine: Engine, graph: Graph, runs: readonly Readonly<Record<string, NDArray>>[]) {
  const session = await engine.load(graph);
  try {
    const outputs: Record<string, NDArray>[] = [];
    for (const feeds of runs) outputs.push(await session.run(feeds));
    const broken = outputs.flatMap((o) => Object.entries(o)).find(([, { data }]) => data.length > 0 && allNaN(data));
    if (broken) throw new PareError(`output "${broken[0]}" is NaN throughout`);
    return outputs;
  } finally {
    await session.release();
  }
}
const allNaN = (data: NDArray["data"]): boolean => data instanceof Float32Array && data.every((v) => Number.isNaN(v));
const wordsOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
