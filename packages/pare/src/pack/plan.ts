/** A tensor -> the coding that takes the fewest bytes. */

import {
  type CodebookPlan,
  type Earlier,
  elementBits,
  Fields,
  floatLayouts,
  type Geometry,
  type Plan,
  plainGeometry,
  type Tensor,
  tensorContents,
} from "@pare/runtime/writer";
import { codebookPlan } from "./codebook-plan.js";
import type { PackOptions } from "./pack.js";
import { BitCounter } from "./range-encoder.js";

/** `earlier`: what the tensors before this one told. */
export function planOf(t: Tensor, _options: PackOptions, earlier: Earlier): Plan {
  if (t.type === "string") return { coding: "strings" };
  const plans: Plan[] = [{ coding: "raw" }];
  const book = codebookPlan(t);
  if (book && isConstant(book) && elementBits(t.type) >= 8) return { coding: "constant" };
  if (floatLayouts[t.type]) plans.push({ coding: "floats" });
  if (book) plans.push(bestGeometry(t, book, earlier));
  return cheapest(plans, (plan) => bitsOf(t, plan, earlier));
}

const isConstant = (book: CodebookPlan): boolean => book.indices.every((i) => i === book.indices[0]);

/** Bits that a tensor takes under a plan, by running it. */
export function bitsOf(t: Tensor, plan: Plan, earlier: Earlier): number {
  const counter = new BitCounter();
  tensorContents(counter, new Fields(counter), earlier.copy(), t, plan);
  return counter.bits;
}

function cheapest<T>(candidates: readonly T[], cost: (c: T) => number): T {
  if (candidates.length === 1) return candidates[0]!;
  const costs = candidates.map(cost);
  return candidates[costs.indexOf(Math.min(...costs))]!;
}

const sampleSize = 1 << 15;

/** The same plan in the geometry that suits it best: for two axes the columns may be pixels, or the rows be columns. */
function bestGeometry(t: Tensor, book: CodebookPlan, earlier: Earlier): CodebookPlan {
  const [rows, columns] = t.dims;
  if (t.dims.length !== 2 || !rows || !columns || rows * columns < 256) return book;
  const geometries = [false, true].flatMap((transposed) => {
    const plain = plainGeometry(t.dims, transposed);
    return [plain, ...squares(plain)];
  });
  return cheapest(
    geometries.map((geometry): CodebookPlan => ({ ...book, geometry })),
    (plan) => bitsPerElement(t, plan, earlier),
  );
}
/** Columns as square planes: 784 is 28 x 28, 800 is 50 planes of 4 x 4. */
function squares(plain: Geometry): Geometry[] {
  const found: Geometry[] = [];
  for (let width = 3; width * width <= plain.columns; width++)
    if (plain.columns % (width * width) === 0) found.push({ ...plain, width, plane: width * width });
  return found;
}
/** Bits per element of some rows (as the geometry has them), evenly spaced: enough to tell geometries apart. */
function bitsPerElement(t: Tensor, plan: CodebookPlan, earlier: Earlier): number {
  const { rows, columns, transposed } = plan.geometry;
  const kept = Math.min(rows, Math.max(8, Math.ceil(sampleSize / columns)));
  const indices = new Uint8Array(kept * columns);
  for (let k = 0; k < kept; k++) {
    const r = Math.floor((k * rows) / kept);
    for (let c = 0; c < columns; c++)
      indices[transposed ? c * kept + k : k * columns + c] = plan.indices[transposed ? c * rows + r : r * columns + c]!;
  }
  const dims = transposed ? [columns, kept] : [kept, columns];
  const sample = { ...t, dims };
  return bitsOf(sample, { ...plan, indices, geometry: { ...plan.geometry, rows: kept } }, earlier) / (kept * columns);
}
