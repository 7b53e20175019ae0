/** The learning rate by step. */
import { PareError } from "../graph/error.js";
import type { Schedule } from "./options.js";

/** Rate of step `step` (0 is the first) of `steps`. Throws PareError for rates and milestones that make no sense. */
export function rateAt(schedule: Schedule, step: number, steps: number): number {
  if (typeof schedule === "number") return checked(schedule);
  const rate = checked(schedule.rate);
  if (schedule.kind === "steps") return rate * schedule.gamma ** schedule.milestones.filter((m) => step >= m).length;
  const warmup = schedule.warmupSteps ?? 0;
  if (step < warmup) return (rate * (step + 1)) / warmup;
  if (schedule.kind === "constant") return rate;
  const end = checked(schedule.end ?? 0);
  const done = Math.min(1, (step - warmup) / Math.max(1, steps - warmup));
  if (schedule.kind === "linear") return rate + (end - rate) * done;
  if (schedule.kind === "cosine") return end + ((rate - end) * (1 + Math.cos(Math.PI * done))) / 2;
  throw new PareError(
    `unknown schedule "${(schedule as { kind: string }).kind}": constant, cosine, linear or steps`,
    "usage",
  );
}

function checked(rate: number): number {
  if (!(rate >= 0 && Number.isFinite(rate)))
    throw new PareError(`learning rate ${rate} should be a number from 0`, "usage");
  return rate;
}
