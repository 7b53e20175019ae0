/** A name comes in; the numbers of the int64 initialiser behind it go out. */
import type { Graph } from "../graph/graph.js";

/** The values of an int64 initialiser; null for anything else. */
export function int64sOf(graph: Graph, name: string): number[] | null {
  const t = graph.initializers.get(name);
  return t?.type === "int64" ? Array.from(new BigInt64Array(t.bytes.slice().buffer), Number) : null;
}
