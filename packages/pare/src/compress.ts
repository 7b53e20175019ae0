/** THE MAIN PATH. A network, data and a recipe enter; the stages run one after another; the smallest file and the report of the run leave. */
import { type Finished, finish } from "./compress/finish.js";
import { type CompressOptions, type Job, jobOf } from "./compress/job.js";
import { measure } from "./compress/measure.js";
import type { Outcome } from "./compress/outcome.js";
import type { Graph } from "./graph/graph.js";
import { methodOf } from "./methods/registry.js";
import { toolsFor } from "./methods/tools.js";
import { evaluate } from "./train/evaluate.js";
import { suspectPixels } from "./train/suspect-pixels.js";

/**
 * Compresses `graph` by a recipe and writes model.pare, model.onnx, report.json and report.html into `options.out`. Test data are measured, never
 * chosen by. A run that was killed goes on where it was when it is called again with the same arguments, to the same bytes.
 */
export async function compress(graph: Graph, options: CompressOptions): Promise<Finished> {
  const job = await jobOf(graph, options);
  const outcomes: Outcome[] = [];
  const hint = job.recipe.dense ? null : await suspectPixels(job.start.graph, job.validation, job);
  if (hint) job.log(hint);
  for (const [index, stage] of job.stages.entries()) {
    options.signal?.throwIfAborted();
    const outcome = (await job.unfinished.load<Outcome>(`stage-${index}`)) ?? (await run(job, index, outcomes));
    job.log(
      `${stage.name}: ${outcome.facts.nonzero} values left, validation error ${(100 * outcome.validationError).toFixed(2)} %`,
    );
    outcomes.push(outcome);
  }
  const finished = await finish(job, outcomes);
  await job.unfinished.discard();
  return finished;
}

/** One stage: its method changes the network of the stage before; the result is measured and saved. */
async function run(job: Job, index: number, before: readonly Outcome[]): Promise<Outcome> {
  const { name, method: id, options } = job.stages[index]!;
  const last = before.at(-1) ?? job.start;
  const dense = before[0]?.graph ?? job.start.graph;
  const started = performance.now();
  const limit = before[0] && job.maxDrop !== null ? before[0].validationError + job.maxDrop : null;
  const place = { unfinished: job.unfinished, stage: String(index) };
  const { tools, finished } = toolsFor(job.workplace(index), { dense, constraints: last.constraints, limit, place });
  const result = id === null ? { graph: last.graph, notes: [] } : await methodOf(id)!.apply(last.graph, options, tools);
  const outcome: Outcome = {
    graph: result.graph,
    constraints: { ...last.constraints, ...result.constraints },
    facts: await measure(name, result.graph, job.test, job.engine, (performance.now() - started) / 1000),
    validationError: (await evaluate(result.graph, job.validation, { engine: job.engine })).error,
    history: result.history ?? [],
    notes: result.notes,
  };
  await job.unfinished.save(`stage-${index}`, outcome);
  await finished();
  return outcome;
}
