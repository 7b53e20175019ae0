/** The one schema of what a compression run found out: printed as JSON, written as report.json, drawn as report.html. */
import { z } from "zod";

const count = z.number().int().nonnegative();

/** One stage of a run. The first is `dense`; the last is the packed file, whose sizeBytes is its size on disk. */
export const stageFacts = z.object({
  stage: z.string().describe("name of the stage: dense, a method's id, or packed"),
  parameters: count.describe("trainable values, pruned ones included"),
  nonzero: count.describe("trainable values that are not zero"),
  macs: count.describe("multiply-adds for one sample, zeros included"),
  sizeBytes: count.describe("bytes of the file this stage would be: .onnx, or .pare for the last"),
  entropyBytes: z.number().nonnegative().describe("zeroth-order entropy of positions and values, in bytes"),
  error: z.number().describe("1 - top-1 on the test data, 0..1"),
  seconds: z.number().nonnegative(),
});

/** What `demo` and `compress` print with --json. */
export const runFacts = z.object({
  model: z.string(),
  seed: z.number().int(),
  stages: z.array(stageFacts).min(2),
  output: z.string().describe("path of the packed file"),
  report: z.string().describe("path of the HTML report"),
});

export const layerFacts = z.object({
  name: z.string().describe("the node"),
  op: z.string(),
  weight: z.string().describe("the initialiser"),
  dims: z.array(count),
  parameters: count,
  nonzero: count,
  values: count.describe("distinct non-zero values"),
  bytes: z.number().nonnegative().describe("bytes of this tensor in the packed file"),
  coding: z.string().describe("how the packed file stores it"),
});

export const histogram = z.object({
  weight: z.string(),
  bins: z.array(z.object({ x0: z.number(), x1: z.number(), count })),
  centroids: z.array(z.object({ value: z.number(), count })).describe("shared values, where there are few"),
});

export const curve = z.object({
  stage: z.string(),
  epochs: z.array(
    z.object({ epoch: count, loss: z.number(), validationError: z.number().nullable(), learningRate: z.number() }),
  ),
});

/** Surviving weights per input pixel of the first dense layer (Han, Pool, Tran, Dally 2015, figure 4). */
export const pixelPicture = z.object({ weight: z.string(), height: count, width: count, survivors: z.array(count) });

export const reportFacts = runFacts.extend({
  data: z.string(),
  layers: z.array(layerFacts),
  widths: z
    .array(z.object({ layer: z.string(), before: count, after: count }))
    .describe("output channels of the dense network's layers, and what is left of them; none of a layer that is gone"),
  histograms: z.object({ dense: z.array(histogram), packed: z.array(histogram) }),
  curves: z.array(curve),
  pixels: pixelPicture.nullable(),
  notes: z.array(z.object({ stage: z.string(), node: z.string(), what: z.enum(["done", "skipped"]), why: z.string() })),
});

export type StageFacts = z.infer<typeof stageFacts>;
export type RunFacts = z.infer<typeof runFacts>;
export type LayerFacts = z.infer<typeof layerFacts>;
export type Histogram = z.infer<typeof histogram>;
export type Curve = z.infer<typeof curve>;
export type PixelPicture = z.infer<typeof pixelPicture>;
export type ReportFacts = z.infer<typeof reportFacts>;
