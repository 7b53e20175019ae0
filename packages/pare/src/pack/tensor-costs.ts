/** What each initialiser takes in a packed file: Graph -> bytes and coding by name. */
import { type Coding, Fields, type Tensor, tensorContents } from "@pare/runtime/writer";
import type { Graph } from "../graph/graph.js";
import type { PackOptions } from "./pack.js";
import { planOf } from "./plan.js";
import { BitCounter } from "./range-encoder.js";

export interface TensorCost {
  readonly bytes: number;
  readonly coding: Coding;
}

/** Each tensor coded by itself; their sum and the topology make the file, but for a few bytes of rounding. */
export function tensorCosts(graph: Graph, options: PackOptions = {}): Map<string, TensorCost> {
  const costs = new Map<string, TensorCost>();
  for (const [name, t] of graph.initializers) {
    const tensor: Tensor = { ...t, bytes: t.bytes.slice() };
    const plan = planOf(tensor, options);
    const counter = new BitCounter();
    tensorContents(counter, new Fields(counter), tensor, plan);
    costs.set(name, { bytes: counter.bits / 8, coding: plan.coding });
  }
  return costs;
}
