/** Scores -> places among the weights of the same output, so that each output loses the same share of them. */
import { layersOf } from "../analyze/layers.js";
import type { Graph } from "../graph/graph.js";
import { channelOf, channelsOf } from "./by-channel.js";
import type { Scores } from "./measure.js";

/** By weight, its place in its row from the lowest score, over the row's length: above 0, at most 1. */
export function rowRanks(graph: Graph, scores: Scores): Scores {
  const layers = new Map(layersOf(graph).map((l) => [l.weight, l]));
  return new Map(
    [...scores].map(([name, own]) => {
      const layer = layers.get(name)!;
      const at = channelOf(layer);
      const rows: number[][] = Array.from({ length: channelsOf(layer) }, () => []);
      own.forEach((_, i) => void rows[at(i)]!.push(i));
      const ranks = new Float32Array(own.length);
      for (const row of rows) {
        row.sort((a, b) => own[a]! - own[b]! || a - b);
        row.forEach((i, place) => {
          ranks[i] = (place + 1) / row.length;
        });
      }
      return [name, ranks];
    }),
  );
}
