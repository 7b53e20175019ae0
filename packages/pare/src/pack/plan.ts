/** A tensor -> the coding that takes the fewest bytes. */

import type { Plan, Tensor } from "@pare/runtime/writer";
import { entriesOf, Fields, tensorContents } from "@pare/runtime/writer";
import type { PackOptions } from "./pack.js";
import { BitCounter } from "./range-encoder.js";

export function planOf(t: Tensor, _options: PackOptions): Plan {
  if (t.type === "string") return { coding: "strings" };
  const entries = entriesOf(t);
  if (entries?.count === 1) return { coding: "constant" };
  if (!entries) return { coding: "raw" };
  const counter = new BitCounter();
  tensorContents(counter, new Fields(counter), t, { coding: "codebook" });
  return { coding: counter.bits < t.bytes.length * 8 ? "codebook" : "raw" };
}
