/** What a stage's network weighs and how well it does: Graph -> the row of the stage table. */
import { entropyBytes } from "../analyze/entropy.js";
import { inspect } from "../analyze/inspect.js";
import type { Dataset } from "../data/dataset.js";
import type { Engine } from "../engine/engine.js";
import { toBytes } from "../graph/encode.js";
import type { Graph } from "../graph/graph.js";
import { dropDeadNodes } from "../passes/drop-dead-nodes.js";
import { dropNoOps } from "../passes/drop-no-ops.js";
import type { StageFacts } from "../report/facts.js";
import { evaluate } from "../train/evaluate.js";

/** The facts of a stage; `sizeBytes` is that of its .onnx file. What only training needs (Dropout) is not counted. */
export async function measure(
  stage: string,
  graph: Graph,
  test: Dataset,
  engine: Engine,
  seconds: number,
): Promise<StageFacts> {
  const { error } = await evaluate(graph, test, { engine });
  const bare = dropDeadNodes(dropNoOps(graph));
  const { parameters, nonzero, macs } = inspect(bare);
  return {
    stage,
    parameters,
    nonzero,
    macs,
    sizeBytes: toBytes(bare).length,
    entropyBytes: entropyBytes(bare),
    error,
    seconds,
  };
}
