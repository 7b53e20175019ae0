/** Milliseconds per training step, Pare against PyTorch on the same CPU threads, alternating within one run. Writes bench/results/train.json and prints a table. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { availableParallelism, cpus, loadavg } from "node:os";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { startTorch, type Torch } from "../peers/torch-process.js";
import { type OurRun, ourSteps } from "./ours.js";
import { type Report, type Row, table } from "./table.js";

/**
 * Micro-batches by measurement; steps so that one round of one contender takes a few seconds. `group`: steps that are timed together, since
 * small nets make several in one run.
 */
const nets = {
  "lenet-300-100": { microBatch: 128, steps: 640, group: 64 },
  "lenet-5": { microBatch: 128, steps: 60, group: 4 },
  "cnn-small": { microBatch: 128, steps: 80, group: 8 },
  "resnet-20": { microBatch: 64, steps: 8, group: 1 },
  depthwise: { microBatch: 64, steps: 24, group: 1 },
} as const;
type Net = keyof typeof nets;

const { values: options } = parseArgs({
  options: {
    threads: { type: "string", default: String(Math.min(2, availableParallelism())) },
    rounds: { type: "string", default: "3" },
    nets: { type: "string", default: Object.keys(nets).join() },
    out: { type: "string", default: fileURLToPath(new URL("../../bench/results/train.json", import.meta.url)) },
    "micro-batch": { type: "string" },
    /** Time of all threads instead of the clock on the wall: comparable on a busy machine, blind to waiting. */
    cpu: { type: "boolean", default: false },
  },
});
const clock = options.cpu ? "cpu" : "wall";
const [threads, rounds] = [Number(options.threads), Number(options.rounds)];

/** Means over groups of steps, summed up. */
function summary(ms: readonly number[], group: number): { median: number; min: number; max: number } {
  const means = Array.from({ length: Math.floor(ms.length / group) }, (_, i) => {
    return ms.slice(i * group, (i + 1) * group).reduce((a, b) => a + b) / group;
  });
  const sorted = means.sort((a, b) => a - b);
  return { median: sorted[sorted.length >> 1]!, min: sorted[0]!, max: sorted.at(-1)! };
}

async function measure(net: Net, torch: Torch | null): Promise<Row> {
  const { steps, group } = nets[net];
  const microBatch = options["micro-batch"] ? Number(options["micro-batch"]) : nets[net].microBatch;
  const warmup = Math.max(4, Math.ceil(steps / 10));
  const run: OurRun = { workers: threads, microBatch, warmup, steps, clock };
  const [pare, contiguous, channelsLast]: number[][] = [[], [], []];
  let parameters = 0;
  for (let round = 0; round < rounds; round++) {
    pare!.push(...(await ourSteps(net, run)).slice(0, steps));
    if (!torch) continue;
    const first = await torch.steps(net, "contiguous", warmup, steps);
    contiguous!.push(...first.ms);
    channelsLast!.push(...(await torch.steps(net, "channels_last", warmup, steps)).ms);
    parameters = first.parameters;
  }
  const peers = torch ? { contiguous: summary(contiguous!, group), channelsLast: summary(channelsLast!, group) } : {};
  return { net, microBatch, ...(parameters ? { parameters } : {}), pare: summary(pare!, group), ...peers };
}

const torch = await startTorch(threads, clock);
const rows: Row[] = [];
const versionOf = (path: string): string =>
  (JSON.parse(readFileSync(new URL(path, import.meta.url), "utf8")) as { version: string }).version;
const report = (): Report => ({
  machine: { cpu: cpus()[0]!.model, cores: availableParallelism(), loadBefore },
  versions: {
    node: process.versions.node,
    onnxruntime: versionOf("../../node_modules/onnxruntime-node/package.json"),
    ...(torch ? { torch: torch.version } : {}),
  },
  threads,
  clock,
  batch: 128,
  rounds,
  rows,
});
const loadBefore = Math.round(loadavg()[0]! * 100) / 100;
for (const net of options.nets.split(",") as Net[]) {
  if (!nets[net]) throw new Error(`no net "${net}": ${Object.keys(nets).join(", ")}`);
  rows.push(await measure(net, torch));
  console.error(
    table({ ...report(), rows: rows.slice(-1) })
      .split("\n")
      .at(-1),
  );
}
torch?.close();
mkdirSync(new URL("../../bench/results/", import.meta.url), { recursive: true });
writeFileSync(options.out, `${JSON.stringify(report(), null, 2)}\n`);
console.log(table(report()));
