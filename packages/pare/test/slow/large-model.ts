/**
 * `npm run test:large`: a model of 3 GiB, one of its tensors past 2 GiB, is written with external data without being asked, read back, and
 * run by onnxruntime; neither writer nor reader holds the weights twice. Needs 3 GiB of disk under the system's temporary folder and 4 GiB of memory.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { node } from "../../dist/graph/emit.js";
import { toBytes } from "../../dist/graph/encode.js";
import { read, write } from "../../dist/graph/file.js";
import { emptyGraph } from "../../dist/graph/graph.js";
import { ortOutputs, ortTensor } from "../support/ort-outputs.js";

const MiB = 2 ** 20;
/** Rows of 1 MiB: one tensor past 2 GiB, two of 512 MiB. */
const tensors = { large: 2049, left: 512, right: 512 } as const;
const totalBytes = Object.values(tensors).reduce((sum, rows) => sum + rows * MiB, 0);
const mark = (name: string, row: number): number => (name.length * 31 + row * 7) & 255;

/** Picks row `i` of each tensor: an index is all the input there is. */
function model() {
  const graph = emptyGraph("large", 17);
  graph.irVersion = 8;
  graph.inputs.push({ name: "i", type: "int64", shape: [1] });
  for (const [name, rows] of Object.entries(tensors)) {
    const bytes = new Uint8Array(rows * MiB);
    for (let row = 0; row < rows; row++) bytes.fill(mark(name, row), row * MiB, (row + 1) * MiB);
    graph.initializers.set(name, { type: "uint8", dims: [rows, MiB], bytes });
    graph.nodes.push(node("Gather", [name, "i"], [`row of ${name}`]));
    graph.outputs.push({ name: `row of ${name}`, type: "uint8", shape: [1, MiB] });
  }
  return graph;
}

/** The most memory that this process has had, in bytes. */
const peak = (): number => process.resourceUsage().maxRSS * 1024;
const assertPeak = (what: string): void => {
  const overhead = peak() - totalBytes;
  console.log(`${what}: ${(overhead / MiB).toFixed(0)} MiB beside ${(totalBytes / MiB).toFixed(0)} MiB of weights`);
  assert.ok(overhead < 400 * MiB, "the weights were held twice, at least in part");
};

const steps: Record<string, (path: string) => Promise<void>> = {
  write: async (path) => {
    const graph = model();
    assert.throws(() => toBytes(graph), /at most 2 GiB: write it to a path, with external data/);
    await write(graph, path);
    assertPeak("written");
  },
  read: async (path) => {
    const graph = await read(path);
    for (const [name, rows] of Object.entries(tensors)) {
      const { bytes } = graph.initializers.get(name)!;
      assert.equal(bytes.length, rows * MiB);
      for (let row = 0; row < rows; row++)
        for (const at of [0, MiB / 2, MiB - 1]) assert.equal(bytes[row * MiB + at], mark(name, row));
    }
    assertPeak("read");
  },
  run: async (path) => {
    const i = ortTensor({ type: "int64", dims: [1], bytes: new Uint8Array(BigInt64Array.of(500n).buffer) });
    for (const [name, row] of Object.entries(await ortOutputs(path, { i }, "disabled")))
      assert.equal((row.bits as Uint8Array)[12345], mark(name.slice("row of ".length), 500));
    console.log("onnxruntime finds the same rows");
  },
};

const [step, path] = process.argv.slice(2);
if (step && path) await steps[step]!(path);
else {
  const folder = mkdtempSync(join(tmpdir(), "pare-large-"));
  try {
    for (const name of Object.keys(steps)) {
      const args = [fileURLToPath(import.meta.url), name, join(folder, "large.onnx")];
      const { status } = spawnSync(process.execPath, args, { stdio: "inherit" });
      if (status !== 0) process.exitCode = 1;
      if (status !== 0) break;
    }
    for (const f of readdirSync(folder)) console.log(f, statSync(join(folder, f)).size);
  } finally {
    rmSync(folder, { recursive: true });
  }
}
