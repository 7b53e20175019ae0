/** Dims for inputs that leave axes open: a Graph in; out, fixed shapes to try, for counting and for following axes. */
import { feeds, type Graph } from "../graph/graph.js";

export type Dims = Readonly<Record<string, readonly number[]>>;

/** Sides of images and lengths of sequences, the usual ones first; a batch is one. */
const guesses = [
  { side: 224, steps: 512 },
  { side: 32, steps: 128 },
  { side: 640, steps: 16 },
  { side: 48, steps: 4096 },
  { side: 28, steps: 256 },
  { side: 1, steps: 1 },
] as const;

/** One guess after the other, for the caller to stop at the first that contradicts nothing; at last none. Inputs that say all their dims, and those of unknown rank, are left as they are. */
export function* probes(graph: Graph): Generator<Dims> {
  const open = feeds(graph).filter(({ shape }) => shape?.some((d) => typeof d !== "number" || d < 0));
  if (open.length === 0) {
    yield {};
    return;
  }
  for (const { side, steps } of guesses) {
    const dims: Record<string, readonly number[]> = {};
    for (const { name, shape } of open)
      dims[name] = shape!.map((d, i) => {
        if (typeof d === "number" && d >= 0) return d;
        if (i === 0) return 1;
        return shape!.length === 4 && i >= 2 ? side : steps;
      });
    yield dims;
  }
  yield {};
}
