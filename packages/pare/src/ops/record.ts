/** What Pare knows of one operator: the shape of a record, and the site at which a record is asked. */
import type { Emitter } from "../graph/emit.js";
import type { Attribute, Dim, ElementType, Node, Shape, Tensor, ValueType } from "../graph/graph.js";

/** "Does not apply", with the reason: it becomes the error text and the cell of the generated support table. */
export interface None {
  readonly none: string;
  /** What it will be called once it exists. */
  readonly kernel?: string;
}
export const none = (why: string): None => ({ none: why });
/** Why no kernel runs an operator yet: the runtime decodes packed files; its executor, and with it this kernel, comes later. */
export const awaits = (kernel: string): None => ({
  none: `the runtime decodes but does not execute yet; kernel "${kernel}" comes with its executor`,
  kernel,
});
export const isNone = (facet: unknown): facet is None => typeof facet === "object" && facet !== null && "none" in facet;

/** Reads a node's attributes with defaults; throws a PareError that names node, attribute, wanted and found kind. */
export interface AttributeReader {
  int(name: string, fallback?: number): number;
  ints(name: string): readonly number[] | null;
  ints(name: string, fallback: readonly number[]): readonly number[];
  float(name: string, fallback?: number): number;
  floats(name: string): readonly number[] | null;
  string(name: string, fallback?: string): string;
  tensor(name: string): Tensor | null;
  raw(name: string): Attribute | null;
  has(name: string): boolean;
  /** Version of the node's domain in this model: attributes move to inputs over the versions. */
  readonly opset: number;
  readonly node: Node;
}

/** One node in its place, as the facets see it. Lists follow the node's inputs (x) and outputs (y). */
export interface Site<A = unknown> {
  readonly node: Node;
  readonly opset: number;
  /** The record's `attrs` facet, evaluated. */
  readonly a: A;
  /** Types and shapes of the inputs; null where the input is absent. shape null: rank unknown; Dim "": length unknown. */
  readonly x: readonly (ValueType | null)[];
  /** Output types, once inferred (empty inside `shape`). */
  readonly y: readonly (ValueType | null)[];
  /** The value of input i where it is known before running: an initialiser, or folded shape arithmetic. */
  value(i: number): Tensor | null;
  /** The elements of input i as lengths where some of them are symbols: a shape that depends on an open batch. */
  readonly lengths?: (i: number) => Shape | null;
  /** Control flow: output types of the bodies, by attribute name, once they are inferred. */
  readonly results?: Readonly<Record<string, readonly (ValueType | null)[]>>;
}
/** A site in a training graph: every shape is fixed, inputs and outputs have names, and gradients of the outputs are given. */
export interface GradientSite<A = unknown> extends Site<A> {
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  /** dL/d(output k), or null where nothing downstream depends on it. At least one is not null. */
  readonly dy: readonly (string | null)[];
  /** Whether anyone wants dL/d(input i): do not emit nodes for the others. */
  readonly wanted: readonly boolean[];
  /** Fixed dims of input i / output k. Throws where they are not known. */
  dims(i: number): readonly number[];
  outDims(k: number): readonly number[];
}

/** Emits the gradient in plain ONNX at opset >= 21 or composite nodes of domain "pare"; returns dL/d(input i) by name, null where it is zero or not wanted. */
export type Gradient<A> = (g: Emitter, s: GradientSite<A>) => readonly (string | null)[];

/**
 * Which axes are the same axis, in einx's notation: "n (g c) h w, (g o) c kh kw, (g o) -> n (g o) y x".
 * Marks: x... remaining axes aligned at the right; x! position or count matters; x~ a statistic is taken over it; a number: a fixed
 * factor; (a + b) a concatenation. An input without a term (shape data) is an empty term. `sizes` gives letters that no single axis shows.
 */
export interface AxesSpec {
  readonly text: string;
  readonly sizes?: Readonly<Record<string, number>>;
}
/** Slice, Gather by a constant: output axis d keeps these indices of input 0's axis `from`. */
export interface AxesPick {
  readonly picks: readonly {
    readonly from: number;
    readonly indices: readonly number[] | null;
    readonly dropped?: boolean;
  }[];
}
export type Axes<A> = string | ((s: Site<A>) => string | AxesSpec | AxesPick | None) | None;

/** What changes in the node when channels are cut: constants and attributes that repeat a size which the axes already know. */
export interface Kept {
  /** Sizes after the cut of input i / output k. */
  readonly x: readonly (readonly number[] | null)[];
  readonly y: readonly (readonly number[] | null)[];
  /** Does index k of axis d of input i survive, and how many before it do? */
  has(i: number, d: number, k: number): boolean;
  before(i: number, d: number, k: number): number;
}
export interface Rewrite {
  readonly attributes?: Readonly<Record<string, Attribute | null>>;
  readonly inputs?: Readonly<Record<number, Tensor>>;
}

/** Role in quantization. "weights": a contraction whose weight is worth quantizing; "passes": commutes with the scale (ReLU, pooling, reshapes); "arithmetic": quantizable, needs ranges of its own. */
export type QuantRole = "weights" | "passes" | "arithmetic" | None;

/** Along one axis, of each input: zero at that index or not; null: it has no such axis; undefined: it is absent. */
export type ZeroRule<A = unknown> = (z: readonly (boolean | null | undefined)[], s: Site<A>) => boolean;

/**
 * Sets of inputs of which this holds: multiply all of one set by positive numbers, the same for all that meet in one element, and the first
 * output is multiplied by them. ReLU [[0]], Add [[0, 1]], a contraction with a bias [[0, 2], [1, 2]]. null: there is none.
 */
export type Homogeneity = readonly (readonly number[])[];
export type HomogeneousRule<A = unknown> = Homogeneity | ((s: Site<A>) => Homogeneity | null);
/** Of the first input alone. */
export const ofFirst: Homogeneity = [[0]];
/** Of the first and of the second input, each with what is added to the product. */
export const ofProduct: Homogeneity = [
  [0, 2],
  [1, 2],
];
/** Of all inputs together. */
export const ofAll = (s: Site): Homogeneity => [s.node.inputs.map((_, i) => i)];
/** Of scale and shift: what a normalization does to its input no factor survives. */
export const ofAffine = (s: Site): Homogeneity | null => (s.node.outputs.filter(Boolean).length > 1 ? null : [[1, 2]]);

/** A running statistic: running = momentum x running + (1 - momentum) x batch, once per micro-batch (ONNX BatchNormalization, training_mode). */
export interface Statistic {
  /** The initialiser that holds the running value. */
  readonly running: string;
  /** The name that carries the batch's value: mean or population variance [c]. */
  readonly batch: string;
  readonly momentum: number;
}
/** A Dropout node whose mask is fed: 0 or 1 / (1 - ratio). */
export interface DropoutMask {
  /** The mask's input, and the name it multiplies. */
  readonly input: string;
  readonly of: string;
  readonly ratio: number;
}

/** What an operator may ask and say when a graph that infers becomes one that trains. */
export interface TrainingSite {
  /** Nodes are pushed in the place of the operator's own. */
  readonly g: Emitter;
  readonly initializers: ReadonlyMap<string, Tensor>;
  readonly opset: number;
  /** The dropout ratio that the caller chose for this node. */
  chosenRatio(): number | undefined;
  follow(...statistics: Statistic[]): void;
  drop(mask: DropoutMask): void;
}

/** A layer as one matrix product per group, Y [g o n] = W [g o k] X [g k n], without its bias. */
export interface Unrolled {
  readonly groups: number;
  /** k. */
  readonly inputs: number;
  /** o. */
  readonly outputs: number;
  /** The weight's elements lie as [k o] (of one group) instead of [g o k]. */
  readonly transposed: boolean;
  /** Appends what gives X from the layer's data, of about one column in `every`. */
  readonly x: (g: Emitter, data: string, every: number) => string;
  /** The same columns of Y, from the layer's output. */
  readonly y: (g: Emitter, output: string, every: number) => string;
}

/** Every facet is required: leaving one out is a compile error. */
export interface Operator<A = unknown> {
  /** ONNX operator type, exactly; domain "" is the standard one. */
  readonly type: string;
  readonly domain: string;
  readonly attrs: (r: AttributeReader) => A;
  readonly axes: Axes<A>;
  /** Output types and shapes from the inputs'; unknown dims are "". Throws PareError where the node is wrong. */
  readonly shape: (s: Site<A>) => readonly (ValueType | null)[];
  readonly grad: Gradient<A> | None;
  readonly quant: QuantRole;
  /** Name of the runtime's kernel. */
  readonly packs: string | None;
  /** Rewrites the node of `opset` in the form of opset `to` (17 to 21) with the same meaning: pushes nodes that define the node's own output names and returns these; or "same" where nothing changed in form or meaning in between. */
  readonly raise:
    | ((g: Emitter, node: Node, opset: number, s: Site<A> | null, to: number) => readonly string[] | "same")
    | "same";
  /** Constants that repeat a size; "none needed" for most. */
  readonly rewrite: ((s: Site<A>, kept: Kept) => Rewrite) | "none needed";
  /** Computes small integer or float outputs from constant inputs, for shape arithmetic; null where it cannot. */
  readonly fold: ((s: Site<A>) => readonly (Tensor | null)[] | null) | None;
  /** Whether an index that is zero in the inputs is zero in the output; left out: it is not (a sigmoid of zero is one half). */
  readonly zero?: ZeroRule<A>;
  /** How factors pass through the node; left out: they do not. All outputs that are floats follow it alike. */
  readonly homogeneous?: HomogeneousRule<A>;
  /** Its output is the sum of its inputs, broadcast. */
  readonly sums?: true;
  /** Its output is its input where that is positive, else zero. */
  readonly rectifies?: true;
  /** A normalisation: the input that holds one factor for each channel. */
  readonly channelScale?: number;
  /** Inputs that are constants but no trained parameters: running statistics, scales, zero points. */
  readonly untrained?: readonly number[];
  /** Shape: the elements of its output as lengths, symbols among them. */
  readonly lengths?: (s: Site<A>) => Shape | null;
  /** `fold` only moves elements of the first input, or of all: it may then move symbols too. */
  readonly moves?: "first" | "all";
  /** How the node behaves in training, where that differs: pushes what stands in its place. */
  readonly train?: (node: Node, t: TrainingSite) => void;
  /** A contraction of data with a weight, which of the first two inputs this is, as matrix products. null where this node is none. */
  readonly unroll?: (s: Site<A>, weight: 0 | 1) => Unrolled | null;
  /** Reshape, Expand: the number in the target (input 1) that keeps the input's own length. */
  readonly keeps?: 0 | 1;
  /** Control flow only: what the inputs of each body carry, by attribute name. Asked again with `results`, until nothing changes. */
  readonly bodies?: (s: Site<A>) => Readonly<Record<string, readonly (ValueType | null)[]>>;
  /** Control flow only: how often its body runs ("" where that is decided while running), or that one of its bodies runs. */
  readonly turns?: (s: Site<A>) => Dim | "one of";
}

/** Defines a record. The attribute type A flows from `attrs` into the other facets and is erased here: siteOf pairs them again. */
export const op = <A>(record: Operator<A>): Operator => record as unknown as Operator;

export type { ElementType, Shape };
