/** A node's constant input and a format -> the grid that its kernel can use, as fine as it can be, and the constant on it. */
import type { Tensor } from "../graph/graph.js";
import { float32sOf } from "../graph/tensor.js";
import { quantizeTensor, type WeightGridOptions, weightGrid } from "./grid.js";
import { withoutOverflow } from "./overflow.js";
import type { Format, Grid, QuantizedTensor } from "./plan.js";
import { finestLayout } from "./weight-axis.js";
import type { Placed, Wiring } from "./wiring.js";

/** Elements that share a scale in 4 bits where nothing else is planned. */
const block4 = 32;

export interface WeightOptions extends Pick<WeightGridOptions, "clip"> {
  /** Integer products of this machine, or of those the model is for, overflow in 16 bits (reduced-range.ts): scales leave room. */
  readonly reduced?: boolean;
}

/** The grid of input i of a node, a float32 constant, in a format with integer weights. */
export function gridOfWeight(at: Placed, i: number, format: Format, wiring: Wiring, options: WeightOptions = {}): Grid {
  const { tensor } = wiring.constants.get(at.node.inputs[i]!)!;
  return gridOf(tensor, needsOf(at, i, format, wiring, options));
}

/** What a kernel asks of a weight's grid. */
interface Needs extends WeightGridOptions {
  /** Whether neighbours must have room. */
  readonly room: boolean;
}
function needsOf(at: Placed, i: number, format: Format, wiring: Wiring, { reduced, clip }: WeightOptions): Needs {
  const { tensor } = wiring.constants.get(at.node.inputs[i]!)!;
  const site = wiring.siteOf(at);
  const layout = site ? finestLayout(site, i) : { axis: null, block: null };
  if (format === "weights4") return { type: "int4", clip: clip ?? "mse", room: false, ...blocked(tensor, layout) };
  const integer = format === "int8" || format === "int16";
  // The kernels of products know scales per output channel of a matrix or a filter, not of a stack of matrices.
  const whole = integer && (layout.block !== null || (at.node.op === "MatMul" && tensor.dims.length > 2));
  const products = (integer || format === "dynamic") && !depthwise(at, tensor.dims);
  return {
    type: "int8",
    clip: clip ?? "min-max",
    room: reduced === true && products,
    ...(whole ? { axis: null, block: null } : layout),
  };
}
function gridOf(tensor: Tensor, { room, ...options }: Needs): Grid {
  const values = float32sOf(tensor);
  const grid = weightGrid(values, tensor.dims, options);
  return room ? withoutOverflow(grid, values, tensor.dims) : grid;
}

/** One filter per channel: its kernel multiplies one by one and does not overflow. */
function depthwise({ node }: Placed, dims: readonly number[]): boolean {
  const group = node.attributes.group?.kind === "int" ? Number(node.attributes.group.value) : 1;
  return group > 1 && group === dims[0] && dims[1] === 1;
}

/** In 4 bits a matrix is cut into blocks along the axis that is summed over. */
function blocked({ dims }: Tensor, layout: Pick<Grid, "axis" | "block">): Pick<Grid, "axis" | "block"> {
  if (layout.block !== null) return { axis: layout.axis, block: Math.min(block4, layout.block) };
  if (dims.length !== 2 || layout.axis === null) return layout;
  return { axis: 1 - layout.axis, block: Math.min(block4, dims[1 - layout.axis]!) };
}

const known = new WeakMap<Tensor, Map<string, QuantizedTensor>>();

/** The constant rounded to the nearest codes: what a plan that says nothing of it gets. Made once per constant and grid, since a search asks again and again. */
export function nearestWeight(
  at: Placed,
  i: number,
  format: Format,
  wiring: Wiring,
  options: WeightOptions = {},
): QuantizedTensor {
  const { tensor } = wiring.constants.get(at.node.inputs[i]!)!;
  const needs = needsOf(at, i, format, wiring, options);
  const { type, clip, room, axis, block } = needs;
  const key = JSON.stringify([type, clip, room, axis, block]);
  let made = known.get(tensor);
  if (!made) known.set(tensor, (made = new Map()));
  let found = made.get(key);
  if (!found) made.set(key, (found = quantizeTensor(float32sOf(tensor), tensor.dims, gridOf(tensor, needs))));
  return found;
}
