/** What becomes of zeros: rules by which an index that is zero in its inputs stays zero in the output. */
import type { ZeroRule } from "./record.js";

/** f(0) = 0 in the first input, whatever the others say. */
export const keepsZero: ZeroRule = (z) => z[0] === true;
/** A product: one zero is enough. */
export const anyZero: ZeroRule = (z) => z.includes(true);
/** A sum: every term there is must be zero; one that is broadcast over the index is not. */
export const allZero: ZeroRule = (z) => z.every((v) => v === true || v === undefined);
/** Pieces laid side by side: the one that has the index decides. */
export const piecesZero: ZeroRule = (z) => z.every((v) => v !== false);
/** A product of the first two, plus whatever else there is. */
export const contractsZero: ZeroRule = (z) =>
  (z[0] === true || z[1] === true) && z.slice(2).every((v) => v === true || v === undefined);
/** Normalized, scaled by the second, shifted by the third. */
export const scaledZero: ZeroRule = (z) => z[1] === true && (z[2] === true || z[2] === undefined);
