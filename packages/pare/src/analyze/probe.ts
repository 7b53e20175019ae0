/** Dims for inputs that leave axes open: a Graph in; out, fixed shapes to try, for counting and for following axes. */
import { type Dim, feeds, type Graph, type Shape } from "../graph/graph.js";

export type Dims = Readonly<Record<string, readonly number[]>>;

/** Channels of images, where even these are open. */
const channels = [3, 1] as const;
/** Sides of images and lengths of sequences, the usual ones first; a batch is one. */
const guesses = [
  { side: 224, steps: 512 },
  { side: 32, steps: 128 },
  { side: 640, steps: 16 },
  { side: 48, steps: 4096 },
  { side: 28, steps: 256 },
  { side: 1, steps: 1 },
] as const;

const isLength = (d: Dim): d is number => typeof d === "number" && d >= 0;

/** One guess after the other, for the caller to stop at the first that contradicts nothing; at last none. Inputs that say all their dims, and those of unknown rank, are left as they are. */
export function* probes(graph: Graph): Generator<Dims> {
  const open = feeds(graph).filter(({ shape }) => shape?.some((d) => !isLength(d)));
  if (open.length === 0) {
    yield {};
    return;
  }
  const image = (shape: Shape): boolean => shape.length === 4;
  const anyChannels = open.some(({ shape }) => image(shape!) && !isLength(shape![1]!));
  for (const { side, steps } of guesses)
    for (const count of anyChannels ? channels : channels.slice(0, 1)) {
      const guess = (shape: Shape, i: number): number => (i === 0 ? 1 : !image(shape) ? steps : i === 1 ? count : side);
      yield Object.fromEntries(
        open.map(({ name, shape }) => [name, shape!.map((d, i) => (isLength(d) ? d : guess(shape!, i)))]),
      );
    }
  yield {};
}
