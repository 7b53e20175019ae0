/** A tensor's codebook plan -> the same in the geometry that suits its pattern of survivors best. */
import type { CodebookPlan } from "./codebook.js";
import { type Geometry, plainGeometry } from "./geometry.js";
import type { Tensor } from "./model.js";
import type { Earlier } from "./plane.js";
import { bitsOf, cheapest, sampleSize } from "./weigh.js";

/** The same plan in the geometry that suits it best: for two axes the columns may be pixels, or the rows be columns. */
export function bestGeometry(t: Tensor, book: CodebookPlan, earlier: Earlier): CodebookPlan {
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
export function bitsPerElement(t: Tensor, plan: CodebookPlan, earlier: Earlier): number {
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
