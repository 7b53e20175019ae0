/** How many channels each coupled group keeps: scores of channels, a cost and a target enter; the channels that go leave. */
import type { Channel } from "../analyze/axes.js";
import type { Branch } from "../analyze/branches.js";
import type { Group } from "../analyze/groups.js";

/** A group that may lose channels. */
export interface Candidate {
  readonly group: Group;
  /** By channel, how much it matters. */
  readonly scores: Float64Array;
  /** Widths it may have, from its own downwards. */
  readonly widths: readonly number[];
  /** What is left out where the width is 0. */
  readonly branch?: Branch;
  /** Expected rise of the loss by width, where it was measured. */
  readonly rises?: readonly number[];
}
export interface Plan {
  readonly removed: ReadonlySet<Channel>;
  /** By candidate. */
  readonly widths: readonly number[];
  readonly cost: number;
}
export type Allocation = "uniform" | "global" | "sensitivity";
export type Cost = (removed: ReadonlySet<Channel>) => number | Promise<number>;

/**
 * The group's own width and every smaller multiple of `step` (a count of channels), not below `least`. A group narrower than two steps goes down in
 * smaller ones, but not below 4.
 */
export function widthsOf(group: Group, step: number, least: number): number[] {
  // Channels of the narrowest place where the group shows: one channel may take several indices there.
  const times = Math.min(...group.members.map((m) => m.times));
  let own = step;
  while (own > 4 && group.size * times < 2 * own) own /= 2;
  own = Math.max(1, Math.round(own / times));
  const widths = [group.size];
  for (let w = Math.floor((group.size - 1) / own) * own; w >= Math.max(own, least); w -= own) widths.push(w);
  return widths;
}

/** Channels from the least important; equal ones in their order. */
export const ascending = (scores: Float64Array): number[] =>
  [...scores.keys()].sort((a, b) => scores[a]! - scores[b]! || a - b);

/** What goes when each candidate has the width at this place of its list. */
export function removedAt(candidates: readonly Candidate[], places: readonly number[]): Set<Channel> {
  const removed = new Set<Channel>();
  candidates.forEach(({ group, scores, widths, branch }, i) => {
    if (branch && widths[places[i]!] === 0)
      for (const { channels } of branch.groups) for (const c of channels) removed.add(c);
    for (const k of ascending(scores).slice(0, group.size - widths[places[i]!]!)) removed.add(group.channels[k]!);
  });
  return removed;
}

/** The cheapest plan that loses little and costs at most `limit`; the cheapest of all where none does. */
export async function allocate(
  candidates: readonly Candidate[],
  allocation: Allocation,
  cost: Cost,
  limit: number,
): Promise<Plan> {
  const places =
    allocation === "uniform" ? await uniform(candidates, cost, limit) : await greedy(candidates, cost, limit);
  const removed = removedAt(candidates, places);
  return {
    removed,
    widths: candidates.map(({ group }) => group.channels.filter((c) => !removed.has(c)).length),
    cost: await cost(removed),
  };
}

/** The same share of every group, to the nearest width; the largest share that is cheap enough. */
async function uniform(candidates: readonly Candidate[], cost: Cost, limit: number): Promise<number[]> {
  const at = (share: number): number[] =>
    candidates.map(({ group, widths }) => {
      const distance = (w: number): number => Math.abs(w - share * group.size);
      return widths.reduce((best, w, i) => (distance(w) <= distance(widths[best]!) ? i : best), 0);
    });
  const fits = async (share: number): Promise<boolean> => (await cost(removedAt(candidates, at(share)))) <= limit;
  if (await fits(1)) return candidates.map(() => 0);
  let [low, high] = [0, 1];
  while (high - low > 1e-3) {
    const middle = (low + high) / 2;
    if (await fits(middle)) low = middle;
    else high = middle;
  }
  return at(low);
}

/** Step by step the narrowing that loses least for what it saves; then what was given up in vain is given back. */
async function greedy(candidates: readonly Candidate[], cost: Cost, limit: number): Promise<number[]> {
  const places = candidates.map(() => 0);
  const losses = candidates.map(lossesOf);
  let now = await cost(new Set());
  while (now > limit) {
    let best: { readonly i: number; readonly price: number; readonly cost: number } | null = null;
    for (const [i, { widths }] of candidates.entries()) {
      const place = places[i]!;
      if (place + 1 >= widths.length) continue;
      const next = places.with(i, place + 1);
      const after = await cost(removedAt(candidates, next));
      // What saves nothing now may save something later, but is the last to be tried.
      const price = (losses[i]![place + 1]! - losses[i]![place]!) / Math.max(now - after, 1e-9 * now);
      if (!best || price < best.price) best = { i, price, cost: after };
    }
    if (!best) break;
    places[best.i]!++;
    now = best.cost;
  }
  const dear = [...candidates.keys()].sort((a, b) => losses[b]![places[b]!]! - losses[a]![places[a]!]!);
  for (const i of dear)
    while (places[i]! > 0 && (await cost(removedAt(candidates, places.with(i, places[i]! - 1)))) <= limit) places[i]!--;
  return places;
}

/** By place in the widths, what has been lost: measured, or the sum of the scores that went, in units of the group's mean score. */
function lossesOf({ scores, widths, group, rises }: Candidate): number[] {
  if (rises) return [...rises];
  const order = ascending(scores);
  const mean = scores.reduce((a, b) => a + b, 0) / scores.length || 1;
  return widths.map((w) => order.slice(0, group.size - w).reduce((sum, k) => sum + scores[k]! / mean, 0));
}
