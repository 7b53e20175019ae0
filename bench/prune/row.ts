/** What a row of bench/prune is: a recipe as data, and the work that follows it. */
import type { Label, Run } from "./table.js";

export interface Place {
  readonly seed: number;
  readonly workers: number;
  /** A file that training saves its state to and resumes from. */
  readonly checkpoint: string;
  readonly log: (line: string) => void;
}
export interface Row extends Label {
  /** Everything that changes the result, as data. */
  readonly recipe: unknown;
  readonly run: (place: Place) => Promise<Run>;
}
