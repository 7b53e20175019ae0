/** Every compression method: one line each. */
import { auto } from "./low-rank-auto.js";
import { cp } from "./lowrank/cp.js";
import { depthwiseSeparable } from "./lowrank/depthwise-separable.js";
import { spatial } from "./lowrank/spatial.js";
import { svd } from "./lowrank/svd.js";
import { tucker2 } from "./lowrank/tucker2.js";
import type { Method } from "./method.js";
import { groupLassoMethod } from "./prune/group-lasso.js";
import { growingMethod } from "./prune/growing.js";
import { magnitude } from "./prune/magnitude.js";
import { sparsegpt } from "./prune/sparsegpt.js";
import { structured } from "./prune/structured.js";
import { cluster } from "./quantize/cluster.js";
import { rateDistortion } from "./quantize/rate-distortion.js";
import { dense } from "./train.js";

export const methods: readonly Method[] = [
  dense,
  magnitude,
  structured,
  sparsegpt,
  groupLassoMethod,
  growingMethod,
  cluster,
  rateDistortion,
  svd,
  tucker2,
  spatial,
  cp,
  depthwiseSeparable,
  auto,
];

const byId: ReadonlyMap<string, Method> = new Map(methods.map((m) => [m.id, m]));

/** The method of that id; null where there is none. */
export const methodOf = (id: string): Method | null => byId.get(id) ?? null;
