/** Recordings: 16-bit WAV files come in, samples in -1..1 at 16 kHz go out, with the hand-made labels of audio/tenvad. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { shared } from "./places.js";

export interface Recorded {
  readonly name: string;
  readonly samples: Float32Array;
  /** Start and end in seconds of what is speech. */
  readonly speech: readonly (readonly [number, number])[];
}

/** Mono 16-bit PCM at 16 kHz. Throws for anything else. */
export function readWav(path: string): Float32Array {
  const bytes = readFileSync(path);
  for (let at = 12; at + 8 <= bytes.length; ) {
    const [id, size] = [bytes.toString("latin1", at, at + 4), bytes.readUInt32LE(at + 4)];
    const start = at + 8;
    if (id === "fmt " && (bytes.readUInt16LE(start + 2) !== 1 || bytes.readUInt32LE(start + 4) !== 16000))
      throw new Error(`${path}: expected one channel at 16 kHz`);
    if (id === "data") {
      const count = Math.min(size, bytes.length - start) >> 1;
      return Float32Array.from({ length: count }, (_, i) => bytes.readInt16LE(start + 2 * i) / 32768);
    }
    at = start + size + (size & 1);
  }
  throw new Error(`${path}: no data`);
}

/** The 15 recordings of audio/tenvad: the first five calibrate. */
export function recordings(): Recorded[] {
  const folder = shared("audio/tenvad");
  return readdirSync(folder)
    .filter((f) => f.endsWith(".wav"))
    .sort()
    .map((file) => {
      const [, ...fields] = readFileSync(join(folder, file.replace(/wav$/, "scv")), "utf8")
        .trim()
        .split(",");
      const speech: [number, number][] = [];
      for (let i = 0; i + 2 < fields.length; i += 3)
        if (fields[i + 2] === "1") speech.push([Number(fields[i]), Number(fields[i + 1])]);
      return { name: file, samples: readWav(join(folder, file)), speech };
    });
}
export const calibrationRecordings = 5;
