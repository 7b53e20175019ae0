/** The ONNX project's own operator tests: .tar.gz archives of a model and its inputs and outputs -> cases. */
import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { fromBinary } from "@bufbuild/protobuf";
import { decodeTensor } from "../../dist/graph/decode-tensor.js";
import { TensorProtoSchema } from "../../dist/graph/generated/onnx_pb.js";
import type { Tensor } from "../../dist/graph/graph.js";
import { sharedData } from "./shared.js";

/** Regular files of a tar archive: path -> bytes (views of the archive). */
export function untar(tar: Uint8Array): Map<string, Uint8Array> {
  const files = new Map<string, Uint8Array>();
  const text = (at: number, length: number) => {
    const field = tar.subarray(at, at + length);
    const end = field.indexOf(0);
    return Buffer.from(end < 0 ? field : field.subarray(0, end)).toString();
  };
  let longName: string | null = null;
  for (let at = 0; at + 512 <= tar.length && tar[at] !== 0; ) {
    const size = Number.parseInt(text(at + 124, 12), 8);
    const kind = String.fromCharCode(tar[at + 156]!);
    const prefix = text(at + 257, 5) === "ustar" ? text(at + 345, 155) : "";
    const name: string = longName ?? (prefix ? `${prefix}/` : "") + text(at, 100);
    longName = null;
    if (kind === "L") longName = text(at + 512, size);
    else if (kind === "0" || kind === "\0") files.set(name, tar.subarray(at + 512, at + 512 + size));
    at += 512 + Math.ceil(size / 512) * 512;
  }
  return files;
}

/** One data set of one test. Inputs and outputs are in the order of the model's feeds and outputs; null: not a tensor (a sequence, an optional). */
export interface Case {
  /** Folder of the test, such as "test_conv_with_strides_padding". */
  readonly name: string;
  /** Which data set of that test. */
  readonly set: number;
  readonly model: Uint8Array;
  readonly inputs: readonly (Tensor | null)[];
  readonly outputs: readonly (Tensor | null)[];
  /** What onnxruntime 1.30 makes of the test: only "pass" is known to agree with the expected outputs. "unknown" for the pytorch suites. */
  readonly status: string;
  /** Standard operators in the model, where known. */
  readonly ops: readonly string[];
}

interface Result {
  readonly d: string;
  readonly st: string;
  readonly ops: readonly string[];
}
/** What onnxruntime 1.30 made of each test of the node suite, by its folder. */
export function ortResults(): Map<string, Result> {
  const lines = gunzipSync(readFileSync(`${sharedData}conformance/ort-1.30-results.jsonl.gz`))
    .toString()
    .trim();
  return new Map(
    lines
      .split("\n")
      .map((line) => JSON.parse(line) as Result)
      .map((r) => [r.d, r]),
  );
}

const archives = { node: "onnx-backend-node-6be0677f.tar.gz", pytorch: "onnx-backend-pytorch-simple.tar.gz" } as const;

/**
 * Every case of a suite, in the archive's order by name. `sharedData` must not be null.
 * `wanted` picks tests by folder name before anything of them is decoded.
 */
export function* conformance(
  suite: keyof typeof archives = "node",
  wanted: (name: string) => boolean = () => true,
): Generator<Case> {
  const files = untar(new Uint8Array(gunzipSync(readFileSync(`${sharedData}conformance/${archives[suite]}`))));
  const results = suite === "node" ? ortResults() : new Map<string, Result>();
  const models = [...files.keys()].filter((path) => path.endsWith("/model.onnx")).sort();
  for (const path of models) {
    const folder = path.slice(0, -"/model.onnx".length);
    const name = folder.slice(folder.lastIndexOf("/") + 1);
    if (!wanted(name)) continue;
    const tensors = (set: number, kind: string) => {
      const list: (Tensor | null)[] = [];
      for (let bytes: Uint8Array | undefined; ; list.push(tensorOf(bytes)))
        if (!(bytes = files.get(`${folder}/test_data_set_${set}/${kind}_${list.length}.pb`))) return list;
    };
    const result = results.get(name);
    for (let set = 0; set === 0 || files.has(`${folder}/test_data_set_${set}/output_0.pb`); set++)
      yield {
        name,
        set,
        model: files.get(path)!,
        inputs: tensors(set, "input"),
        outputs: tensors(set, "output"),
        status: result?.st ?? "unknown",
        ops: result?.ops ?? [],
      };
  }
}

/** The archive does not say which files hold sequences or optionals: what does not fit as a tensor is null. */
function tensorOf(bytes: Uint8Array): Tensor | null {
  try {
    return decodeTensor(fromBinary(TensorProtoSchema, bytes), "test data");
  } catch {
    return null;
  }
}
