/** What `pare compare --json` prints, as a zod object. */
import { z } from "zod";

const likeness = z.object({
  name: z.string(),
  snrDb: z.number().nullable(),
  cosine: z.number(),
  maxDifference: z.number(),
});
/** The schema of `pare compare --json`. Ratios are 0..1; snrDb null: not a bit differs. */
export const comparison = z.object({
  samples: z.number().int().positive(),
  agreement: z.number().nullable(),
  snrDb: z.number().nullable(),
  cosine: z.number(),
  error: z.tuple([z.number().nullable(), z.number().nullable()]),
  outputs: z.array(likeness),
  layers: z.array(likeness.extend({ op: z.string() })),
});
