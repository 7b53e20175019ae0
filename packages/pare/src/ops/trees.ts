/** The tree ensemble of ai.onnx.ml: enough to carry it through. */
import type { ElementType } from "../graph/graph.js";
import type { Operator } from "./record.js";
import { none, op } from "./record.js";
import { need } from "./site.js";

const common = {
  raise: "same" as const,
  rewrite: "none needed" as const,
  fold: none("not shape arithmetic"),
};
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

export const trees: readonly Operator[] = [TreeEnsembleClassifier, ZipMap];
