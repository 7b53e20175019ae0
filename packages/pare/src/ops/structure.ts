/** Every operator that moves, picks, repeats or carries elements, and control flow, family by family. */
import { arrangements } from "./arrange.js";
import { constants } from "./constants.js";
import { controlFlow } from "./control-flow.js";
import { gathers } from "./gather.js";
import { joins } from "./join.js";
import { quantized } from "./quantized.js";
import type { Operator } from "./record.js";
import { recurrents } from "./recurrent.js";
import { reshapes } from "./reshape.js";
import { resizes } from "./resize.js";
import { scatters } from "./scatter.js";
import { selections } from "./select.js";
import { slices } from "./slice.js";
import { spreads } from "./spread.js";
import { trees } from "./trees.js";

export const structureOperators: readonly (readonly Operator[])[] = [
  reshapes,
  arrangements,
  joins,
  slices,
  gathers,
  scatters,
  selections,
  spreads,
  resizes,
  constants,
  recurrents,
  controlFlow,
  quantized,
  trees,
];
