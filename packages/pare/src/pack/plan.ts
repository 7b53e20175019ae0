/** A tensor -> the coding that takes the fewest bytes. */
import {
  bestGeometry,
  bitsOf,
  bitsPerElement,
  cheapest,
  type Earlier,
  elementBits,
  elements,
  floatLayouts,
  type Plan,
  sampleSize,
  type Tensor,
  unitsOf,
} from "@pare/runtime/writer";
import { codebookPlan } from "./codebook-plan.js";
import { deepCompressionPlan, gapBitsOf, publishedGapBits } from "./deep-compression-plan.js";
import type { PackOptions } from "./pack.js";

/** `earlier`: what the tensors before this one told. `affords`: whether a reader would spend that many units more on this file. */
export function planOf(t: Tensor, options: PackOptions, earlier: Earlier, affords: (units: number) => boolean): Plan {
  if (t.type === "string") return { coding: "strings" };
  const plans: Plan[] = [{ coding: "raw" }];
  const consider = (plan: Plan) => {
    // Where a reader would refuse so much from so few bytes, it gets more of them.
    if (affords(unitsOf(t, plan.coding))) plans.push(plan);
  };
  const book = codebookPlan(t);
  if (book && book.words.length === (elementBits(t.type) === 64 ? 2 : 1) && elementBits(t.type) >= 8)
    consider({ coding: "constant" });
  else {
    const published = book ? deepCompressionPlan(book, gapBitsOf(t, options.gapBits ?? publishedGapBits)) : null;
    if (options.coder === "deep-compression") return published && t.dims.length > 1 ? published : { coding: "raw" };
    if (floatLayouts[t.type]) consider({ coding: "floats" });
    if (book) consider(bestGeometry(t, book, earlier));
    if (published) consider(published);
  }
  return cheapest(plans, (plan) => weigh(t, plan, earlier));
}

/** Bits that a tensor takes under a plan; of a large one a part is enough to know. */
function weigh(t: Tensor, plan: Plan, earlier: Earlier): number {
  const n = elements(t.dims);
  if (plan.coding === "codebook" && n > 4 * sampleSize) return n * bitsPerElement(t, plan, earlier);
  if (plan.coding !== "floats" || n <= sampleSize) return bitsOf(t, plan, earlier);
  const sample = { ...t, dims: [sampleSize], bytes: t.bytes.subarray(0, (sampleSize * elementBits(t.type)) / 8) };
  return (bitsOf(sample, plan, earlier) * n) / sampleSize;
}
