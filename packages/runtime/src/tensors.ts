/** A tensor's contents, in both directions: the coding, then what it says. */
import type { BitCoder } from "./bit-coder.js";
import { type CodebookPlan, codebook } from "./codebook.js";
import { type DeepCompressionPlan, deepCompression } from "./deep-compression.js";
import type { Fields } from "./fields.js";
import { floats } from "./floats.js";
import { type Coding, codingBits, codings } from "./format.js";
import { byteLength, elementBits, elements, type Tensor } from "./model.js";
import type { Earlier } from "./plane.js";

/** What the writer decided; a reader finds it in the file. */
export type Plan =
  | CodebookPlan
  | DeepCompressionPlan
  | { readonly coding: Exclude<Coding, "codebook" | "deep-compression"> };

/** Work and memory that a tensor costs a reader beyond copying bytes that are in the file. */
export function unitsOf(t: Tensor, coding: Coding): number {
  const n = elements(t.dims);
  if (coding === "codebook" || coding === "floats") return n;
  if (coding === "deep-compression") return n / 16;
  return coding === "constant" ? byteLength(t.type, t.dims) / 64 : 0;
}

/** Codes the contents of `t`, whose type and dims are known; a reader fills in `t.bytes`. */
export function tensorContents(io: BitCoder, f: Fields, earlier: Earlier, t: Tensor, plan: Plan | null): void {
  const what = `tensor ${t.type} [${t.dims}]`;
  const size = byteLength(t.type, t.dims);
  if (!Number.isSafeInteger(size)) throw f.error(`${what} is beyond any file`);
  const coding = codings[f.choice("coding", codingBits, plan ? codings.indexOf(plan.coding) : 0)];
  if (coding) io.spend(unitsOf(t, coding), what);
  switch (coding) {
    case "raw": {
      // A copy: the file's bytes are neither aligned nor the tensor's own.
      const bytes = io.plain(size, t.bytes);
      if (io.reading) t.bytes = bytes.slice();
      return;
    }
    case "constant": {
      const unit = elementBits(t.type) / 8;
      if (unit < 1) throw f.error(`${what} cannot be constant-coded`);
      const element = f.bytes("constant", t.bytes.subarray(0, unit));
      if (!io.reading) return;
      if (element.length !== unit) throw f.error(`${what}: an element of ${element.length} bytes`);
      t.bytes = new Uint8Array(size);
      if (size) t.bytes.set(element);
      for (let done = unit; done < size; done *= 2) t.bytes.copyWithin(done, 0, Math.min(done, size - done));
      return;
    }
    case "codebook":
      codebook(io, f, earlier, t, plan?.coding === "codebook" ? plan : null, what);
      return;
    case "deep-compression":
      deepCompression(io, f, t, plan?.coding === "deep-compression" ? plan : null, what);
      return;
    case "floats":
      floats(io, f, t, what);
      return;
    case "strings": {
      const n = f.count("strings.count", t.strings?.length ?? 0, 0, 4);
      const out = Array.from({ length: n }, (_, i) => f.bytes("strings.bytes", t.strings?.[i] ?? new Uint8Array()));
      if (io.reading) t.strings = out;
      return;
    }
    default:
      throw f.error(`${what}: unknown coding`);
  }
}
