/** Samples by index come in; a job's arrays are filled with them, checked and augmented. */
import type { Dataset } from "../data/dataset.js";
import type { Fitting } from "../data/fit.js";
import { Random } from "../data/random.js";
import { PareError } from "../graph/error.js";
import { augment } from "./augment.js";
import type { Job, Plan } from "./job.js";
import type { Augmentation } from "./options.js";

/** What the data gives as targets: class indices, or arrays of this shape per sample. Throws PareError where it gives neither. */
export function targetsOf(data: Dataset): "labels" | readonly number[] {
  const { labels, targets } = data.batch([0]);
  if (labels) return "labels";
  if (targets) return targets.dims.slice(1);
  throw new PareError(`data "${data.name}" has neither labels nor targets: nothing to compare outputs with`);
}

/** Throws PareError for a label outside 0..classes-1; `indices` are the samples' own numbers, for the message. */
export function checkLabels(data: Dataset, labels: Int32Array, classes: number, indices: ArrayLike<number>): void {
  for (let i = 0; i < labels.length; i++) {
    const label = labels[i]!;
    if (!(label >= 0 && label < classes))
      throw new PareError(
        `data "${data.name}", sample ${indices[i]}: label ${label} is outside the model's classes 0..${classes - 1}`,
      );
  }
}

export interface Filling {
  readonly data: Dataset;
  readonly inputs: readonly Fitting[];
  readonly classes: number;
  readonly augment: Augmentation | undefined;
  /** The teacher's outputs [n, classes] for every sample, where soft targets are fed. */
  readonly soft: Float32Array | null;
}

/** Fills `job` with the samples at `indices`, micro-batch `micro` of step `step`. */
export function fill(plan: Plan, job: Job, f: Filling, indices: Uint32Array, step: number, micro: number): void {
  const batch = f.data.batch(indices);
  f.inputs.forEach((fitting, i) => {
    const to = job.feeds[i]! as Float32Array;
    let input = batch.inputs[fitting.field]!;
    if (f.augment && input.dims.length === 4 && input.type === "float32") {
      // A copy: the data may have handed out its own memory.
      input = { ...input, data: (input.data as Float32Array).slice() };
      augment(input.data as Float32Array, input.dims, f.augment, new Random(plan.seed, 2, step, micro, i));
    }
    const { data } = fitting.apply(input);
    if (data.length !== to.length)
      throw new PareError(
        `data "${f.data.name}": a batch of ${indices.length} gave input "${fitting.name}" ${data.length} values, expected ${to.length}`,
      );
    to.set(data as Float32Array);
  });
  const targets = job.feeds[f.inputs.length]!;
  if (targets instanceof BigInt64Array) {
    const labels = batch.labels!;
    checkLabels(f.data, labels, f.classes, indices);
    for (let i = 0; i < labels.length; i++) targets[i] = BigInt(labels[i]!);
  } else (targets as Float32Array).set(batch.targets!.data as Float32Array);
  if (f.soft) {
    const to = job.feeds[f.inputs.length + 1]! as Float32Array;
    const row = to.length / indices.length;
    indices.forEach((sample, i) => {
      to.set(f.soft!.subarray(sample * row, (sample + 1) * row), i * row);
    });
  }
  job.place[0] = step;
  job.place[1] = micro;
}
