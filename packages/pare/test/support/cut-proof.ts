/** A graph in; out, whether onnxruntime computes the same from it with channels cut out as with these channels zeroed, group by group. */
import type { Channel } from "../../dist/analyze/axes.js";
import { type Coupling, couple } from "../../dist/analyze/couple.js";
import { cut, masked } from "../../dist/analyze/cut.js";
import { type Group, groupsOf } from "../../dist/analyze/groups.js";
import type { NDArray } from "../../dist/engine/engine.js";
import { ortNode } from "../../dist/engine/ort-node.js";
import type { Graph } from "../../dist/graph/graph.js";
import { randomFrom } from "./expose.js";
import { far, randomHalf } from "./zeros.js";

type Feeds = Readonly<Record<string, NDArray>>;
export async function run(graph: Graph, feeds: Feeds, optimize: "all" | "none" = "all", threads = 2): Promise<Feeds> {
  const session = await ortNode.load(graph, { threads, optimize });
  try {
    return await session.run(feeds);
  } finally {
    await session.release();
  }
}

/** The coupling with the indices of one axis of one constant shifted by one: a wrong map. */
function shifted(c: Coupling, tensor: string, node: string, axis: number): Coupling {
  const uses = c.uses.map((u) => {
    if (u.tensor !== tensor || (u.node.name || u.node.outputs.find(Boolean)) !== node) return u;
    return { ...u, axes: u.axes.map((a, d) => (d === axis ? [...a.slice(1), a[0]!] : a)) };
  });
  return { ...c, uses };
}

export interface Proof {
  readonly groups: readonly Group[];
  readonly free: readonly Group[];
  /** Groups whose cut differs from their zeroed twin, in words. */
  readonly wrong: readonly string[];
  /** Largest error of one group; of all free groups cut at once; how much that changed the output. */
  readonly worst: number;
  readonly whole: number;
  readonly effect: number;
  /** How far onnxruntime is from itself with its optimizations off. */
  readonly rounding: number;
  /** Cuts that are one index off in one constant: told from the right ones, and not. */
  readonly noticed: number;
  readonly missed: number;
  /** A run takes seconds, so only every fifth group was tried on its own. */
  readonly slow: boolean;
  /** The graph with a half of every free group cut out. */
  readonly pruned: Graph;
}

/** Prunes a random half of each free group. Errors are relative to the largest output. */
export async function prove(graph: Graph, feeds: Feeds): Promise<Proof> {
  const inputs = Object.fromEntries(Object.entries(feeds).map(([name, a]) => [name, a.dims]));
  const started = performance.now();
  const dense = await run(graph, feeds);
  const slow = performance.now() - started > 400;
  const rounding = far(dense, await run(graph, feeds, "none"));
  const close = Math.max(1e-5, rounding);
  const c = couple(graph, { inputs });
  const groups = groupsOf(c);
  const free = groups.filter((g) => !g.blocked);
  const random = randomFrom(3);
  const wrong: string[] = [];
  let [worst, total, noticed, missed] = [0, 0, 0, 0];
  const everything: Channel[] = [];
  for (const [k, g] of free.entries()) {
    const gone = randomHalf(g.channels, random);
    everything.push(...gone);
    if (slow && k % 5 !== 0) continue;
    const removed = new Set(gone);
    const twin = await run(masked(c, removed), feeds);
    const error = far(twin, await run(cut(c, removed), feeds));
    const effect = far(dense, twin);
    worst = Math.max(worst, error);
    total += error;
    if (!(error <= close && error <= Math.max(effect / 5, 1e-12)))
      wrong.push(`${g.name}: error ${error}, zeroing changed ${effect}`);
    // Loading a session is what takes long: in large models every third group shows that a wrong cut is seen.
    if (free.length > 12 && k % 3 !== 0) continue;
    const member = g.members[Math.floor(random() * g.members.length)]!;
    const bad = cut(shifted(c, member.tensor, member.node, member.axis), removed);
    if (far(twin, await run(bad, feeds)) > Math.max(close, error)) noticed++;
    else missed++;
  }
  const all = new Set(everything);
  const twin = await run(masked(c, all), feeds);
  const pruned = cut(c, all);
  const whole = far(twin, await run(pruned, feeds));
  // Rounding of the single cuts adds up.
  if (!(whole <= Math.max(close, total))) wrong.push(`all groups at once: error ${whole}`);
  return { groups, free, wrong, worst, whole, effect: far(dense, twin), rounding, noticed, missed, slow, pruned };
}
const brief = (n: number): string => (n === 0 ? "0" : n.toExponential(0));
export function summary(p: Proof): string {
  const held = new Map<string, number>();
  for (const g of p.groups) if (g.blocked) held.set(g.blocked.by, (held.get(g.blocked.by) ?? 0) + 1);
  return [
    `${p.free.length} free groups (${p.free.reduce((n, g) => n + g.size, 0)} channels)${p.slow ? ", every fifth tried alone" : ""}`,
    `worst error ${brief(p.worst)}, all at once ${brief(p.whole)}, zeroing changed ${brief(p.effect)}`,
    `rounding ${brief(p.rounding)}`,
    `wrong cuts noticed ${p.noticed}, not ${p.missed}`,
    `held: ${[...held].map(([by, n]) => `${n} by ${by}`).join(", ")}`,
  ].join("; ");
}
