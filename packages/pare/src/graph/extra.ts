/** What a message says beyond the fields that the Graph has a place for: kept when reading, put back when writing. */
import type { Message } from "@bufbuild/protobuf";
import type { TypeProto } from "./generated/onnx_pb.js";

export type Rest<M extends Message> = Partial<Omit<M, "$typeName">>;

const says = (value: unknown): boolean => {
  if (value === undefined) return false;
  if (Array.isArray(value)) return value.length > 0;
  if (typeof value === "object" && value !== null && "case" in value) return value.case !== undefined;
  return true;
};

/** The set fields of a message that are not in `taken` (unknown fields included); undefined where there are none. */
export function rest<M extends Message>(message: M, taken: readonly (keyof M & string)[]): Rest<M> | undefined {
  let kept: Record<string, unknown> | undefined;
  for (const [key, value] of Object.entries(message)) {
    if (key === "$typeName" || (taken as readonly string[]).includes(key) || !says(value)) continue;
    kept ??= {};
    kept[key] = value;
  }
  return kept as Rest<M> | undefined;
}

/** For object literals: `{ ...extra(rest(...)) }` sets `extra` only where there is something to keep. */
export const extra = <T>(kept: T | undefined): { extra?: T } => (kept === undefined ? {} : { extra: kept });

/** Whether a type says more than element type and shape: denotations, unknown fields. */
export function typeSaysMore(type: TypeProto): boolean {
  if (type.$unknown?.length || Object.hasOwn(type, "denotation")) return true;
  if (type.value.case !== "tensorType") return false;
  const { shape, $unknown } = type.value.value;
  if ($unknown?.length || shape?.$unknown?.length) return true;
  return shape?.dim.some((d) => d.$unknown?.length || Object.hasOwn(d, "denotation")) ?? false;
}
