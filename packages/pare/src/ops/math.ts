/** Every operator that computes on numbers, family by family. */
import { arithmetic } from "./arithmetic.js";
import { batchNormalizations } from "./batch-normalization.js";
import { casting } from "./casting.js";
import { contractions } from "./contractions.js";
import { convolutions } from "./convolution.js";
import { cumulative } from "./cumulative.js";
import { einsums } from "./einsum.js";
import { globalPools } from "./global-pools.js";
import { logic } from "./logic.js";
import { normalizations } from "./normalizations.js";
import { pools } from "./pools.js";
import type { Operator } from "./record.js";
import { rectifiers } from "./rectifiers.js";
import { extremeIndices, reductions } from "./reductions.js";
import { smooth } from "./smooth.js";
import { softmaxes } from "./softmax.js";
import { trigonometry } from "./trigonometry.js";
import { vectorNormalizations } from "./vector-normalizations.js";
import { withdrawnOperators } from "./withdrawn.js";

export const mathOperators: readonly (readonly Operator[])[] = [
  arithmetic,
  rectifiers,
  smooth,
  casting,
  contractions,
  convolutions,
  pools,
  globalPools,
  batchNormalizations,
  softmaxes,
  reductions,
  extremeIndices,
  logic,
  trigonometry,
  normalizations,
  vectorNormalizations,
  cumulative,
  einsums,
  withdrawnOperators,
];
