/** The state of a training run to a file and back: the file is whole and checked, or not there. */
import { createHash } from "node:crypto";
import { readdir, readFile, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { PareError } from "../graph/error.js";
import { save } from "../graph/file-save.js";
import type { RunState } from "./state.js";

// Layout: magic, sha-256 of the rest, length of the JSON head (uint32 LE), head, arrays one after another (little-endian).
const magic = new TextEncoder().encode("PARE-CKPT-1\n");
const hashBytes = 32;
// JSON has no NaN; the metrics of data without labels do.
const nan = "not a number";

interface Head {
  readonly state: Omit<RunState, "arrays">;
  readonly arrays: readonly { readonly name: string; readonly type: "f32" | "u8"; readonly length: number }[];
}

/** Writes `state` under its final name in one rename. Throws PareError where the disk refuses; the old file then still stands. */
export async function saveCheckpoint(path: string, state: RunState): Promise<void> {
  const { arrays, ...rest } = state;
  const entries = [...arrays];
  const head: Head = {
    state: rest,
    arrays: entries.map(([name, a]) => ({ name, type: a instanceof Float32Array ? "f32" : "u8", length: a.length })),
  };
  const text = new TextEncoder().encode(JSON.stringify(head, (_, v) => (Number.isNaN(v) ? nan : v)));
  const body = [
    Uint8Array.from(new Uint8Array(Uint32Array.of(text.length).buffer)),
    text,
    ...entries.map(([, a]) => bytesOf(a)),
  ];
  const hash = createHash("sha256");
  for (const part of body) hash.update(part);
  await save(path, [magic, hash.digest(), ...body]);
}

/** The state at `path`; null where there is no file. Throws PareError for a file that is damaged or no checkpoint. */
export async function loadCheckpoint(path: string): Promise<RunState | null> {
  await removeLeftovers(path);
  let file: Uint8Array;
  try {
    // A Buffer's slice would not copy.
    file = new Uint8Array(await readFile(path));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw new PareError(`cannot read the checkpoint ${path}: ${(error as Error).message}`, "input", { cause: error });
  }
  const wrong = (why: string): PareError =>
    new PareError(`${path} ${why}: delete it to start the training anew, or name another file`);
  const start = magic.length + hashBytes;
  if (file.length < start + 4 || !magic.every((b, i) => file[i] === b)) throw wrong("is no checkpoint of this version");
  const body = file.subarray(start);
  const hash = createHash("sha256").update(body).digest();
  if (!hash.every((b, i) => file[magic.length + i] === b)) throw wrong("is damaged");
  const length = new DataView(body.buffer, body.byteOffset).getUint32(0, true);
  const head = JSON.parse(new TextDecoder().decode(body.subarray(4, 4 + length)), (_, v) =>
    v === nan ? Number.NaN : v,
  ) as Head;
  const arrays = new Map<string, Float32Array | Uint8Array>();
  let at = 4 + length;
  for (const { name, type, length: n } of head.arrays) {
    const bytes = body.slice(at, (at += type === "f32" ? 4 * n : n));
    arrays.set(name, type === "f32" ? new Float32Array(bytes.buffer) : bytes);
  }
  return { ...head.state, arrays };
}

const bytesOf = (a: Float32Array | Uint8Array): Uint8Array => new Uint8Array(a.buffer, a.byteOffset, a.byteLength);

/** A killed write leaves a temporary file beside the checkpoint; the run that owns the name clears it away. */
async function removeLeftovers(path: string): Promise<void> {
  const folder = dirname(path);
  const names = await readdir(folder).catch(() => []);
  for (const name of names)
    if (name.startsWith(`.${basename(path)}.`) && name.endsWith(".tmp")) await rm(join(folder, name), { force: true });
}
