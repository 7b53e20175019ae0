/** Sliding windows, as convolutions and pools share them: kernel, strides, pads, dilations, and the lengths that follow. */
import { PareError } from "../graph/error.js";
import type { Dim, Node } from "../graph/graph.js";
import type { AttributeReader } from "./record.js";
import { at } from "./site.js";

export interface Window {
  /** null: as the weight says. */
  readonly kernel: readonly number[] | null;
  readonly strides: readonly number[] | null;
  /** Begins, then ends. */
  readonly pads: readonly number[] | null;
  readonly dilations: readonly number[] | null;
  readonly autoPad: "NOTSET" | "SAME_UPPER" | "SAME_LOWER" | "VALID";
  readonly ceil: boolean;
  /** A pool: onnxruntime's SAME padding of pools does not see dilations. */
  readonly pool: boolean;
}

const autoPads: readonly Window["autoPad"][] = ["NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"];

export function windowOf(r: AttributeReader, kind: "conv" | "pool"): Window {
  const named = r.string("auto_pad", "NOTSET") || "NOTSET";
  const autoPad = autoPads.find((p) => p === named);
  if (!autoPad) throw new PareError(`${at(r.node)}: auto_pad "${named}" should be one of ${autoPads.join(", ")}`);
  const positive = (name: string): readonly number[] | null => {
    const values = r.ints(name);
    const wrong = values?.find((v) => v < 1);
    if (wrong !== undefined)
      throw new PareError(`${at(r.node)}: attribute "${name}" holds ${wrong}; at least 1 is needed`);
    return values?.length ? values : null;
  };
  const pads = r.ints("pads");
  return {
    kernel: positive("kernel_shape"),
    strides: positive("strides"),
    pads: pads?.length ? pads : null,
    dilations: positive("dilations"),
    autoPad,
    ceil: r.int("ceil_mode", 0) !== 0,
    pool: kind === "pool",
  };
}

/** Attributes with their defaults, one entry per spatial axis. */
export interface FullWindow {
  readonly kernel: readonly number[];
  readonly strides: readonly number[];
  readonly dilations: readonly number[];
}

/** Fills in defaults. Throws PareError where a list does not have one entry per spatial axis. */
export function fullWindow(node: Node, w: Window, kernel: readonly number[], spatial: number): FullWindow {
  const list = (name: string, values: readonly number[] | null, size = spatial): readonly number[] => {
    if (values && values.length !== size)
      throw new PareError(
        `${at(node)}: attribute "${name}" has ${values.length} entries; ${spatial} spatial axes need ${size}`,
      );
    return values ?? new Array<number>(size).fill(name === "pads" ? 0 : 1);
  };
  list("pads", w.pads, 2 * spatial);
  return {
    kernel: list("kernel_shape", kernel),
    strides: list("strides", w.strides),
    dilations: list("dilations", w.dilations),
  };
}

/** Length that the dilated kernel covers. */
export const reach = (f: FullWindow, d: number): number => (f.kernel[d]! - 1) * f.dilations[d]! + 1;

/** Length of output axis d; "" where the input's is unknown. */
export function slideLength(node: Node, w: Window, f: FullWindow, d: number, input: Dim): Dim {
  const spatial = f.kernel.length;
  const [stride, covered] = [f.strides[d]!, reach(f, d)];
  const same = w.autoPad === "SAME_UPPER" || w.autoPad === "SAME_LOWER";
  const pad = w.pads && w.autoPad === "NOTSET" ? w.pads[d]! + w.pads[d + spatial]! : 0;
  const plain = covered === f.kernel[d] || !w.pool;
  if (typeof input !== "number") return stride === 1 && ((same && plain) || pad === covered - 1) ? input : "";
  if (same)
    return plain ? Math.ceil(input / stride) : Math.floor((input + samePad(w, f, d, input) - covered) / stride) + 1;
  const room = input + pad - covered;
  if (room < 0)
    throw new PareError(
      `${at(node)}: a window of ${covered} does not fit spatial axis ${d} of ${input} with ${pad} of padding`,
    );
  const length = (w.ceil ? Math.ceil(room / stride) : Math.floor(room / stride)) + 1;
  // A window that would start beyond the input and its leading pad sees nothing: it is left out.
  const lead = w.pads && w.autoPad === "NOTSET" ? w.pads[d]! : 0;
  return w.ceil && (length - 1) * stride >= input + lead ? length - 1 : length;
}

/** What SAME adds to axis d, both ends together. */
const samePad = (w: Window, f: FullWindow, d: number, input: number): number =>
  Math.max(0, (Math.ceil(input / f.strides[d]!) - 1) * f.strides[d]! + (w.pool ? f.kernel[d]! : reach(f, d)) - input);

/** Explicit pads (begins, then ends) for known lengths; SAME puts the odd one at the end (UPPER) or the beginning (LOWER). */
export function explicitPads(w: Window, f: FullWindow, input: readonly number[]): number[] {
  const spatial = f.kernel.length;
  if (w.autoPad === "VALID") return new Array<number>(2 * spatial).fill(0);
  if (w.autoPad === "NOTSET") return [...(w.pads ?? new Array<number>(2 * spatial).fill(0))];
  const totals = input.map((n, d) => samePad(w, f, d, n));
  const less = totals.map((t) => Math.floor(t / 2));
  const more = totals.map((t, d) => t - less[d]!);
  return w.autoPad === "SAME_UPPER" ? [...less, ...more] : [...more, ...less];
}
