/** A training that is killed and resumed ends in the same bytes; what is no checkpoint of this training is refused. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { Random } from "../dist/data/random.js";
import { toBytes } from "../dist/graph/encode.js";
import { train } from "../dist/train/train.js";
import { quadrants, smallNet } from "./support/small-training.js";

const child = fileURLToPath(new URL("./support/resume-child.js", import.meta.url));
let folder = "";
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "pare-resume-"));
});
after(() => rm(folder, { recursive: true }));

/** Runs the child; kills it hard once it has printed `killAt` steps. Returns the first and last step it printed. */
function run(
  args: readonly string[],
  killAt = Number.POSITIVE_INFINITY,
): Promise<{ first: number; last: number; code: number | null }> {
  return new Promise((resolve, reject) => {
    const process_ = spawn(process.execPath, [child, ...args], { stdio: ["ignore", "pipe", "inherit"] });
    const steps: number[] = [];
    process_.stdout.setEncoding("utf8").on("data", (text: string) => {
      steps.push(...text.trim().split("\n").map(Number));
      if (steps.length >= killAt) process_.kill("SIGKILL");
    });
    process_.on("error", reject);
    process_.on("close", (code) => resolve({ first: steps[0] ?? 0, last: steps.at(-1) ?? 0, code }));
  });
}

test("kill -9 at random moments, then resume, with other numbers of workers: the same bytes", async () => {
  const whole = join(folder, "whole.onnx");
  assert.equal((await run([join(folder, "unused"), "1000", "1", whole])).code, 0);
  const wanted = await readFile(whole);
  const random = new Random(Date.now() % 1e6);
  const path = join(folder, "run.checkpoint");
  const result = join(folder, "resumed.onnx");
  let reached = 0;
  for (let k = 0; k < 3; k++) {
    const { first, last, code } = await run([path, "0", String(1 + (k % 2)), result], 2 + random.below(5));
    assert.equal(code, null, "killed");
    assert.ok(first > reached - 1 && (k === 0 || first > 1), `went on at step ${first} after reaching ${reached}`);
    reached = last;
  }
  assert.equal((await run([path, "0", "2", result])).code, 0);
  assert.deepEqual(await readFile(result), wanted);
  assert.deepEqual(
    (await readdir(folder)).filter((f) => f.endsWith(".tmp")),
    [],
    "no temporary files are left",
  );
});

test("a damaged checkpoint, one of another training and one of another kind are refused", async () => {
  const path = join(folder, "other.checkpoint");
  const stop = new AbortController();
  const options = { data: quadrants(96), epochs: 3, batchSize: 48, checkpoint: { path, everySeconds: 1000 } };
  const onProgress = ({ step }: { step: number }): void => {
    if (step === 2) stop.abort(new Error("stopped"));
  };
  await assert.rejects(train(smallNet(), { ...options, signal: stop.signal, onProgress }), /stopped/);
  const good = await readFile(path);
  await assert.rejects(train(smallNet(), { ...options, seed: 1 }), /belongs to another training \(seed differ\)/);
  await assert.rejects(train(smallNet(2), options), /belongs to another training \(start differ\)/);
  for (const k of [60, good.length - 5]) {
    const bad = Uint8Array.from(good);
    bad[k]! ^= 1;
    await writeFile(path, bad);
    await assert.rejects(train(smallNet(), options), /is damaged: delete it/);
  }
  await writeFile(path, good.subarray(0, good.length / 2));
  await assert.rejects(train(smallNet(), options), /is damaged/);
  await writeFile(path, "hello");
  await assert.rejects(train(smallNet(), options), /is no checkpoint/);
  await writeFile(path, good);
  const resumed = await train(smallNet(), options);
  const { checkpoint: _, ...plain } = options;
  assert.deepEqual(
    toBytes(resumed.graph),
    toBytes((await train(smallNet(), plain)).graph),
    "an abort saves where it stopped",
  );
  assert.equal(resumed.history.length, 3);
});

test("an abort during validation saves too: no step is done again, and the bytes are the same", async () => {
  const path = join(folder, "validating.checkpoint");
  const validation = quadrants(600, 9);
  const plain = { data: quadrants(96), validation, epochs: 2, batchSize: 48 };
  const options = { ...plain, checkpoint: { path, everySeconds: 1000 } };
  const stop = new AbortController();
  const stopping: typeof validation = {
    ...validation,
    batch: (indices) => {
      stop.abort(new Error("stopped"));
      return validation.batch(indices);
    },
  };
  await assert.rejects(train(smallNet(), { ...options, validation: stopping, signal: stop.signal }), /stopped/);
  const steps: number[] = [];
  const resumed = await train(smallNet(), { ...options, onProgress: ({ step }) => void steps.push(step) });
  assert.deepEqual(steps, [3, 4]);
  assert.deepEqual(toBytes(resumed.graph), toBytes((await train(smallNet(), plain)).graph));
});
