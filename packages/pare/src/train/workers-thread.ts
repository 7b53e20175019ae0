/** One worker thread of workers.ts: takes jobs from shared memory until it is told to stop. */
import { parentPort, workerData } from "node:worker_threads";
import { ortNode } from "../engine/ort-node.js";
import { fromBytes } from "../graph/decode.js";
import { PareError } from "../graph/error.js";
import { claim, control } from "./claims.js";
import { newReplica } from "./replica.js";
import type { WorkerData, WorkerMessage } from "./workers.js";

const { plan, model, shared, owner } = workerData as WorkerData;
const cells = shared.control;
const say = (message: WorkerMessage): void => parentPort!.postMessage(message);

try {
  const replica = await newReplica({ ...plan, graph: fromBytes(model) }, ortNode);
  say("ready");
  let seen = 0;
  for (;;) {
    Atomics.wait(cells, control.generation, seen);
    seen = Atomics.load(cells, control.generation);
    if (Atomics.load(cells, control.stop)) break;
    const set = shared.sets[Atomics.load(cells, control.set) as 0 | 1];
    replica.load(shared.vector);
    for (let j = claim(shared, seen, owner); j !== null; j = claim(shared, seen, owner)) {
      await replica.run(set[j]!);
      Atomics.add(cells, control.done, 1);
      Atomics.notify(cells, control.done);
    }
  }
  await replica.release();
} catch (error) {
  say({
    error: error instanceof Error ? error.message : String(error),
    kind: error instanceof PareError ? error.kind : "input",
  });
}
