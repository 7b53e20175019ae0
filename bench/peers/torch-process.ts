/** PyTorch in a process of its own: a net's name comes in, milliseconds per training step go out. */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

export interface Timing {
  readonly parameters: number;
  readonly ms: readonly number[];
  readonly loss: number;
}
export interface Torch {
  readonly version: string;
  steps(net: string, layout: "contiguous" | "channels_last", warmup: number, steps: number): Promise<Timing>;
  close(): void;
}

/** Where bench/peers/install.sh puts its Python. */
const python = (): string => {
  const cache = process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache");
  return join(process.env.PARE_PEERS ?? join(cache, "pare", "peers"), "bin", "python");
};

/** Starts PyTorch with so many threads; null, with the reason on stderr, where it is not installed. */
export async function startTorch(threads: number, clock: "wall" | "cpu"): Promise<Torch | null> {
  if (!existsSync(python())) {
    console.error(`PyTorch is not compared with: there is no ${python()}. bash bench/peers/install.sh installs it.`);
    return null;
  }
  const script = fileURLToPath(new URL("../../bench/peers/torch-train.py", import.meta.url));
  const child = spawn(python(), [script, String(threads), clock], { stdio: ["pipe", "pipe", "pipe"] });
  const errors: string[] = [];
  child.stderr.on("data", (text: Buffer) => errors.push(text.toString()));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const answer = async <T>(): Promise<T> => {
    const { value, done } = await lines.next();
    if (done) throw new Error(`PyTorch stopped:\n${errors.join("")}`);
    return JSON.parse(value) as T;
  };
  const { torch } = await answer<{ torch: string }>();
  return {
    version: torch,
    async steps(net, layout, warmup, steps) {
      (child as ChildProcess).stdin!.write(`${net} ${layout} ${warmup} ${steps}\n`);
      return answer<Timing>();
    },
    close: () => child.stdin.end(),
  };
}
