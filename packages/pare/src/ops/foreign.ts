/** Withdrawn operators (ImageScaler, Crop, Affine) and the tree ensemble of ai.onnx.ml: enough to see a model through. */
import type { Dim, ElementType } from "../graph/graph.js";
import { shown } from "./lengths.js";
import { reject } from "./move.js";
import type { Operator } from "./record.js";
import { none, op } from "./record.js";
import { need } from "./site.js";

const withdrawn = "ONNX withdrew it; onnxruntime still runs it";
const common = {
  domain: "",
  grad: none(withdrawn),
  quant: none(withdrawn),
  packs: none(withdrawn),
  raise: "same" as const,
  rewrite: "none needed" as const,
  fold: none("not shape arithmetic"),
};

/** y = scale x + bias per channel. */
const ImageScaler = op({
  ...common,
  type: "ImageScaler",
  attrs: () => ({}),
  axes: "n c! s... -> n c! s...",
  shape: (s) => [need(s, 0)],
});
/** y = alpha x + beta. */
const Affine = op({
  ...common,
  type: "Affine",
  attrs: () => ({}),
  axes: "a... -> a...",
  shape: (s) => [need(s, 0)],
});
/** Cuts a border off, or a window of size `scale` out behind its first two counts. */
const Crop = op<{ border: readonly number[]; scale: readonly number[] | null }>({
  ...common,
  type: "Crop",
  attrs: (r) => ({ border: r.ints("border", [0, 0, 0, 0]), scale: r.ints("scale") }),
  axes: "n c h! w! -> n c y! x!",
  shape: (s) => {
    const { type, shape: x } = need(s, 0);
    if (!x) return [{ type, shape: ["", "", "", ""] }];
    if (x.length !== 4 || s.a.border.length !== 4)
      reject(s.node, `x ${shown(x)} should be [n, c, h, w] and border [${s.a.border}] four counts`);
    const [left, top, right, bottom] = s.a.border as [number, number, number, number];
    const less = (n: Dim, by: number): Dim => (typeof n === "number" ? n - by : by === 0 ? n : "");
    const size = s.a.scale?.length === 2 ? s.a.scale : [less(x[2]!, top + bottom), less(x[3]!, left + right)];
    return [{ type, shape: [x[0]!, x[1]!, ...size] }];
  },
});

const tree = none("a decision tree has no weights that a gradient or a channel could be");
const ml = {
  ...common,
  domain: "ai.onnx.ml",
  axes: none("a decision tree reads its features by number"),
  grad: tree,
  quant: tree,
  packs: none("the runtime runs neural networks"),
};
/** x [n f] -> label [n], scores [n classes]. */
const TreeEnsembleClassifier = op<{ classes: number | null; label: ElementType }>({
  ...ml,
  type: "TreeEnsembleClassifier",
  attrs: (r) => {
    const [names, numbers] = [r.raw("classlabels_strings"), r.raw("classlabels_int64s")];
    const listed = names?.kind === "strings" && names.value.length > 0 ? names : numbers;
    const classes = listed?.kind === "strings" || listed?.kind === "ints" ? listed.value.length : null;
    return { classes, label: listed?.kind === "strings" ? "string" : "int64" };
  },
  shape: (s) => {
    const n = need(s, 0).shape?.[0] ?? "";
    return [
      { type: s.a.label, shape: [n] },
      { type: "float32", shape: [n, s.a.classes ?? ""] },
    ];
  },
});
/** Scores to a list of maps: not a tensor. */
const ZipMap = op({
  ...ml,
  type: "ZipMap",
  attrs: () => ({}),
  shape: () => [null],
});

export const foreign: readonly Operator[] = [ImageScaler, Affine, Crop, TreeEnsembleClassifier, ZipMap];
