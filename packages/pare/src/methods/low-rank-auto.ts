/** Several factorizations at once: each layer gets the one, and the ranks, that lose least for what they save. */
import { lowRankOptions, lowRankStage } from "./low-rank.js";
import { cpFactorizer } from "./lowrank/cp.js";
import { separableFactorizer } from "./lowrank/depthwise-separable.js";
import { spatialFactorizer } from "./lowrank/spatial.js";
import { svdFactorizer } from "./lowrank/svd.js";
import { tucker2Factorizer } from "./lowrank/tucker2.js";
import { method } from "./method.js";

/** All there are, by name. */
export const factorizers = [svdFactorizer, spatialFactorizer, tucker2Factorizer, cpFactorizer, separableFactorizer];

/** Those whose errors are known before they are solved for, in the order of preference where two are equal. */
export const foreseeable = [svdFactorizer, spatialFactorizer, tucker2Factorizer];

/** The same options as each of them; ranks by layer go to the factorizers that take as many. */
export const auto = method({
  id: "lowrank/auto",
  paper: "lowrank/svd, lowrank/spatial and lowrank/tucker2, chosen among by foreseen error and measured time",
  needs: ["calibration", "training"],
  options: lowRankOptions,
  atZero: { target: { macs: 1 }, train: { epochs: 0 } },
  apply: (graph, o, tools) => lowRankStage(graph, o, tools, foreseeable),
});
