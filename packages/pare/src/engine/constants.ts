/** A graph without inputs is executed; what it computes leaves as constants. */
import type { Graph, Tensor } from "../graph/graph.js";
import type { Engine, NDArray } from "./engine.js";

/** Every output by name, those that hold strings left out. Throws PareError where the engine refuses the graph. */
export async function constantsBy(engine: Engine, graph: Graph): Promise<Map<string, Tensor>> {
  const session = await engine.load(graph, { optimize: "none" });
  try {
    const results = Object.entries(await session.run({})).map(([name, array]) => [name, fromNDArray(array)] as const);
    return new Map(results.filter((r): r is readonly [string, Tensor] => r[1] !== null));
  } finally {
    await session.release();
  }
}

/** The same values as a tensor (the same memory); null for strings. */
function fromNDArray({ type, dims, data }: NDArray): Tensor | null {
  if (Array.isArray(data)) return null;
  return { type, dims, bytes: new Uint8Array(data.buffer, data.byteOffset, data.byteLength) };
}
