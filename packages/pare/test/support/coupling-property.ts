/** A Graph comes in; out, whether cutting random channels of each of its free groups equals zeroing them, in onnxruntime. */

import type { Channel } from "../../dist/analyze/axes.js";
import { couple } from "../../dist/analyze/couple.js";
import { cut, masked } from "../../dist/analyze/cut.js";
import { groupsOf } from "../../dist/analyze/groups.js";
import type { Graph } from "../../dist/graph/graph.js";
import { run as runOn } from "./cut-proof.js";
import { randomFeeds, randomFrom } from "./expose.js";
import { far } from "./zeros.js";

export interface Seen {
  graphs: number;
  withFree: number;
  free: number;
  held: Map<string, number>;
  compared: number;
  /** Comparisons in which zeroing changed the outputs. */
  changed: number;
  worst: number;
}
export const nothingSeen = (): Seen => ({
  graphs: 0,
  withFree: 0,
  free: 0,
  held: new Map(),
  compared: 0,
  changed: 0,
  worst: 0,
});

/** Small graphs: a second thread would only wait. */
const run = (graph: Graph, feeds: Parameters<typeof runOn>[1]) => runOn(graph, feeds, "all", 1);

/** A random part, never all and never none. */
export function some(list: readonly Channel[], random: () => number): Channel[] {
  const rest = [...list];
  const count = 1 + Math.floor(random() * (list.length - 1));
  return Array.from({ length: count }, () => rest.splice(Math.floor(random() * rest.length), 1)[0]!);
}

/** Throws where a cut differs by more than `tolerance` of the largest output. Networks are coupled for a batch of 2 and run, where it is open, with 3. */
export async function cutEqualsZeroed(graph: Graph, seen: Seen, tolerance = 1e-5, seed = 1): Promise<void> {
  const random = randomFrom(seed);
  const input = graph.inputs[0]!;
  const dims = (batch: number) => ({ [input.name]: input.shape!.map((d) => (typeof d === "number" ? d : batch)) });
  const coupling = couple(graph, { inputs: dims(2) });
  const groups = groupsOf(coupling);
  const free = groups.filter((g) => !g.blocked);
  seen.graphs++;
  seen.withFree += free.length ? 1 : 0;
  seen.free += free.length;
  for (const g of groups) if (g.blocked) seen.held.set(g.blocked.why, (seen.held.get(g.blocked.why) ?? 0) + g.size);
  const feeds = randomFeeds(graph, dims(3), seed);
  const dense = await run(graph, feeds);
  const parts = free.map((g) => some(g.channels, random));
  const tries = [...parts, ...(parts.length > 1 ? [parts.flat()] : [])];
  for (const [i, gone] of tries.entries()) {
    const removed = new Set(gone);
    const twin = await run(masked(coupling, removed), feeds);
    const error = far(twin, await run(cut(coupling, removed), feeds));
    seen.compared++;
    if (far(dense, twin) > 1e-3) seen.changed++;
    seen.worst = Math.max(seen.worst, error);
    if (!(error <= tolerance))
      throw new Error(
        `cut differs from zeroed by ${error}: ${free[i] ? `${gone.length} of ${free[i].size} channels of ${free[i].name}` : "all groups at once"}`,
      );
  }
}
