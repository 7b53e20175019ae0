/** A packed file is read in a worker that has nothing of Node, by the runtime package alone. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Worker } from "node:worker_threads";
import { fromBytes } from "../dist/graph/decode.js";
import { pack, unpack } from "../dist/pack/pack.js";
import { handMadeModels, sparseWeights } from "./support/hand-made.js";
import { assertSame } from "./support/same.js";

const runtime = new URL("../../runtime/dist/index.js", import.meta.url).href;
const program = `
  import { parentPort, workerData } from "node:worker_threads";
  import { decode } from "${runtime}";
  for (const name of ["process", "Buffer", "global", "setImmediate", "clearImmediate", "fetch"]) delete globalThis[name];
  parentPort.postMessage(workerData.map((bytes) => decode(bytes)));
`;

test("a worker without Node's globals decodes what Node packed", async () => {
  const files = [...Object.values(handMadeModels()).map(fromBytes), sparseWeights()].map((g) => pack(g));
  const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(program)}`), { workerData: files });
  const decoded = await new Promise((resolve, reject) => worker.on("message", resolve).on("error", reject));
  await worker.terminate();
  assert.equal((decoded as unknown[]).length, files.length);
  assertSame(decoded, structuredClone(files.map(unpack)), "decoded");
});
