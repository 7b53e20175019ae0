/** A good ONNX model -> one that is well-formed as a file and wrong as a model: names, shapes, kinds, attributes changed at random. */
import type { Message } from "@bufbuild/protobuf";
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { ModelProtoSchema } from "../../dist/graph/generated/onnx_pb.js";
import type { Random } from "./mutate.js";

const below = (random: Random, n: number): number => Math.floor(random() * n);
const pick = <T>(random: Random, list: readonly T[]): T => list[below(random, list.length)]!;

interface Leaf {
  readonly holder: Record<string | number, unknown>;
  readonly key: string | number;
}

/** Every place of a message that holds something, and the strings that occur. */
function leavesOf(message: object, leaves: Leaf[], names: Set<string>): void {
  for (const [key, value] of Object.entries(message)) {
    if (key.startsWith("$")) continue;
    const holder = message as Record<string, unknown>;
    if (typeof value === "string" && value !== "") names.add(value);
    if (value !== undefined) leaves.push({ holder, key });
    if (typeof value === "object" && value !== null && !ArrayBuffer.isView(value)) leavesOf(value, leaves, names);
  }
}

const integers = [0n, 1n, -1n, 2n, 7n, 2n ** 31n, 2n ** 40n, 2n ** 53n, 2n ** 62n, -(2n ** 63n), 2n ** 63n - 1n];

/** Changes in place; lists lose, repeat or exchange elements. */
function change({ holder, key }: Leaf, names: readonly string[], random: Random): void {
  const value = holder[key];
  if (typeof value === "string") holder[key] = random() < 0.8 ? pick(random, names) : "";
  else if (typeof value === "bigint") holder[key] = pick(random, integers);
  else if (typeof value === "number") holder[key] = below(random, 30);
  else if (value instanceof Uint8Array) holder[key] = value.subarray(0, below(random, value.length + 1));
  else if (Array.isArray(value) && value.length > 0) {
    const i = below(random, value.length);
    const kind = below(random, 4);
    if (kind === 0) value.splice(i, 1);
    else if (kind === 1) value.push(value[i]);
    else if (kind === 2) value.reverse();
    else value.splice(i, 0, value[below(random, value.length)]);
  } else if (typeof value === "object" && value !== null && "$typeName" in value && random() < 0.3) delete holder[key];
}

/** Puts a body inside itself, as deep as `depth`. */
function nest(model: { graph?: { node: { attribute: { g?: Message }[] }[] } }, depth: number): void {
  const holder = model.graph?.node.flatMap((n) => n.attribute).find((a) => a.g);
  if (!holder?.g) return;
  for (let i = 0; i < depth; i++) {
    const inner = (holder.g as unknown as { node: { attribute: { g?: Message }[] }[] }).node;
    const first = inner[0];
    if (!first) return;
    holder.g = {
      ...holder.g,
      node: [{ ...first, attribute: [{ ...holder }] }, ...inner.slice(1)],
    } as unknown as Message;
  }
}

/** A damaged copy of a model's bytes; the bytes themselves where they are no model. */
export function mutateModel(bytes: Uint8Array, random: Random): Uint8Array {
  try {
    const model = fromBinary(ModelProtoSchema, bytes.slice());
    const leaves: Leaf[] = [];
    const names = new Set<string>();
    leavesOf(model, leaves, names);
    for (let i = below(random, 5); i >= 0; i--) change(pick(random, leaves), [...names], random);
    if (random() < 0.05) nest(model as unknown as Parameters<typeof nest>[0], below(random, 40));
    return toBinary(ModelProtoSchema, model);
  } catch {
    return bytes;
  }
}
