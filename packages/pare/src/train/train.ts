/** A graph and options come in; the same graph with trained weights goes out. The bytes depend on the recipe, not on the number of workers. */
import { defaultEngine } from "../engine/default-engine.js";
import { PareError } from "../graph/error.js";
import type { Graph } from "../graph/graph.js";
import { liftConstants } from "../passes/lift-constants.js";
import { crewFor } from "./crew.js";
import { Loop } from "./loop.js";
import type { TrainOptions, TrainResult } from "./options.js";
import { prepare } from "./prepare.js";

/**
 * Trains `untrained` on `options.data`. The last batch of an epoch is as many whole micro-batches as are left; what is left then waits for another
 * epoch's order. With a checkpoint that exists the run goes on from there and ends in the same bytes.
 * Throws PareError for a graph, data or options that do not fit, and for a loss that stops being a number; the signal's reason once it aborts.
 */
export async function train(untrained: Graph, options: TrainOptions): Promise<TrainResult> {
  options.signal?.throwIfAborted();
  const engine = options.engine ?? (await defaultEngine());
  const workers = options.workers ?? 1;
  if (!(Number.isInteger(workers) && workers >= 1))
    throw new PareError(`workers ${workers} should be a whole number from 1`, "usage");
  // A weight may sit in a Constant node.
  const training = await prepare(liftConstants(untrained), options, engine);
  const { plan, update, course, optimizer } = training;
  const crew = await crewFor({ plan, update, names: optimizer.update.names, engine, jobs: course.jobs, workers });
  try {
    return await new Loop(training, crew, engine, options).run();
  } finally {
    await crew.release();
  }
}
