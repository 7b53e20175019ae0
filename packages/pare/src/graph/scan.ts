/** Walks a protobuf file before any of it becomes objects: every length inside its parent, every wire type as declared, depth and memory bounded. */
import type { DescField, DescMessage } from "@bufbuild/protobuf";
import { ScalarType } from "@bufbuild/protobuf";
import { PareError } from "./error.js";

/** Control flow nests three messages a level: 32 levels of bodies. */
const maxDepth = 100;
/** What the objects of a file may take on the heap, weights aside (they stay bytes). */
const maxObjectBytes = 2 ** 30;
/** Estimates, measured: a message with its empty lists and what the Graph makes of it; an entry of a list or an unknown field. */
const messageBytes = 700;
const entryBytes = 48;
const unknownBytes = 160;

interface Field {
  readonly name: string;
  /** Wire type of one element. */
  readonly wire: number;
  readonly list: boolean;
  readonly message: DescMessage | null;
}
const fieldsOf = new WeakMap<DescMessage, Map<number, Field>>();

function wireOf(field: DescField): number {
  const scalar = field.fieldKind === "list" && field.listKind === "scalar" ? field.scalar : null;
  switch (field.fieldKind === "scalar" ? field.scalar : scalar) {
    case ScalarType.FLOAT:
      return 5;
    case ScalarType.DOUBLE:
      return 1;
    case ScalarType.STRING:
    case ScalarType.BYTES:
      return 2;
    default:
      return field.message ? 2 : 0;
  }
}

function fields(desc: DescMessage): Map<number, Field> {
  let known = fieldsOf.get(desc);
  if (!known) {
    known = new Map(
      desc.fields.map((f) => [
        f.number,
        { name: f.name, wire: wireOf(f), list: f.fieldKind === "list", message: f.message ?? null },
      ]),
    );
    fieldsOf.set(desc, known);
  }
  return known;
}

/** Throws PareError with the byte and the path of the first thing that is wrong. Time: linear in the bytes outside weights. */
export function scan(desc: DescMessage, bytes: Uint8Array): void {
  let at = 0;
  let cost = 0;
  const path: string[] = [];
  const fail = (what: string, where = at): never => {
    const inside = path.length ? `, in ${path.join(".")}` : "";
    throw new PareError(`not a readable ONNX model: byte ${where}${inside}: ${what}`);
  };
  const spend = (amount: number) => {
    if ((cost += amount) > maxObjectBytes) fail("the file holds more small parts than 1 GiB of memory could");
  };
  /** A varint as a number; exact below 2^53, which is all that tags and lengths may be. */
  const varint = (end: number): number => {
    let value = 0;
    let scale = 1;
    for (let i = 0; i < 10; i++) {
      if (at >= end)
        fail(end === bytes.length ? "the file ends inside a number" : "a number passes the end of its part");
      const byte = bytes[at++]!;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
      scale *= 128;
    }
    return fail("a number longer than 10 bytes");
  };
  const packed = (wire: number, start: number, end: number) => {
    if (wire !== 0) {
      const width = wire === 5 ? 4 : 8;
      if ((end - start) % width !== 0) fail(`${end - start} bytes are no whole number of ${width}-byte elements`);
      return spend(((end - start) / width) * entryBytes);
    }
    while (at < end) {
      varint(end);
      spend(entryBytes);
    }
  };
  const message = (type: DescMessage, end: number, depth: number): void => {
    if (depth > maxDepth) fail(`parts are nested deeper than ${maxDepth}: the file was made to exhaust its reader`);
    spend(messageBytes);
    const known = fields(type);
    const counts = new Map<number, number>();
    while (at < end) {
      const start = at;
      const tag = varint(end);
      const [no, wire] = [Math.floor(tag / 8), tag % 8];
      if (no < 1 || no > 0x1fffffff) fail(`field number ${no} does not exist`, start);
      const field = known.get(no);
      if (wire !== 0 && wire !== 1 && wire !== 2 && wire !== 5) fail(`wire type ${wire} does not occur in ONNX`, start);
      if (!field) spend(unknownBytes);
      const isPacked = field?.list && wire === 2 && field.wire !== 2;
      if (field && wire !== field.wire && !isPacked)
        fail(`${field.name} of wire type ${wire} instead of ${field.wire}`, start);
      if (field?.list) spend(entryBytes);
      const size = wire === 0 ? 0 : wire === 1 ? 8 : wire === 5 ? 4 : varint(end);
      const stop = at + size;
      if (stop > end)
        fail(`${field?.name ?? `field ${no}`} of ${size} bytes passes the end of its part at byte ${end}`, start);
      if (wire === 0) varint(end);
      else if (field?.message) {
        const index = counts.get(no) ?? 0;
        counts.set(no, index + 1);
        path.push(field.list ? `${field.name}[${index}]` : field.name);
        message(field.message, stop, depth + 1);
        path.pop();
      } else if (field && isPacked) packed(field.wire, at, stop);
      if (wire !== 0) at = stop;
    }
  };
  message(desc, bytes.length, 1);
}
