/** What an update rule is: gradients and state as flat vectors come in, ONNX nodes for the change of the parameters go out. */
import type { Emitter } from "../graph/emit.js";

export type OptimizerOptions =
  | { readonly kind: "sgd"; readonly momentum?: number; readonly nesterov?: boolean }
  | { readonly kind: "adam" | "adamw"; readonly beta1?: number; readonly beta2?: number; readonly epsilon?: number }
  | { readonly kind: "rmsprop"; readonly decay?: number; readonly momentum?: number; readonly epsilon?: number };

export interface Rule {
  /** State vectors as long as the parameters; all zeros before the first step. */
  readonly slots: number;
  /** Scalars that the nodes read, for step t (the first is 1) at learning rate `rate`. */
  scalars(t: number, rate: number): readonly number[];
  /** Emits the change that is subtracted from the parameters, and the new state. All vectors [n]. */
  emit(
    g: Emitter,
    gradient: string,
    slots: readonly string[],
    scalars: readonly string[],
  ): { readonly change: string; readonly slots: readonly string[] };
}
