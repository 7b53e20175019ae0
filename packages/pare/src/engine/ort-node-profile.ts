/** A graph and feeds -> the kernels that onnxruntime ran, from its own profile. */
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Graph } from "../graph/graph.js";
import type { NDArray } from "./engine.js";
import { ortNode } from "./ort-node.js";

/** One run of one node after onnxruntime's optimizations. */
export interface KernelRun {
  /** onnxruntime's name of the node: where it replaced one, mostly that one's name with something added. */
  readonly node: string;
  /** Operator type. */
  readonly kernel: string;
  /** Element types of its inputs in onnxruntime's spelling: "float", "uint8", .. */
  readonly inputs: readonly string[];
  readonly microseconds: number;
}

interface Event {
  readonly cat: string;
  readonly name: string;
  readonly dur: number;
  readonly args?: {
    readonly op_name?: string;
    readonly input_type_shape?: readonly Readonly<Record<string, unknown>>[];
  };
}
const suffix = "_kernel_time";

/** Runs the graph `repeats` times, on one thread. Nodes in bodies that did not run are not there. */
export async function kernelRuns(
  graph: Graph,
  feeds: Readonly<Record<string, NDArray>>,
  repeats = 1,
): Promise<KernelRun[]> {
  const folder = await mkdtemp(join(tmpdir(), "pare-profile-"));
  try {
    const session = await ortNode.load(graph, { profile: join(folder, "profile") });
    try {
      for (let i = 0; i < repeats; i++) await session.run(feeds);
    } finally {
      await session.release();
    }
    const [file] = await readdir(folder);
    const events = JSON.parse(await readFile(join(folder, file!), "utf8")) as Event[];
    return events
      .filter((e) => e.cat === "Node" && e.name.endsWith(suffix))
      .map((e) => ({
        node: e.name.slice(0, -suffix.length),
        kernel: e.args?.op_name ?? "",
        inputs: (e.args?.input_type_shape ?? []).map((x) => Object.keys(x)[0] ?? ""),
        microseconds: e.dur,
      }));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
