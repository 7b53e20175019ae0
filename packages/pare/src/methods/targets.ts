/** What may be left of a network: shares by kind of cost enter; one number, which is 0 where all of them are met, leaves. */
import { z } from "zod";
import { type CostKind, costKinds } from "./costs.js";
import { ratio } from "./fine-tune.js";
import type { Allocation, Candidate, Cost, Plan } from "./widths.js";
import { allocate } from "./widths.js";

export const targets = z
  .strictObject({
    macs: ratio.optional(),
    bytes: ratio.optional(),
    latency: ratio.optional().describe("measured on this machine: results differ from machine to machine"),
  })
  .refine((t) => Object.values(t).some((share) => share !== undefined), {
    error: "name at least one of macs, bytes, latency",
  });
export type Targets = z.output<typeof targets>;

export const entriesOf = (t: Targets): (readonly [CostKind, number])[] =>
  costKinds.flatMap((kind) => (t[kind] === undefined ? [] : [[kind, t[kind]] as const]));

/** One target. */
export interface Aim {
  readonly kind: CostKind;
  /** Share of the original's cost that may be left. */
  readonly limit: number;
  /** Share that is left. */
  readonly share: Cost;
}

/** By how much the limits are exceeded, in shares of them, summed over those that are: what all that is unmet has in common. */
function excess(aims: readonly Aim[]): Cost {
  return async (removed) => {
    let sum = 0;
    for (const { limit, share } of aims) sum += Math.max(0, (await share(removed)) / Math.max(limit, 1e-12) - 1);
    return sum;
  };
}

export interface MetPlan extends Plan {
  /** What is left by kind. */
  readonly shares: ReadonlyMap<CostKind, number>;
}

/** Plans that are timed whole. */
const mostTimed = 5;
/** What is aimed at lies this share below the target, so that noise does not put it above. */
const margin = 0.04;

/**
 * As `allocate`, for all aims at once. Where one of them is a time the whole network has the last word: the table is a sum of layers timed alone,
 * so its limit is moved until the share that `measure` finds is just below the limit. The dearest plan that holds, else the cheapest that was found.
 */
export async function allocateFor(
  aims: readonly Aim[],
  candidates: readonly Candidate[],
  allocation: Allocation,
  measure: (removed: Plan["removed"]) => Promise<number>,
): Promise<MetPlan> {
  const shares = async ({ removed }: Plan): Promise<Map<CostKind, number>> => {
    const left = new Map<CostKind, number>();
    for (const { kind, share } of aims) left.set(kind, await (kind === "latency" ? measure(removed) : share(removed)));
    return left;
  };
  const limit = aims.find((a) => a.kind === "latency")?.limit;
  const found: MetPlan[] = [];
  for (let tabled = limit ?? 0; found.length < mostTimed; ) {
    const now = aims.map((a) => (a.kind === "latency" ? { ...a, limit: tabled } : a));
    const plan = await allocate(candidates, allocation, excess(now), 0);
    if (found.some((f) => f.widths.join() === plan.widths.join())) break;
    found.push({ ...plan, shares: await shares(plan) });
    if (limit === undefined) break;
    const measured = found.at(-1)!.shares.get("latency")!;
    if (measured <= limit && measured >= limit * (1 - 2 * margin)) break;
    tabled *= (limit * (1 - margin)) / measured;
  }
  const time = (p: MetPlan): number => p.shares.get("latency") ?? 0;
  const rising = found.sort((a, b) => time(a) - time(b));
  return rising.findLast((p) => limit === undefined || time(p) <= limit) ?? rising[0]!;
}
