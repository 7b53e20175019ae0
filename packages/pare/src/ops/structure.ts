/** Every operator that moves, picks, repeats or carries elements, and control flow, family by family. */
import { arrangements } from "./arrange.js";
import { constants } from "./constants.js";
import { gathers } from "./gather.js";
import { joins } from "./join.js";
import type { Operator } from "./record.js";
import { reshapes } from "./reshape.js";
import { slices } from "./slice.js";
import { spreads } from "./spread.js";

export const structureOperators: readonly (readonly Operator[])[] = [
  reshapes,
  arrangements,
  joins,
  slices,
  gathers,
  spreads,
  constants,
];
