/** Resampling along axes: Resize and its forerunner Upsample. */
import type { Emitter } from "../graph/emit.js";
import { node } from "../graph/emit.js";
import type { Dim, Shape } from "../graph/graph.js";
import { floats, sizeOf } from "../graph/tensor.js";
import { axisIn, isFixed } from "./dims.js";
import { ranked } from "./lengths.js";
import { letters, reject, unknownRank } from "./move.js";
import type { AttributeReader, GradientSite, Operator, Site } from "./record.js";
import { awaits, none, ofFirst, op } from "./record.js";
import { type Filter, resampling } from "./resampling.js";
import { need } from "./site.js";
import { intsOf, numbersOf, tensorOf } from "./values.js";
import { keepsZero } from "./zero.js";

interface ResizeAttributes extends Filter {
  /** Upsample wrote its scales as an attribute. */
  readonly scales: readonly number[] | null;
  readonly axes: readonly number[] | null;
  readonly policy: string;
  readonly antialias: boolean;
}
/** Inputs by what they are: Upsample and Resize 10 had [x, scales], later versions [x, roi, scales, sizes]. */
const scalesAt = (s: Site): number => (s.node.op === "Upsample" || s.opset < 11 ? 1 : 2);
const given = (s: Site<ResizeAttributes>): readonly number[] | null => {
  const value = s.a.scales ? null : s.value(scalesAt(s));
  const found = s.a.scales ?? (value && numbersOf(value));
  return found?.length ? found : null;
};
const wantedSizes = (s: Site): readonly number[] | null => (s.x[3] && scalesAt(s) === 2 ? intsOf(s.value(3)) : null);

/** What is known of each axis: its scale, or its new length. */
interface Plan {
  readonly scale: number | null;
  readonly size: Dim;
}
function plan(s: Site<ResizeAttributes>, x: Shape): Plan[] | null {
  const [scales, sizes] = [given(s), wantedSizes(s)];
  const list = scales ?? sizes;
  if (!list) return null;
  const axes = s.a.axes?.map((a) => axisIn(s.node, a, x.length)) ?? x.map((_, d) => d);
  if (list.length !== axes.length)
    reject(s.node, `${list.length} ${scales ? "scales" : "sizes"} [${list}] for ${axes.length} axes`);
  const stretch = sizes ? kept(s, x, axes, sizes) : null;
  return x.map((n, d) => {
    const k = axes.indexOf(d);
    if (k < 0) return { scale: 1, size: n };
    if (sizes && !scales) {
      const size = stretch === null ? sizes[k]! : typeof n === "number" ? Math.floor(n * stretch + 0.5) : "";
      return { scale: stretch ?? (typeof n === "number" && n > 0 && typeof size === "number" ? size / n : null), size };
    }
    const scale = Math.fround(scales![k]!);
    if (!(scale > 0)) reject(s.node, `scale ${scale} of axis ${d} should be positive`);
    const region = s.a.coordinates === "tf_crop_and_resize" ? regionOf(s, k, axes.length) : 1;
    if (region === null) return { scale, size: "" };
    if (typeof n !== "number") return { scale, size: scale === 1 && region === 1 ? n : "" };
    return { scale, size: Math.floor(Math.fround(Math.fround(n * Math.fround(region)) * scale)) };
  });
}
/** The one scale that keeps the aspect ratio; null where the policy is to stretch. */
function kept(s: Site<ResizeAttributes>, x: Shape, axes: readonly number[], sizes: readonly number[]): number | null {
  if (s.a.policy === "stretch") return null;
  const ratios = axes.map((d, k) => sizes[k]! / (x[d] as number));
  return s.a.policy === "not_larger" ? Math.min(...ratios) : Math.max(...ratios);
}
function regionOf(s: Site, k: number, count: number): number | null {
  const value = s.value(1);
  const roi = value && numbersOf(value);
  return roi && roi.length === 2 * count ? roi[k + count]! - roi[k]! : null;
}

const record = {
  domain: "",
  zero: keepsZero,
  homogeneous: ofFirst,
  untrained: [1, 2],
  // An axis that keeps its length keeps its channels; along the others every output looks at several positions.
  axes: (s: Site) => {
    const [x, y] = [s.x[0]?.shape, s.y[0]?.shape];
    if (!x || !y) return unknownRank;
    const whole = (d: number) => x[d] !== "" && x[d] === y[d];
    return `${letters(x, (d) => (whole(d) ? `a${d}` : `x${d}!`))} -> ${letters(x, (d) => (whole(d) ? `a${d}` : `y${d}!`))}`;
  },
  shape: (s: Site<ResizeAttributes>) => {
    const { type, shape: x } = need(s, 0);
    if (!x) {
      const list = s.a.axes ? undefined : (s.x[scalesAt(s)]?.shape?.[0] ?? s.a.scales?.length);
      return [{ type, shape: list ? ranked(list) : null }];
    }
    return [{ type, shape: plan(s, x)?.map((p) => p.size) ?? ranked(x.length) }];
  },
  grad: (g: Emitter, s: GradientSite<ResizeAttributes>) => [s.wanted[0] ? gradient(g, s) : null],
  quant: "arithmetic" as const,
  packs: awaits("resize"),
  fold: none("not shape arithmetic"),
};

/** Every mode is linear in x: along each axis dx = M^T dy, with M the resampling matrix [out, in]. */
function gradient(g: Emitter, s: GradientSite<ResizeAttributes>): string {
  const dims = s.dims(0);
  if (s.a.antialias || s.a.coordinates === "tf_crop_and_resize")
    reject(s.node, "no gradient with antialias or tf_crop_and_resize: export it without");
  const steps = plan(s, dims) ?? reject(s.node, "the gradient needs scales or sizes that are known before running");
  const shape = [...s.outDims(0)];
  let dy = s.dy[0]!;
  steps.forEach(({ scale }, d) => {
    const [from, to] = [dims[d]!, shape[d]!];
    if (from === to && scale === 1) return;
    const m = resampling(s.a, from, to, scale ?? to / from);
    const transposed = Array.from({ length: from * to }, (_, k) => m[(k % to) * from + Math.floor(k / to)]!);
    const matrix = g.constant(tensorOf(g.floatType, [from, to], transposed) ?? floats(transposed, [from, to]));
    const flat = g.reshape(dy, [sizeOf(shape.slice(0, d)), to, sizeOf(shape.slice(d + 1))]);
    shape[d] = from;
    dy = g.reshape(g.op("MatMul", [matrix, flat]), shape);
  });
  return dy;
}

const attributes = (r: AttributeReader, old: boolean): ResizeAttributes => ({
  mode: r.string("mode", "nearest"),
  coordinates: old ? "asymmetric" : r.string("coordinate_transformation_mode", "half_pixel"),
  // Before opset 11 nearest was the floor where it enlarges and the ceiling where it shrinks.
  nearest: old ? "simple" : r.string("nearest_mode", "round_prefer_floor"),
  cubic: r.float("cubic_coeff_a", -0.75),
  excludeOutside: r.int("exclude_outside", 0) !== 0,
  scales: r.has("height_scale") ? [1, 1, r.float("height_scale"), r.float("width_scale")] : r.floats("scales"),
  axes: r.ints("axes"),
  policy: r.string("keep_aspect_ratio_policy", "stretch"),
  antialias: r.int("antialias", 0) !== 0,
});

const Resize = op<ResizeAttributes>({
  ...record,
  type: "Resize",
  attrs: (r) => attributes(r, r.opset < 11),
  raise: (g, n, opset, s) => (opset < 11 ? modern(g, n.inputs[1], s) : "same"),
  rewrite: (s, kept) => {
    const [old, y, x] = [wantedSizes(s), kept.y[0], s.x[0]?.shape];
    if (!old || !y || !x) return {};
    const axes = s.a.axes?.map((a) => axisIn(s.node, a, x.length)) ?? x.map((_, d) => d);
    return {
      inputs: {
        3: tensorOf(
          "int64",
          [old.length],
          axes.map((d, k) => (isFixed(x) && kept.x[0]?.[d] === x[d] ? old[k]! : y[d]!)),
        )!,
      },
    };
  },
});
const Upsample = op<ResizeAttributes>({
  ...record,
  type: "Upsample",
  attrs: (r) => attributes(r, true),
  raise: (g, n, _, s) => modern(g, n.inputs[1], s),
  rewrite: "none needed",
});
/** Resize 11 with what Upsample and Resize 10 meant. */
function modern(g: Emitter, scales: string | undefined, s: Site<ResizeAttributes> | null): readonly string[] {
  const n = s!.node;
  const factors = given(s!) ?? reject(n, "its scales should be known before running");
  const shrinks = factors.some((f) => f < 1);
  if (shrinks && factors.some((f) => f > 1) && s!.a.mode === "nearest")
    reject(n, `scales [${factors}] enlarge and shrink`);
  const input = s!.a.scales ? g.constant(floats(s!.a.scales, [s!.a.scales.length])) : scales!;
  const attributes = {
    mode: s!.a.mode,
    coordinate_transformation_mode: "asymmetric",
    nearest_mode: shrinks ? "ceil" : "floor",
  };
  g.push(node("Resize", [n.inputs[0]!, "", input], n.outputs, attributes, "", n.name));
  return n.outputs;
}

export const resizes: readonly Operator[] = [Resize, Upsample];
