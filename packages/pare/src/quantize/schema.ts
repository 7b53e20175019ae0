/** What `pare quantize --json` prints, as a zod object: a file of its own, so that quantizing does not load zod. */
import { z } from "zod";
import { formats } from "./facts.js";

/** The schema of `pare quantize --json`. Ratios are 0..1; snrDb null: nothing was measured, or not a bit differs. */
export const quantization = z.object({
  model: z.string(),
  format: z.enum(formats),
  sizeBytes: z.tuple([z.number(), z.number()]),
  layers: z.array(
    z.object({
      name: z.string(),
      op: z.string(),
      format: z.string(),
      reason: z.string(),
      snrDb: z.number().nullable(),
      /** What onnxruntime ran for it; null where nothing was run, or nothing under its name. */
      kernel: z.string().nullable(),
    }),
  ),
  /** Nodes of the result by what onnxruntime's own profile of one run says they work on; null where nothing was run. */
  kernels: z.object({ integers: z.number().int(), floats: z.number().int(), conversion: z.number().int() }).nullable(),
  quantized: z.number().int(),
  eligible: z.number().int(),
  snrDb: z.number().nullable(),
  agreement: z.number().nullable(),
  limits: z.array(
    z.object({
      name: z.enum(["max-drop", "max-bytes", "max-latency"]),
      allowed: z.number(),
      reached: z.number().nullable(),
      held: z.boolean(),
    }),
  ),
  seconds: z.number(),
  peakBytes: z.number(),
});
