/** Dims for inputs that leave axes open: a Graph in; out, one fixed shape per open input, for counting and for following axes. */
import { feeds, type Graph } from "../graph/graph.js";

/** A batch of one; images of the usual size; sequences long enough for a window. */
const imageSide = 224;
const steps = 512;

/** Only inputs with an open axis are given dims; an input of unknown rank is left out. */
export function probeDims(graph: Graph): Record<string, readonly number[]> {
  const out: Record<string, readonly number[]> = {};
  for (const { name, shape } of feeds(graph)) {
    if (!shape || shape.every((d) => typeof d === "number" && d >= 0)) continue;
    out[name] = shape.map((d, i) => {
      if (typeof d === "number" && d >= 0) return d;
      if (i === 0) return 1;
      return shape.length === 4 && i >= 2 ? imageSide : steps;
    });
  }
  return out;
}
