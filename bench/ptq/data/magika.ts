/** The first and last 2048 bytes of files of many types for Magika: 100 files calibrate, 300 others test. */
import { closeSync, fstatSync, openSync, readdirSync, readSync } from "node:fs";
import { extname, join } from "node:path";
import { root, shared } from "../sources/places.js";
import { each } from "../sources/samples.js";

const [part, padding] = [2048, 256];
const folders = () => [shared(""), ...["packages", "docs", "bench", "node_modules"].map((f) => join(root, f))];

/** In turn one file of every type there is, so that no type fills the list. */
function files(): string[] {
  const types = new Map<string, string[]>();
  const visit = (folder: string): void => {
    for (const entry of readdirSync(folder, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1))) {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) visit(path);
      else if (entry.isFile()) {
        const type = extname(entry.name).toLowerCase() || entry.name;
        types.set(type, [...(types.get(type) ?? []), path]);
      }
    }
  };
  for (const folder of folders()) visit(folder);
  const lists = [...types].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, list]) => list);
  const out: string[] = [];
  for (let turn = 0; out.length < 400; turn++) {
    const round = lists.flatMap((list) => list[turn] ?? []);
    if (!round.length) break;
    out.push(...round);
  }
  return out.slice(0, 400);
}

const white = (byte: number): boolean => byte === 32 || (byte >= 9 && byte <= 13);
function content(path: string): Int32Array {
  const file = openSync(path, "r");
  const { size } = fstatSync(file);
  const block = (at: number): Uint8Array => {
    const bytes = new Uint8Array(Math.min(4096, size));
    return bytes.subarray(0, readSync(file, bytes, 0, bytes.length, at));
  };
  const [head, tail] = [block(0), block(Math.max(0, size - 4096))];
  closeSync(file);
  const start = head.findIndex((b) => !white(b));
  const end = tail.findLastIndex((b) => !white(b)) + 1;
  const out = new Int32Array(2 * part).fill(padding);
  out.set(start < 0 ? [] : head.subarray(start, start + part));
  const last = tail.subarray(Math.max(0, end - part), end);
  out.set(last, 2 * part - last.length);
  return out;
}

const chosen = (calibrates: boolean) =>
  each(
    files().filter((_, i) => (i % 4 === 0) === calibrates),
    (file) => ({ x: { data: content(file), dims: [1, 2 * part] } }),
  );
export const train = () => chosen(true);
export const test = () => chosen(false);
