/** An engine -> whether its integer products overflow on this machine, found by one that would, and what follows for weights, in words. */
import type { Engine } from "../engine/engine.js";
import { node } from "../graph/emit.js";
import { emptyGraph } from "../graph/graph.js";

export interface ReducedRange {
  /** Scales of int8 weights must leave room (overflow.ts). */
  readonly reduced: boolean;
  /** For the user. */
  readonly note: string;
}
const known = new WeakMap<Engine, Promise<ReducedRange>>();

/** Asked once per process and engine. */
export function reducedRange(engine: Engine): Promise<ReducedRange> {
  let answer = known.get(engine);
  if (!answer) known.set(engine, (answer = ask(engine)));
  return answer;
}

async function ask(engine: Engine): Promise<ReducedRange> {
  const reduced = await overflows(engine);
  const note = reduced
    ? "this processor has no VNNI: onnxruntime adds products of 8-bit integers in 16 bits, where two large ones overflow; scales of int8 weights leave room for that"
    : "products of 8-bit integers do not overflow here: weights use the whole of int8; in onnxruntime on x64 processors without VNNI they would";
  return { reduced, note };
}

const length = 64;
/** 64 products of 255 and 127, which no sum of pairs in 16 bits holds. */
async function overflows(engine: Engine): Promise<boolean> {
  const graph = emptyGraph("overflow", 13);
  graph.irVersion = 7;
  graph.inputs.push({ name: "x", type: "uint8", shape: [8, length] });
  graph.initializers.set("w", { type: "int8", dims: [length, 16], bytes: new Uint8Array(length * 16).fill(127) });
  graph.nodes.push(node("MatMulInteger", ["x", "w"], ["y"]));
  graph.outputs.push({ name: "y", type: "int32", shape: [8, 16] });
  const session = await engine.load(graph);
  try {
    const x = { type: "uint8", dims: [8, length], data: new Uint8Array(8 * length).fill(255) } as const;
    const { y } = await session.run({ x });
    return (y!.data as Int32Array).some((v) => v !== 255 * 127 * length);
  } finally {
    await session.release();
  }
}
