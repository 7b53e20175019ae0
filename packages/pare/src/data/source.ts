/** What `open` finds at a name or path: parts that are not read before they are wanted. */
import type { Table } from "./columns.js";

/** One table on disk. */
export interface Part {
  /** Number of samples, where it can be told without reading them. */
  readonly count?: number;
  /** Reads the samples at these indices (null: all); a reader that must read everything anyway may return all and say so. */
  read(indices: Uint32Array | null): Promise<{ table: Table; all: boolean }>;
}

export interface Source {
  readonly name: string;
  /** The training part, or the only one. */
  readonly main: Part;
  readonly validation?: Part;
  readonly test?: Part;
}

/** A part that is read whole. */
export const wholePart = (read: () => Promise<Table>): Part => ({
  read: async () => ({ table: await read(), all: true }),
});
