/** How a tensor is laid out for coding: rows of outputs, columns that may be the pixels of planes. */
import type { Fields } from "./fields.js";

export interface Geometry {
  readonly rows: number;
  readonly columns: number;
  /** The tensor is coded transposed: its columns are the rows here. Only for two axes. */
  readonly transposed: boolean;
  /** Columns come in planes of this many (kernel positions, pixels of a channel), each in lines of `width`; both equal `columns` where there is no such order. */
  readonly plane: number;
  readonly width: number;
}

/** Rows are the first axis, columns the rest; planes are the kernel, where there is one. */
export function plainGeometry(dims: readonly number[], transposed = false): Geometry {
  const product = (xs: readonly number[]) => xs.reduce((p, d) => p * d, 1);
  if (dims.length < 2)
    return { rows: 1, columns: product(dims), transposed: false, plane: product(dims), width: product(dims) };
  const [rows, columns] = [dims[0]!, product(dims.slice(1))];
  if (transposed) return { rows: columns, columns: rows, transposed, plane: rows, width: rows };
  const kernel = dims.length > 2 ? product(dims.slice(2)) : columns;
  return { rows, columns, transposed, plane: kernel, width: dims.length > 2 ? dims[dims.length - 1]! : columns };
}

/** Codes the geometry of a tensor of known dims: whether it is transposed, and for two axes the size of its planes. */
export function geometry(f: Fields, dims: readonly number[], given: Geometry | null): Geometry {
  if (dims.length !== 2) return plainGeometry(dims);
  const transposed = f.flag("transposed", given?.transposed ?? false);
  const plain = plainGeometry(dims, transposed);
  const width = f.uint("plane.width", !given || given.width === given.columns ? 0 : given.width);
  if (width === 0) return plain;
  const plane = f.uint("plane.size", given?.plane ?? 0);
  if (plane < width || plane > plain.columns || plane % width !== 0 || plain.columns % plane !== 0)
    throw f.error(`planes of ${plane} columns, ${width} wide, do not fit [${dims}]`);
  return { ...plain, plane, width };
}
