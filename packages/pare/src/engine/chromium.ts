/** onnxruntime-web in a real Chromium, driven from Node: what runs there is known by running it there. */
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import { createRequire } from "node:module";
import type { AddressInfo } from "node:net";
import { dirname, extname, join, normalize } from "node:path";
import { toBytes } from "../graph/encode.js";
import { PareError } from "../graph/error.js";
import type { ElementType } from "../graph/graph.js";
import { arrays } from "./arrays.js";
import type { Engine, NDArray, Session } from "./engine.js";

export interface BrowserEngine extends Engine {
  /** Ends the browser. */
  close(): Promise<void>;
}
export type WebProvider = "wasm" | "webgpu";

/** What is used of playwright-core, which is no dependency: the package is loaded where it is there. */
interface Page {
  goto(url: string): Promise<unknown>;
  evaluate(code: string): Promise<unknown>;
  waitForFunction(code: string, arg: undefined, options: { timeout: number }): Promise<unknown>;
}
interface Browser {
  newPage(): Promise<Page>;
  close(): Promise<void>;
}
interface Playwright {
  readonly chromium: {
    launch(options: { executablePath: string; args: readonly string[]; timeout: number }): Promise<Browser>;
  };
}

/** An array as JSON carries it. */
interface Wire {
  readonly type: ElementType;
  readonly dims: readonly number[];
  readonly base64: string;
}

const bundles: Readonly<Record<WebProvider, string>> = {
  wasm: "ort.wasm.bundle.min.mjs",
  webgpu: "ort.webgpu.bundle.min.mjs",
};
const flags = ["--headless", "--no-sandbox", "--no-first-run", "--disable-background-networking"];
const gpuFlags: Readonly<Record<WebProvider, readonly string[]>> = {
  wasm: ["--disable-gpu"],
  // A software adapter where there is no graphics card: slow, and the same programs.
  webgpu: [
    "--enable-unsafe-webgpu",
    "--enable-features=Vulkan",
    "--use-webgpu-adapter=swiftshader",
    "--use-vulkan=swiftshader",
  ],
};

const page = (provider: WebProvider) => `<!doctype html><title>onnxruntime-web</title><script type="module">
  import * as ort from "/ort/${bundles[provider]}";
  ort.env.wasm.numThreads = 1;
  ort.env.logLevel = "fatal";
  const sessions = new Map();
  const bytesOf = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const textOf = (bytes) => {
    let text = "";
    for (let i = 0; i < bytes.length; i += 8192) text += String.fromCharCode(...bytes.subarray(i, i + 8192));
    return btoa(text);
  };
  const types = { float32: Float32Array, float64: Float64Array, int8: Int8Array, uint8: Uint8Array, bool: Uint8Array, int16: Int16Array,
    uint16: Uint16Array, int32: Int32Array, uint32: Uint32Array, int64: BigInt64Array, uint64: BigUint64Array,
    float16: globalThis.Float16Array ?? Uint16Array };
  window.load = async (id, optimize) => {
    if (${provider === "webgpu"} && !(await navigator.gpu?.requestAdapter())) throw new Error("this Chromium finds no WebGPU adapter");
    const model = new Uint8Array(await (await fetch("/model/" + id)).arrayBuffer());
    const options = { executionProviders: ["${provider}"], graphOptimizationLevel: optimize, logSeverityLevel: 4 };
    sessions.set(id, await ort.InferenceSession.create(model, options));
  };
  window.run = async (id, feeds, fetches) => {
    const tensors = {};
    for (const [name, { type, dims, base64 }] of Object.entries(feeds))
      tensors[name] = new ort.Tensor(type, new types[type](bytesOf(base64).buffer), dims);
    const outputs = await sessions.get(id).run(tensors, fetches);
    const out = {};
    for (const [name, t] of Object.entries(outputs)) {
      const data = await t.getData();
      out[name] = { type: t.type, dims: [...t.dims], base64: textOf(new Uint8Array(data.buffer, data.byteOffset, data.byteLength)) };
    }
    return out;
  };
  window.drop = async (id) => { await sessions.get(id).release(); sessions.delete(id); };
  window.ready = true;
</script>`;

const contentTypes: Readonly<Record<string, string>> = {
  ".mjs": "text/javascript",
  ".js": "text/javascript",
  ".wasm": "application/wasm",
};

/** Starts Chromium (at $CHROMIUM, or /usr/bin/chromium) with onnxruntime-web on one provider. Throws PareError that says what is missing. */
export async function openChromium(provider: WebProvider): Promise<BrowserEngine> {
  const executablePath = process.env.CHROMIUM || "/usr/bin/chromium";
  if (!existsSync(executablePath)) throw missing(`Chromium at ${executablePath} (set CHROMIUM to its path)`);
  const { chromium } = await playwright();
  const models = new Map<string, Uint8Array>();
  const server = await serve(distOf(), page(provider), models);
  let browser: Browser | null = null;
  try {
    browser = await chromium.launch({ executablePath, args: [...flags, ...gpuFlags[provider]], timeout: 60_000 });
    const tab = await browser.newPage();
    await tab.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
    await tab.waitForFunction("window.ready", undefined, { timeout: 60_000 });
    return engineOf(tab, models, async () => {
      await browser?.close();
      server.close();
    });
  } catch (cause) {
    await browser?.close();
    server.close();
    throw new PareError(`Chromium did not start with onnxruntime-web: ${words(cause)}`, "input", { cause });
  }
}

const missing = (what: string) => new PareError(`running a model in a browser needs ${what}`, "usage");

async function playwright(): Promise<Playwright> {
  try {
    const name = "playwright-core";
    const found = (await import(name)) as Playwright & { default?: Playwright };
    return found.chromium ? found : found.default!;
  } catch {
    throw missing("the package playwright-core: install it beside pare");
  }
}
function distOf(): string {
  try {
    return dirname(createRequire(import.meta.url).resolve("onnxruntime-web"));
  } catch {
    throw missing("the package onnxruntime-web: install it beside pare");
  }
}

async function serve(dist: string, html: string, models: ReadonlyMap<string, Uint8Array>): Promise<Server> {
  const server = createServer(async (request, response) => {
    const path = normalize(new URL(request.url!, "http://localhost").pathname);
    try {
      const model = models.get(path.replace("/model/", ""));
      const file = path.startsWith("/ort/") ? join(dist, path.slice(5)) : null;
      const body = path === "/" ? html : (model ?? (file && (await readFile(file))));
      if (!body) throw new PareError(`nothing at ${path}`);
      const type = path === "/" ? "text/html" : (contentTypes[extname(path)] ?? "application/octet-stream");
      response.writeHead(200, { "content-type": type });
      response.end(body);
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return server;
}

function engineOf(tab: Page, models: Map<string, Uint8Array>, close: () => Promise<void>): BrowserEngine {
  let count = 0;
  return {
    name: "onnxruntime-web",
    close,
    async load(graph, options = {}) {
      const id = String(count++);
      models.set(id, toBytes(graph));
      const optimize = options.optimize === "none" ? "disabled" : "all";
      try {
        await tab.evaluate(`window.load(${JSON.stringify(id)}, ${JSON.stringify(optimize)})`);
      } catch (cause) {
        throw new PareError(`onnxruntime-web refuses model "${graph.name}": ${words(cause)}`, "input", { cause });
      } finally {
        models.delete(id);
      }
      return sessionOf(tab, id, graph.name);
    },
  };
}
function sessionOf(tab: Page, id: string, model: string): Session {
  return {
    async run(feeds, fetches) {
      const wire = Object.fromEntries(Object.entries(feeds).map(([name, array]) => [name, toWire(name, array)]));
      const call = `window.run(${JSON.stringify(id)}, ${JSON.stringify(wire)}${fetches ? `, ${JSON.stringify(fetches)}` : ""})`;
      const outputs = (await tab.evaluate(call).catch((cause: unknown) => {
        throw new PareError(`model "${model}" in Chromium: ${words(cause)}`, "input", { cause });
      })) as Record<string, Wire>;
      return Object.fromEntries(Object.entries(outputs).map(([name, w]) => [name, fromWire(w)]));
    },
    release: async () => {
      await tab.evaluate(`window.drop(${JSON.stringify(id)})`);
    },
  };
}

function toWire(name: string, { type, dims, data }: NDArray): Wire {
  if (Array.isArray(data)) throw new PareError(`input "${name}": strings cannot be fed in a browser`);
  return { type, dims, base64: Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString("base64") };
}
function fromWire({ type, dims, base64 }: Wire): NDArray {
  const bytes = Uint8Array.from(Buffer.from(base64, "base64"));
  return { type, dims, data: new arrays[type]!(bytes.buffer) };
}

/** The browser's words, without its stack. */
const words = (error: unknown): string =>
  (error instanceof Error ? error.message : String(error)).split("\n    at ")[0]!.replace(/\s+/g, " ").trim();
