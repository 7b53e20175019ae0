/**
 * The fuzzer: `npm run fuzz -- --seconds 60 [--target models] [--seed 7] [--once]`.
 * Damages good files and reads them in a worker. Only a PareError is a pass; so are bounds on time and memory. What fails is saved.
 */
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { PareError } from "../../dist/graph/error.js";
import { seeded } from "../support/ort-outputs.js";
import { type Target, targets } from "./targets.js";

/** For one file: how long reading may take (a busy machine included), and what the process may grow to. */
const maxSeconds = 10;
const maxBytes = 3 * 2 ** 30;

/** The damaged file number `seed` of a target: small files are drawn more often, for their speed. */
function damaged(target: Target, seed: number): Uint8Array {
  const random = seeded(seed);
  const corpus = target.corpus();
  return target.damage(corpus[Math.floor(random() ** 3 * corpus.length)]!, random);
}

interface Job {
  readonly target: string;
  readonly seed: number;
  readonly once: boolean;
}
/** Worker -> main: once when the good files are there, then after each damaged one. */
type Report = "ready" | Answer;
interface Answer {
  readonly seed: number;
  readonly outcome: "read" | "refused" | { readonly failure: string };
}

function work({ target: name, seed: first, once }: Job): void {
  const target = targets.find((t) => t.name === name)!;
  target.corpus();
  parentPort!.postMessage("ready");
  const shared = workerData as Job & { current: Int32Array };
  for (let seed = first; ; seed++) {
    Atomics.store(shared.current, 0, seed);
    const bytes = damaged(target, seed);
    let outcome: Answer["outcome"] = "read";
    try {
      target.parse(bytes);
    } catch (error) {
      const failure = error instanceof Error ? (error.stack ?? error.message) : String(error);
      outcome = error instanceof PareError ? "refused" : { failure };
    }
    if (process.memoryUsage.rss() > maxBytes) outcome = { failure: `the process has grown past ${maxBytes} bytes` };
    parentPort!.postMessage({ seed, outcome } satisfies Answer);
    if (once || typeof outcome === "object") return;
  }
}

interface Tally {
  read: number;
  refused: number;
}

/** Fuzzes one target for `seconds`; resolves with the failure, if there was one. */
function fuzz(job: Job, seconds: number, tally: Tally): Promise<{ seed: number; failure: string } | null> {
  return new Promise((resolve) => {
    const current = new Int32Array(new SharedArrayBuffer(4));
    current[0] = job.seed;
    const worker = new Worker(new URL(import.meta.url), {
      workerData: { ...job, current },
      resourceLimits: { maxOldGenerationSizeMb: 2048 },
    });
    let last = Date.now() + 60_000; // Loading the good files takes its time.
    let until = Number.POSITIVE_INFINITY;
    const end = (failure: string | null) => {
      clearInterval(watch);
      worker.removeAllListeners();
      void worker.terminate();
      resolve(failure === null ? null : { seed: Atomics.load(current, 0), failure });
    };
    const watch = setInterval(() => {
      if (Date.now() - last > maxSeconds * 1000) end(`no answer within ${maxSeconds} seconds`);
      else if (Date.now() > until) end(null);
    }, 100);
    worker.on("message", (report: Report) => {
      last = Date.now();
      if (report === "ready") {
        until = last + seconds * 1000;
        return;
      }
      const { outcome } = report;
      if (typeof outcome === "object") end(outcome.failure);
      else tally[outcome]++;
    });
    worker.on("error", (error) => end(`the worker died: ${error.message}`));
    worker.on("exit", () => end(null));
  });
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      seconds: { type: "string", default: "60" },
      target: { type: "string" },
      seed: { type: "string" },
      once: { type: "boolean", default: false },
    },
  });
  const seconds = Number(values.seconds);
  const seed = values.seed === undefined ? Math.floor(Math.random() * 2 ** 30) : Number(values.seed);
  const chosen = targets.filter((t) => values.target === undefined || t.name === values.target);
  if (!(seconds > 0) || !Number.isInteger(seed) || chosen.length === 0) {
    console.error(`usage: --seconds 60 --seed 7 --target ${targets.map((t) => t.name).join("|")} --once`);
    process.exitCode = 2;
    return;
  }
  for (const { name } of chosen) {
    const tally: Tally = { read: 0, refused: 0 };
    const job = { target: name, seed, once: values.once };
    const failed = await fuzz(job, seconds / chosen.length, tally);
    console.log(`${name}: from seed ${seed}, ${tally.read} files read, ${tally.refused} refused`);
    if (failed) {
      process.exitCode = 1;
      const path = join(mkdtempSync(join(tmpdir(), "pare-fuzz-")), `${name}-${failed.seed}`);
      writeFileSync(path, damaged(targets.find((t) => t.name === name)!, failed.seed));
      console.error(`${name}: seed ${failed.seed} fails, saved as ${path}\n  ${failed.failure}`);
      console.error(`  again: npm run fuzz -- --target ${name} --seed ${failed.seed} --once`);
    } else if (tally.read + tally.refused === 0 || (!values.once && tally.refused === 0)) {
      process.exitCode = 1;
      console.error(`${name}: nothing was refused: the fuzzer itself is broken`);
    }
  }
}

if (isMainThread) await main();
else work(workerData as Job);
