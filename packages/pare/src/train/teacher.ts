/** A teacher network and data come in; its logits go out: computed once for every sample, or as nodes inside the student's training graph. */
import type { Dataset } from "../data/dataset.js";
import { type Fitting, fit, fittings } from "../data/fit.js";
import type { Engine } from "../engine/engine.js";
import type { Emitter } from "../graph/emit.js";
import { PareError } from "../graph/error.js";
import { draft, feeds, type Graph } from "../graph/graph.js";
import { renamed } from "../graph/rename.js";
import { raiseOpset } from "../passes/raise-opset.js";
import { fixedBatch, rebatch } from "../passes/rebatch.js";
import type { TrainOptions } from "./options.js";
import { softmaxBehind } from "./softmax-behind.js";

/** Largest number of samples times classes whose logits are kept: 256 MiB. */
const tableLimit = 64 * 2 ** 20;

/** Whether the teacher's logits are computed once: not where augmentation makes each sample new every time, nor where they are too many. */
export const teacherFits = ({ data, augment }: Pick<TrainOptions, "data" | "augment">): boolean =>
  !augment && data.length * (data.classes ?? 1) <= tableLimit;

/** The teacher as a graph of one output: logits. */
function logitsGraph(teacher: Graph): Graph {
  const out = draft(teacher);
  const [output] = teacher.outputs;
  if (!output) throw new PareError("the teacher has no output");
  const logits = softmaxBehind(teacher, output.name);
  out.outputs = [logits === null ? output : { name: logits, type: output.type, shape: null }];
  return out;
}

/** Logits [n, classes] of every sample of the data. */
export async function teacherTable(
  graph: Graph,
  o: TrainOptions,
  engine: Engine,
  classes: number,
): Promise<Float32Array> {
  const { data } = o;
  const teacher = logitsGraph(graph);
  const fitted = fit(data, feeds(teacher));
  const size = fixedBatch(teacher) ?? 256;
  const table = new Float32Array(data.length * classes);
  const session = await engine.load(teacher);
  try {
    for (let from = 0; from < data.length; from += size) {
      o.signal?.throwIfAborted();
      // The last batch starts early enough to be whole: a fixed batch needs no padding.
      const start = Math.max(0, Math.min(from, data.length - size));
      const count = Math.min(size, data.length);
      const { inputs } = fitted.batch(Uint32Array.from({ length: count }, (_, i) => start + i));
      const fed = Object.fromEntries(fitted.fields.map(({ name }, i) => [name!, inputs[i]!]));
      const [logits] = Object.values(await session.run(fed));
      checkLogits(logits!.data.length, count, classes);
      table.set(logits!.data as Float32Array, start * classes);
    }
  } finally {
    await session.release();
  }
  return table;
}

function checkLogits(found: number, count: number, classes: number): void {
  if (found !== count * classes)
    throw new PareError(
      `the teacher gives ${found / count} values per sample, the student ${classes}: they must agree`,
    );
}

/**
 * Appends the teacher's nodes, its weights as constants; returns the name of its logits. `inputs`: how the student is fed. Throws where the
 * teacher cannot be fed by a reshape of that.
 */
export function embedTeacher(
  g: Emitter,
  teacher: Graph,
  data: Dataset,
  inputs: readonly Fitting[],
  microBatch: number,
): string {
  const raised = rebatch(raiseOpset(logitsGraph(teacher)), microBatch);
  const names = new Map<string, string>();
  for (const own of fittings(data, feeds(teacher))) {
    const fed = inputs.find((f) => f.field === own.field);
    if (!fed || fed.turned !== own.turned || fed.type !== own.type)
      throw new PareError(
        `teacher input "${own.name}" wants the data in another order or type than the student: train without augmentation`,
      );
    names.set(own.name, g.reshape(fed.name, [microBatch, ...own.dims]));
  }
  for (const [name, tensor] of raised.initializers) names.set(name, g.constant(tensor, "teacher"));
  for (const node of raised.nodes) for (const o of node.outputs) if (o !== "") names.set(o, g.fresh("teacher"));
  for (const node of raised.nodes) g.push({ ...renamed(node, names), name: "" });
  return names.get(raised.outputs[0]!.name)!;
}
