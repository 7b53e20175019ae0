/** What `pare quantize` with its defaults makes of every model of ../shared/data and two npm packages, and what onnxruntime's quantizer does on the same samples in the same run. Writes bench/results/ptq.json after every row; what is there is not done again. */
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { availableParallelism, cpus, loadavg } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import type { NDArray } from "../../packages/pare/dist/engine/engine.js";
import { latency } from "../../packages/pare/dist/engine/latency.js";
import { ortNode } from "../../packages/pare/dist/engine/ort-node.js";
import { read } from "../../packages/pare/dist/graph/file.js";
import { feeds, type Graph } from "../../packages/pare/dist/graph/graph.js";
import { raiseOpset } from "../../packages/pare/dist/passes/raise-opset.js";
import {
  type Cost,
  ortQuantize,
  pareQuantize,
  peersAreThere,
  type Setting,
  settings,
  writeSamples,
} from "../peers/quantize-process.js";
import { roundings } from "./int4.js";
import { type Model, models } from "./models.js";
import { type Predictions, predict, snrDb } from "./predict.js";
import { feedsOf } from "./sources/carry.js";
import { root, shared } from "./sources/places.js";
import type { Recording, Sample } from "./sources/samples.js";
import { type Entry, every, type Measured, type Results, roundingTable, table } from "./table.js";

/** `pare quantize` with its defaults, and with what follows. */
const more: Readonly<Record<string, readonly string[]>> = { pare: [], "pare-int4": ["--format", "int4"] };
const ours = Object.keys(more);

const { values: options } = parseArgs({
  options: {
    /** Names of models, by comma; all of them unless said. */
    models: { type: "string" },
    /** Quantizers, by comma: pare and settings of onnxruntime's. What a model has of them is kept. */
    by: { type: "string", default: [...ours, ...settings].join() },
    /** Quantizes again by these where they are there already. */
    again: { type: "boolean", default: false },
    /** Milliseconds of latency measurement per file. */
    "latency-ms": { type: "string", default: "2000" },
    /** Longest that one quantizer may take on one model; a row that was stopped is done again with --again alone. */
    "limit-seconds": { type: "string", default: "3000" },
    out: { type: "string", default: join(root, "bench/results/ptq.json") },
    /** Prints the tables of what is there. */
    table: { type: "boolean", default: false },
  },
});

interface DataModule {
  readonly train: () => AsyncIterable<Sample> | Iterable<Sample>;
  readonly test: () => AsyncIterable<Sample> | Iterable<Sample>;
  readonly recordings?: () => Recording[] | Promise<Recording[]>;
}
const say = (line: string): void => console.error(line);

const modulePath = (model: Model): string | null => model.data && join(root, `bench-dist/ptq/data/${model.data}.js`);
const dataOf = async (model: Model): Promise<DataModule | null> =>
  model.data === null ? null : ((await import(modulePath(model)!)) as DataModule);

async function* testOf(data: DataModule): AsyncGenerator<Recording> {
  if (data.recordings) yield* await data.recordings();
  else for await (const sample of data.test()) yield [sample];
}
async function* feedsIn(
  samples: AsyncIterable<Sample> | Iterable<Sample>,
  graph: Graph,
): AsyncGenerator<Record<string, NDArray>> {
  for await (const sample of samples) yield feedsOf(sample, feeds(graph));
}

/** The graph, at a later opset where onnxruntime refuses the model's own; null where it refuses that too. */
async function runnable(graph: Graph): Promise<Graph | null> {
  for (const candidate of [() => graph, () => raiseOpset(graph)])
    try {
      const found = candidate();
      await (await ortNode.load(found)).release();
      return found;
    } catch {}
  return null;
}

async function predictions(model: Model, data: DataModule, graph: Graph): Promise<Predictions> {
  const session = await ortNode.load(graph);
  try {
    return await predict(session, feeds(graph), testOf(data), model.carry);
  } finally {
    await session.release();
  }
}

const bytesOf = (path: string, beside: readonly string[] = []): number =>
  [path, `${path}.data`, ...beside.map(shared)].reduce((sum, p) => sum + (existsSync(p) ? statSync(p).size : 0), 0);
const rounded = (values: Record<string, number>): Record<string, number> =>
  Object.fromEntries(Object.entries(values).map(([name, v]) => [name, Math.round(v * 1e5) / 1e5]));

/** A quantized file against the float model on the test samples, with what it cost. */
async function scored(
  model: Model,
  data: DataModule | null,
  float: Predictions | null,
  path: string,
  { report, ...cost }: Cost & { readonly report?: unknown },
): Promise<Measured> {
  if (cost.error !== undefined) return cost;
  const known = { ...cost, ...summary(report), sizeBytes: bytesOf(path) };
  if (!data || !float) return known;
  try {
    const other = await predictions(model, data, await read(path));
    return { ...known, scores: rounded({ snrDb: snrDb(float, other), ...model.scores?.(float, other) }) };
  } catch (e) {
    return { ...known, error: `its file does not run: ${(e as Error).message}` };
  }
}

/** Milliseconds of all files in turn; runs by the float model's time. */
async function timed(graphs: readonly Graph[], arrays: Readonly<Record<string, NDArray>>): Promise<number[]> {
  const [first] = await latency(ortNode, [graphs[0]!], { runs: 3, feeds: arrays });
  const runs = Math.max(5, Math.min(2000, Math.round(Number(options["latency-ms"]) / first!.medianMs)));
  return (await latency(ortNode, graphs, { runs, feeds: arrays })).map((l) => l.medianMs);
}

/** What the command says of its result, the layers left out. */
function summary(report: unknown): Partial<Measured> {
  const { format, quantized, eligible } = (report ?? {}) as { format?: string; quantized?: number; eligible?: number };
  return {
    ...(format === undefined ? {} : { format }),
    ...(quantized === undefined ? {} : { quantized }),
    ...(eligible === undefined ? {} : { eligible }),
  };
}

const folderOf = (model: Model): string => join(root, "pare-out/ptq", model.name.replace(/\W+/g, "-"));
const fileOf = (model: Model, by: string): string => join(folderOf(model), `${by}.onnx`);

/** Quantizes by `quantizers`, keeps what `before` has of others, and times all files in turn; `keep` hears of every row. */
async function measure(
  model: Model,
  before: Entry | undefined,
  quantizers: readonly string[],
  keep: (entry: Entry) => void,
): Promise<void> {
  const path = await model.path();
  const data = await dataOf(model);
  const folder = folderOf(model);
  const limitSeconds = Number(options["limit-seconds"]);
  mkdirSync(folder, { recursive: true });
  const floatGraph = await runnable(await read(path));
  const float = data && floatGraph && (await predictions(model, data, floatGraph));
  const samples = join(folder, "samples");
  if (data && floatGraph && quantizers.some((by) => !more[by]))
    await writeSamples(samples, feedsIn(data.train(), floatGraph));

  const scores = float && model.scores ? { scores: rounded(model.scores(float, float)) } : {};
  const entry: Entry = {
    score: model.score ?? null,
    peers: model.peers ?? false,
    float: { ...before?.float, sizeBytes: bytesOf(path, model.beside), ...scores },
    files: { ...before?.files },
    load: Math.round(loadavg()[0]! * 10) / 10,
  };
  const files = entry.files as Record<string, Measured>;
  for (const by of quantizers) {
    const out = fileOf(model, by);
    rmSync(out, { force: true });
    const cost = more[by]
      ? await pareQuantize(path, modulePath(model), out, limitSeconds, more[by])
      : await ortQuantize(by as Setting, path, samples, out, limitSeconds);
    files[by] = await scored(model, data, float, out, cost);
    say(`${model.name}: ${by}: ${files[by].error ?? JSON.stringify(files[by].scores)}`);
    keep(entry);
  }
  rmSync(samples, { recursive: true, force: true });

  const there = Object.keys(files).filter((by) => files[by]!.scores && existsSync(fileOf(model, by)));
  if (!data || !floatGraph || !there.length) return;
  const graphs = [floatGraph, ...(await Promise.all(there.map((by) => read(fileOf(model, by)))))];
  const [floatMs, ...otherMs] = await timed(graphs, await firstFeeds(data, floatGraph));
  for (const [i, by] of there.entries()) files[by] = { ...files[by]!, latency: otherMs[i]! / floatMs! };
  keep({ ...entry, float: { ...entry.float, latencyMs: floatMs! } });
}
async function firstFeeds(data: DataModule, graph: Graph): Promise<Record<string, NDArray>> {
  for await (const arrays of feedsIn(data.test(), graph)) return arrays;
  throw new Error("no test samples");
}

const results: Results = existsSync(options.out)
  ? (JSON.parse(readFileSync(options.out, "utf8")) as Results)
  : { machine: "", versions: {}, models: {} };
const versionOf = (path: string): string =>
  (JSON.parse(readFileSync(join(root, path), "utf8")) as { version: string }).version;
/** Models stay in the order of models.ts. */
function save(name: string, entry: Entry): void {
  const known = { ...results.models, [name]: entry };
  results.models = Object.fromEntries(models.flatMap((m) => (known[m.name] ? [[m.name, known[m.name]!]] : [])));
  results.machine = `${cpus()[0]!.model}, ${availableParallelism()} cores`;
  results.versions = {
    node: process.versions.node,
    "onnxruntime-node": versionOf("node_modules/onnxruntime-node/package.json"),
  };
  store();
}
function store(): void {
  const temporary = `${options.out}.tmp`;
  writeFileSync(temporary, `${JSON.stringify(results, null, 1)}\n`);
  renameSync(temporary, options.out);
}

if (!options.table) {
  const names = options.models?.split(",").map((n) => n.trim());
  const stranger = names?.find((n) => !models.some((m) => m.name === n));
  if (stranger !== undefined) throw new Error(`no model "${stranger}": ${models.map((m) => m.name).join("; ")}`);
  const peersThere = peersAreThere();
  const asked = options.by.split(",").filter((by) => more[by] || peersThere);
  for (const model of models.filter((m) => names?.includes(m.name) ?? true)) {
    const before = results.models[model.name];
    const done = (by: string): boolean => {
      const row = before?.files[by];
      return row !== undefined && (row.error !== undefined || !row.scores || row.latency !== undefined);
    };
    const wanted = asked
      .filter((by) => (by.endsWith("int4") ? model.int4 : by === "pare" || model.peers))
      .filter((by) => options.again || !done(by));
    // A run that was stopped before its files were timed left them behind.
    const missing = wanted.filter((by) => options.again || !before?.files[by] || !existsSync(fileOf(model, by)));
    try {
      if (wanted.length) await measure(model, before, missing, (entry) => save(model.name, entry));
      if (model.int4 && (options.again || !results.rounding?.[model.name])) {
        results.rounding = { ...results.rounding, [model.name]: await roundings(model) };
        store();
      }
    } catch (e) {
      say(`${model.name}: not measured: ${(e as Error).message}`);
    }
  }
}
console.log([table(results), every(results), roundingTable(results)].join("\n\n"));
