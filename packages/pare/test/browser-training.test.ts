/** LeNet-5 learns MNIST in Chromium with onnxruntime-web, step for step as in Node. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join, normalize } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import { openSplits } from "../dist/data/open.js";
import type { Engine } from "../dist/engine/engine.js";
import { ortNode } from "../dist/engine/ort-node.js";
import { network } from "../dist/methods/architecture/networks.js";
import { train } from "../dist/train/train.js";

const root = fileURLToPath(new URL("../../../", import.meta.url));
const types: Record<string, string> = {
  ".js": "text/javascript",
  ".mjs": "text/javascript",
  ".wasm": "application/wasm",
  ".html": "text/html",
};

/** 600 digits as the page gets them: pixels, then labels. */
async function digits(): Promise<Uint8Array> {
  const { train: data } = await openSplits("mnist", { limit: 600, only: ["train"] });
  const { inputs, labels } = data.batch(Uint32Array.from({ length: 600 }, (_, i) => i));
  const pixels = Uint8Array.from(inputs[0]!.data as Float32Array, (v) => Math.round(v * 255));
  return Uint8Array.from([...pixels, ...labels!]);
}

const page = `<!doctype html><title>training</title>
<script type="importmap">{"imports":{
  "@bufbuild/protobuf":"/node_modules/@bufbuild/protobuf/dist/esm/index.js",
  "@bufbuild/protobuf/":"/node_modules/@bufbuild/protobuf/dist/esm/",
  "@bufbuild/protobuf/codegenv2":"/node_modules/@bufbuild/protobuf/dist/esm/codegenv2/index.js",
  "onnxruntime-web":"/node_modules/onnxruntime-web/dist/ort.wasm.bundle.min.mjs"}}</script>
<script type="module">
  import { fromArrays } from "/packages/pare/dist/data/from-table.js";
  import { network } from "/packages/pare/dist/methods/architecture/networks.js";
  import { evaluate } from "/packages/pare/dist/train/evaluate.js";
  import { train } from "/packages/pare/dist/train/train.js";
  window.run = async (recipe) => {
    const bytes = new Uint8Array(await (await fetch("/digits")).arrayBuffer());
    const data = fromArrays({ x: bytes.subarray(0, 600 * 784), dims: [1, 28, 28], y: bytes.subarray(600 * 784), classes: 10 });
    const losses = [];
    let sum = 0;
    const onProgress = ({ epoch, loss }) => (losses[epoch] = loss);
    const graph = network("lenet-5", { seed: 1 });
    const before = await evaluate(graph, data);
    const trained = await train(graph, { ...recipe, data, onProgress });
    const after = await evaluate(trained.graph, data);
    return { losses, before, after };
  };
  window.ready = true;
</script>`;

async function serve(): Promise<Server> {
  const bytes = await digits();
  const server = createServer(async (request, response) => {
    const path = normalize(new URL(request.url!, "http://localhost").pathname);
    try {
      const known = path.startsWith("/packages/pare/dist/") || path.startsWith("/node_modules/");
      const body = path === "/" ? page : path === "/digits" ? bytes : known ? await readFile(join(root, path)) : null;
      if (body === null) throw new Error("not served");
      response.writeHead(200, {
        "content-type": types[path === "/" ? ".html" : extname(path)] ?? "application/octet-stream",
      });
      response.end(body);
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return server;
}

const executablePath = process.env.CHROMIUM || "/usr/bin/chromium";
const recipe = { epochs: 4, batchSize: 40, microBatch: 40, learningRate: 0.02, seed: 3 } as const;

test("LeNet-5 trains in Chromium; its losses are those of the plain graph in Node", { timeout: 180_000 }, async (t) => {
  if (!existsSync(executablePath)) return t.skip(`needs Chromium at ${executablePath} (set CHROMIUM to its path)`);
  const server = await serve();
  const browser = await chromium.launch({
    executablePath,
    args: ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"],
  });
  try {
    const tab = await browser.newPage();
    const problems: string[] = [];
    tab.on("pageerror", (e) => problems.push(e.message));
    tab.on("console", (m) => m.type() === "error" && !m.text().includes("404") && problems.push(m.text()));
    await tab.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
    await tab.waitForFunction("window.ready", undefined, { timeout: 20_000 }).catch(() => {
      throw new Error(`the page did not start: ${problems.join("; ")}`);
    });
    const call = `window.run(${JSON.stringify(recipe)})`;
    type Run = { losses: number[]; before: { error: number }; after: { error: number } };
    const { losses, before, after } = (await tab.evaluate(call)) as Run;
    t.diagnostic(
      `losses by epoch ${losses.map((l) => l.toFixed(3)).join(" ")}, error ${before.error} -> ${after.error}`,
    );
    assert.deepEqual(problems, []);
    assert.equal(losses.length, 4);
    assert.ok(losses[3]! < losses[0]! / 3, `losses ${losses}`);
    assert.ok(after.error < 0.1 && before.error > 0.7);

    const plain: Engine = { ...ortNode, load: (graph, options) => ortNode.load(graph, { ...options, blocked: false }) };
    const { train: data } = await openSplits("mnist", { limit: 600, only: ["train"] });
    const here: number[] = [];
    await train(network("lenet-5", { seed: 1 }), {
      ...recipe,
      data,
      engine: plain,
      onProgress: ({ epoch, loss }) => {
        here[epoch] = loss;
      },
    });
    // The same steps; rounding differs between the machines, and training amplifies it.
    assert.ok(Math.abs(here[0]! - losses[0]!) < 1e-3, `first epoch ${here[0]} in Node, ${losses[0]} in Chromium`);
    assert.ok(Math.abs(here[3]! - losses[3]!) < 5e-2);
  } finally {
    await browser.close();
    server.close();
  }
});
