/** A node and one of its constant inputs -> how finely that constant's scales may differ without leaving the sum. */
import { isNumber, type Pattern, signature } from "../analyze/signature.js";
import type { Site } from "../ops/record.js";
import { isNone } from "../ops/record.js";
import { recordOf } from "../ops/registry.js";
import type { Grid } from "./plan.js";

/**
 * Read off the record's `axes`: the axis that the output keeps and the data lack (output channels of a convolution, n of a product). Where
 * several are such (directions and gates of an LSTM) every row along the last axis has a scale. A table that data index has one per entry.
 */
export function finestLayout(s: Site, i: number): Pick<Grid, "axis" | "block"> {
  const whole = { axis: null, block: null };
  const dims = s.x[i]?.shape ?? [];
  const terms = termsOf(s);
  const own = terms?.inputs[i];
  if (!terms || !own) return whole;
  const kept = lettersOf(terms.outputs[0]);
  const data = i === 0 ? new Set<string>() : lettersOf(terms.inputs[0]);
  const letters = own.map((p) => lettersOf([p]));
  if (i === 0) {
    const indexed = letters.findIndex((names) => [...names].some((name) => !kept.has(name)));
    return indexed < 0 ? whole : { axis: indexed, block: null };
  }
  const free = letters.flatMap((names, d) =>
    [...names].every((name) => kept.has(name)) && [...names].some((name) => !data.has(name)) ? [d] : [],
  );
  if (free.length === 1) return { axis: free[0]!, block: null };
  const last = dims.length - 1;
  return free.length > 1 && typeof dims[last] === "number" ? { axis: last, block: dims[last] } : whole;
}

function termsOf(s: Site) {
  const axes = recordOf(s.node)?.axes;
  const found = typeof axes === "function" ? axes(s) : axes;
  const text = typeof found === "string" ? found : found && !isNone(found) && "text" in found ? found.text : null;
  const ranks = (types: Site["x"]) => types.map((v) => v?.shape?.length ?? null);
  return text === null ? null : signature(text, ranks(s.x), ranks(s.y));
}
const lettersOf = (terms: readonly Pattern[] | null | undefined): Set<string> =>
  new Set((terms ?? []).flatMap((p) => p.letters.filter((l) => !isNumber(l)).map((l) => l.name)));
