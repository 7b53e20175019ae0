/** Data of no fixed shape (what a model file says beyond the format's own fields), in both directions: JSON's kinds, bigint, undefined, bytes and maps. */
import type { Fields } from "./fields.js";

const tags = [
  "undefined",
  "null",
  "false",
  "true",
  "number",
  "bigint",
  "string",
  "bytes",
  "array",
  "object",
  "map",
] as const;
type Tag = (typeof tags)[number];
const maxDepth = 100;

function tagOf(value: unknown): Tag | null {
  if (value === undefined) return "undefined";
  if (value === null) return "null";
  if (typeof value === "boolean") return value ? "true" : "false";
  if (typeof value === "number" || typeof value === "bigint" || typeof value === "string") return typeof value as Tag;
  if (value instanceof Uint8Array) return "bytes";
  if (Array.isArray(value)) return "array";
  if (value instanceof Map) return "map";
  return typeof value === "object" && !ArrayBuffer.isView(value) ? "object" : null;
}

/** Codes `value`; objects by their own enumerable properties. Throws FormatError for what is not data. */
export function plainValue(f: Fields, value: unknown, depth = 0): unknown {
  if (depth > maxDepth) throw f.error(`data nested deeper than ${maxDepth}`);
  const known = tagOf(value);
  if (known === null) throw f.error(`not plain data: ${typeof value}`);
  const tag = tags[f.choice("plain.tag", 4, tags.indexOf(known), depth)];
  switch (tag) {
    case "undefined":
      return undefined;
    case "null":
      return null;
    case "false":
    case "true":
      return tag === "true";
    case "number":
      return f.float("plain.number", Number(value ?? 0));
    case "bigint":
      return BigInt(f.text("plain.bigint", String(value)) || 0);
    case "string":
      return f.word("plain.string", String(value));
    case "bytes":
      return f.bytes("plain.bytes", (value as Uint8Array | undefined) ?? new Uint8Array());
    case "array": {
      const items = (value as readonly unknown[] | undefined) ?? [];
      const n = f.count("plain.items", items.length);
      return Array.from({ length: n }, (_, i) => plainValue(f, items[i], depth + 1));
    }
    case "object": {
      const entries = Object.entries((value as Record<string, unknown> | undefined) ?? {});
      const n = f.count("plain.keys", entries.length);
      const out: Record<string, unknown> = {};
      for (let i = 0; i < n; i++) {
        const key = f.word("plain.key", entries[i]?.[0] ?? "");
        Object.defineProperty(out, key, {
          value: plainValue(f, entries[i]?.[1], depth + 1),
          enumerable: true,
          writable: true,
          configurable: true,
        });
      }
      return out;
    }
    case "map": {
      const entries = [...((value as ReadonlyMap<unknown, unknown> | undefined) ?? [])];
      const n = f.count("plain.keys", entries.length);
      const out = new Map<unknown, unknown>();
      for (let i = 0; i < n; i++)
        out.set(plainValue(f, entries[i]?.[0], depth + 1), plainValue(f, entries[i]?.[1], depth + 1));
      return out;
    }
    default:
      throw f.error("unknown tag");
  }
}
