/** A graph that is run on samples enters; one that takes several of them in a run leaves, and how many, where what each gives does not depend on the others. */
import { infer } from "../analyze/infer.js";
import type { Samples } from "../data/samples.js";
import type { Engine, NDArray } from "../engine/engine.js";
import { PareError } from "../graph/error.js";
import { feeds, type Graph } from "../graph/graph.js";
import { sizeOf } from "../graph/tensor.js";
import { fixedBatch, openBatch } from "../passes/rebatch.js";

export interface Together {
  readonly graph: Graph;
  /** Samples that may share a run: 1 where there is no telling, or where they are large. */
  readonly most: number;
}

const mostSamples = 16;
/** Values of all samples of a run, in elements, so that memory stays that of the model. */
const mostElements = 2 ** 22;
/** Of the largest answer: what runs of another size may differ by. */
const rounding = 1e-4;

const opened = new WeakMap<Graph, Promise<Graph | null>>();

/**
 * A first axis that the graph leaves open is taken at its word. One that is fixed at 1 is opened where the graph's shapes follow, and the answers to two
 * samples at once are seen to be those to each. A graph is asked once.
 */
export async function together(graph: Graph, samples: Samples, engine: Engine): Promise<Together> {
  const alone = { graph, most: 1 };
  if (samples.length < 2) return alone;
  const open = feeds(graph).every(({ shape: s }) => s && s.length > 0 && (typeof s[0] === "string" || s[0]! < 0));
  let found = open ? graph : null;
  if (fixedBatch(graph) === 1) {
    if (!opened.has(graph)) opened.set(graph, openedAndTried(graph, samples, engine));
    found = await opened.get(graph)!;
  }
  return found ? { graph: found, most: affordable(graph, samples) } : alone;
}

async function openedAndTried(graph: Graph, samples: Samples, engine: Engine): Promise<Graph | null> {
  const free = openBatch(graph);
  const pair = [0, samples.length - 1];
  const both = samples.batch(pair);
  if (free === graph || !both) return null;
  try {
    const [answer] = await runs(free, [both], engine);
    const each = await runs(graph, pair.map(samples.feeds), engine);
    const same = Object.entries(answer!).every(([name, y]) =>
      halves(
        y,
        each.map((e) => e[name]!),
      ),
    );
    return same ? free : null;
  } catch (error) {
    if (error instanceof PareError) return null;
    throw error;
  }
}

async function runs(graph: Graph, inputs: readonly Readonly<Record<string, NDArray>>[], engine: Engine) {
  const session = await engine.load(graph);
  try {
    const out: Readonly<Record<string, NDArray>>[] = [];
    for (const x of inputs) out.push(await session.run(x));
    return out;
  } finally {
    await session.release();
  }
}

/** Whether an array is these one after the other. */
function halves(both: NDArray, each: readonly NDArray[]): boolean {
  const values = (a: NDArray): number[] => Array.from(a.data as ArrayLike<number | bigint | string>, Number);
  const [y, wanted] = [values(both), each.flatMap(values)];
  const bound = rounding * wanted.reduce((most, v) => Math.max(most, Math.abs(v)), 0);
  return y.length === wanted.length && y.every((v, i) => Object.is(v, wanted[i]) || Math.abs(v - wanted[i]!) <= bound);
}

function affordable(graph: Graph, samples: Samples): number {
  const dims = Object.entries(samples.feeds(0)).map(([name, array]) => [name, array.dims]);
  const { types } = infer(graph, { inputs: Object.fromEntries(dims) });
  let elements = 0;
  for (const { outputs } of graph.nodes)
    for (const name of outputs) {
      const shape = types.get(name)?.shape;
      if (shape?.every((d) => typeof d === "number")) elements += sizeOf(shape as readonly number[]);
    }
  return Math.max(1, Math.min(mostSamples, Math.floor(mostElements / Math.max(1, elements))));
}
