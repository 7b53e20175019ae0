/** Quantizers in processes of their own: a model's path and its calibration samples come in; a file, CPU time and peak memory go out. */
import { spawn } from "node:child_process";
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { NDArray } from "../../packages/pare/dist/engine/engine.js";

/** What quantizing cost. `error`: why there is no file. */
export interface Cost {
  readonly cpuSeconds?: number;
  readonly seconds?: number;
  readonly peakBytes?: number;
  readonly notes?: readonly string[];
  readonly error?: string;
}
export const settings = ["minmax", "core", "percentile", "dynamic", "full-core", "int4"] as const;
export type Setting = (typeof settings)[number];

const root = fileURLToPath(new URL("../../", import.meta.url));
/** Where bench/peers/install-ptq.sh puts its Python. */
export const peersPython = (): string => {
  const cache = process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache");
  return join(process.env.PARE_PEERS_PTQ ?? join(cache, "pare", "peers-ptq"), "bin", "python");
};
/** False, with the reason on stderr, where onnxruntime's quantizer is not installed. */
export function peersAreThere(): boolean {
  const there = existsSync(peersPython());
  if (!there)
    console.error(
      `onnxruntime's quantizer is not compared with: there is no ${peersPython()}. bash bench/peers/install-ptq.sh installs it.`,
    );
  return there;
}

/** Writes samples as ort-quantize.py reads them: samples.json says where in samples.bin each array lies. */
export async function writeSamples(folder: string, samples: AsyncIterable<Record<string, NDArray>>): Promise<number> {
  mkdirSync(folder, { recursive: true });
  const file = openSync(join(folder, "samples.bin"), "w");
  const list: object[] = [];
  let offset = 0;
  for await (const sample of samples) {
    const entry: Record<string, object> = {};
    for (const [name, { type, dims, data }] of Object.entries(sample)) {
      const bytes = new Uint8Array(
        (data as Float32Array).buffer,
        (data as Float32Array).byteOffset,
        (data as Float32Array).byteLength,
      );
      writeSync(file, bytes);
      entry[name] = { type, dims, offset, bytes: bytes.length };
      offset += bytes.length;
    }
    list.push(entry);
  }
  closeSync(file);
  writeFileSync(join(folder, "samples.json"), JSON.stringify(list));
  return list.length;
}

async function output(
  command: string,
  args: readonly string[],
  folder: string,
  limitSeconds: number,
): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"], cwd: folder });
  const text = { stdout: "", stderr: "" };
  for (const stream of ["stdout", "stderr"] as const)
    child[stream].on("data", (d: Buffer) => (text[stream] += d.toString()));
  const timer = setTimeout(() => child.kill("SIGKILL"), 1000 * limitSeconds);
  const code = await new Promise<number | null>((done) => child.on("close", done));
  clearTimeout(timer);
  return { code, ...text };
}

/** `limitSeconds`: it is stopped after these, and that is its error. */
export async function ortQuantize(
  setting: Setting,
  model: string,
  samples: string,
  out: string,
  limitSeconds: number,
): Promise<Cost> {
  const { code, stdout, stderr } = await output(
    peersPython(),
    [join(root, "bench/peers/ort-quantize.py"), setting, model, samples, out],
    dirname(out),
    limitSeconds,
  );
  const line = stdout.trim().split("\n").at(-1) ?? "";
  if (line.startsWith("{")) return JSON.parse(line) as Cost;
  return { error: code === null ? `stopped after ${limitSeconds} s` : lastLine(stderr) };
}

/** The default command as a user gives it. Exit 1 is a refusal: its words are the error. */
export async function pareQuantize(
  model: string,
  data: string | null,
  out: string,
  limitSeconds: number,
  more: readonly string[] = [],
): Promise<Cost & { report?: unknown }> {
  const usage = `${out}.usage.json`;
  const measure = `process.on("exit", () => {
  const { userCPUTime, systemCPUTime, maxRSS } = process.resourceUsage();
  const fs = require("node:fs");
  // maxRSS of a child starts at what its parent held when it forked.
  const status = fs.existsSync("/proc/self/status") ? fs.readFileSync("/proc/self/status", "utf8") : "";
  const kilobytes = Number(/VmHWM:\\s*(\\d+)/.exec(status)?.[1] ?? maxRSS);
  const used = { cpuSeconds: (userCPUTime + systemCPUTime) / 1e6, peakBytes: kilobytes * 1024 };
  fs.writeFileSync(${JSON.stringify(usage)}, JSON.stringify(used));
});`;
  const preload = `${out}.usage.cjs`;
  writeFileSync(preload, measure);
  const started = performance.now();
  const { code, stdout, stderr } = await output(
    process.execPath,
    [
      "--require",
      preload,
      join(root, "packages/pare/bin/pare.js"),
      "quantize",
      model,
      ...(data ? ["--data", data] : []),
      "-o",
      out,
      "--json",
      ...more,
    ],
    dirname(out),
    limitSeconds,
  );
  const seconds = (performance.now() - started) / 1000;
  const used = existsSync(usage) ? (JSON.parse(readFileSync(usage, "utf8")) as Cost) : {};
  for (const file of [usage, preload]) rmSync(file, { force: true });
  const cost = { seconds, ...used };
  if (code !== 0)
    return { ...cost, error: code === null ? `stopped after ${limitSeconds} s` : stderr.trim() || lastLine(stdout) };
  return { ...cost, report: JSON.parse(stdout) as unknown };
}
const lastLine = (text: string): string => text.trim().split("\n").at(-1) ?? "";
