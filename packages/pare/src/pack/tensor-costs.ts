/** What each initialiser takes in a packed file: Graph -> bytes and coding by name. */
import type { Coding } from "@pare/runtime/writer";
import type { Graph } from "../graph/graph.js";
import { type PackOptions, packWithSizes } from "./pack.js";

export interface TensorCost {
  readonly bytes: number;
  readonly coding: Coding;
}

/** Shares of the file `pack` would write; with the topology and a few bytes of rounding they make it up. */
export const tensorCosts = (graph: Graph, options: PackOptions = {}): Map<string, TensorCost> =>
  new Map(
    packWithSizes(graph, options).tensors.map(({ name, bits, plan }) => [
      name,
      { bytes: bits / 8, coding: plan.coding },
    ]),
  );
