/** Protobuf framing around bytes that are not to be copied: what will be a file, as a list of chunks in order. */
import { PareError } from "./error.js";

/** Protobuf's own limit for a message, and onnxruntime's for a model without external data. */
export const maxMessageBytes = 2 ** 31 - 1;

export class Pieces {
  readonly chunks: Uint8Array[] = [];
  sizeBytes = 0;

  add(bytes: Uint8Array): this {
    if (bytes.length > 0) this.chunks.push(bytes);
    this.sizeBytes += bytes.length;
    return this;
  }
  /** A length-delimited field: message or bytes. */
  field(no: number, content: Pieces | Uint8Array): this {
    const inner = content instanceof Pieces ? content : new Pieces().add(content);
    this.add(header(no, inner.sizeBytes));
    return this.append(inner);
  }
  append(more: Pieces): this {
    for (const chunk of more.chunks) this.chunks.push(chunk);
    this.sizeBytes += more.sizeBytes;
    return this;
  }
  /** All in one array. */
  join(): Uint8Array {
    if (this.sizeBytes > maxMessageBytes)
      throw new PareError(
        `the model takes ${this.sizeBytes} bytes, and an ONNX file holds at most 2 GiB: write it to a path, with external data`,
        "usage",
      );
    const all = new Uint8Array(this.sizeBytes);
    let at = 0;
    for (const chunk of this.chunks) {
      all.set(chunk, at);
      at += chunk.length;
    }
    return all;
  }
}

/** Tag and length of a length-delimited field. */
function header(no: number, length: number): Uint8Array {
  const bytes: number[] = [];
  for (let value of [no * 8 + 2, length]) {
    for (; value > 127; value = Math.floor(value / 128)) bytes.push((value % 128) + 128);
    bytes.push(value);
  }
  return Uint8Array.from(bytes);
}
