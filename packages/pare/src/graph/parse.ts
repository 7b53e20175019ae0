/** The bytes of an .onnx file -> ModelProto. */
import { fromBinary } from "@bufbuild/protobuf";
import { PareError } from "./error.js";
import type { ModelProto } from "./generated/onnx_pb.js";
import { ModelProtoSchema } from "./generated/onnx_pb.js";
import { scan } from "./scan.js";

/** Throws PareError where the bytes are not the whole of a well-formed model. */
export function parse(bytes: Uint8Array): ModelProto {
  if (bytes.length === 0) throw new PareError("not a readable ONNX model: it is empty");
  // A Buffer's slice() shares where a Uint8Array's copies: the Graph's bytes are to be plain.
  const plain = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  scan(ModelProtoSchema, plain);
  try {
    return fromBinary(ModelProtoSchema, plain);
  } catch (cause) {
    throw new PareError(`not a readable ONNX model: ${(cause as Error).message}`, "input", { cause });
  }
}
