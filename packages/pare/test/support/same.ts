/** Deep equality of things too large to print: failure names the first place where two values differ. */
import assert from "node:assert/strict";
import { isDeepStrictEqual } from "node:util";

/** Throws an AssertionError that names the path of a difference, such as `.nodes.3.attributes.value.bytes`. */
export function assertSame(actual: unknown, expected: unknown, what: string): void {
  if (!isDeepStrictEqual(actual, expected)) assert.fail(`${what}: differs at ${difference(actual, expected)}`);
}

function difference(a: unknown, b: unknown): string {
  const parts = (v: unknown): Map<unknown, unknown> | null =>
    v instanceof Map
      ? v
      : typeof v === "object" && v !== null && !ArrayBuffer.isView(v)
        ? new Map(Object.entries(v))
        : null;
  const [left, right] = [parts(a), parts(b)];
  if (left && right)
    for (const key of new Set([...left.keys(), ...right.keys()]))
      if (!isDeepStrictEqual(left.get(key), right.get(key)))
        return `.${String(key)}${difference(left.get(key), right.get(key))}`;
  return `: ${show(a)} instead of ${show(b)}`;
}
const show = (v: unknown): string => {
  if (ArrayBuffer.isView(v)) return `${v.constructor.name} of ${v.byteLength} bytes`;
  return String(typeof v === "object" ? JSON.stringify(v, (_, x) => (typeof x === "bigint" ? `${x}n` : x)) : v).slice(
    0,
    200,
  );
};
