/** Random inputs for a real model, of the dims that models.ts gives it. */
import type { Graph, Tensor } from "../../dist/graph/graph.js";
import { feeds } from "../../dist/graph/graph.js";
import type { Model } from "./models.js";
import { randomTensor, seeded } from "./ort-outputs.js";

/** One tensor per input that must be fed; the same for the same seed. Lengths left open are 2. */
export function randomFeeds(model: Model, graph: Graph, seed = 1): Record<string, Tensor> {
  const random = seeded(seed);
  return Object.fromEntries(
    feeds(graph).map((v): [string, Tensor] => {
      const dims = model.dims[v.name] ?? (v.shape ?? []).map((d) => (typeof d === "number" && d > 0 ? d : 2));
      // The sampling rate of voice activity models decides which branch runs.
      if (v.name === "sr")
        return [v.name, { type: "int64", dims, bytes: new Uint8Array(BigInt64Array.of(16000n).buffer) }];
      return [v.name, randomTensor(v.type, dims, random, 128)];
    }),
  );
}
