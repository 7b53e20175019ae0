/** A network whose weights are settled in the order of its nodes: at every step nodes that boil values down enter; what they give is handed on, batch by batch. */
import { fit } from "../data/fit.js";
import { spread } from "../data/views.js";
import { heldBytes, type NDArray } from "../engine/engine.js";
import { Emitter } from "../graph/emit.js";
import { draft, feeds, type Graph, type Node } from "../graph/graph.js";
import { readCounts, readNames } from "../graph/scope.js";
import { dropDeadNodes } from "../passes/drop-dead-nodes.js";
import { fixedBatch } from "../passes/rebatch.js";
import type { Calibration } from "./moments.js";

/** Samples that share a run. */
const together = 32;
/** Bytes of inner values that may be kept between steps; where there would be more, the older ones are gone on from. */
const mostKept = 2 ** 30;

/** By name, one array for each batch. */
type Values = ReadonlyMap<string, readonly NDArray[]>;

/** Goes on from the last values that no open weight can change, so that all steps together run the network about once. */
export class Advance {
  readonly #samples: ReturnType<typeof fit>;
  readonly #batches: readonly Uint32Array[];
  /** What nodes that are not yet done read of those that are. */
  #kept: Values = new Map();
  /** First outputs. */
  #done: ReadonlySet<string> = new Set();

  /** `graph`: with the nodes and inputs that all steps have; the current opset. */
  constructor(
    graph: Graph,
    readonly o: Calibration,
  ) {
    this.#samples = fit(o.data, feeds(graph));
    const fixed = fixedBatch(graph);
    const size = fixed ?? together;
    const indices = spread(o.data.length, Math.min(Math.max(o.samples, fixed ?? 1), o.data.length));
    this.#batches = Array.from({ length: Math.ceil(indices.length / size) }, (_, b) => {
      // A graph of fixed batch gets whole batches: the last one starts early enough.
      const start = fixed === null ? b * size : Math.max(0, Math.min(b * size, indices.length - size));
      return indices.slice(start, start + size);
    });
  }

  /** Samples that a step sees. */
  get length(): number {
    return this.#batches.reduce((sum, b) => sum + b.length, 0);
  }

  /**
   * `graph`: with its weights as they are now. `open`: initialisers that this step or a later one may change. `emit` appends nodes and returns the
   * names to read; `visit` gets their values, in that order.
   */
  async observe(
    graph: Graph,
    open: ReadonlySet<string>,
    emit: (g: Emitter) => readonly string[],
    visit: (values: readonly NDArray[]) => void,
  ): Promise<void> {
    const whole = draft(graph);
    whole.values = new Map();
    const names = emit(new Emitter(whole, "float32", "observed_"));
    if (names.length === 0) return;
    const untyped = (name: string) => ({ name, type: "undefined" as const, shape: null });
    whole.outputs = names.map(untyped);
    const counts = readCounts(whole);
    const known = (n: Node): boolean => n.outputs.every((o) => this.#kept.has(o) || !counts.has(o));
    const part = dropDeadNodes({ ...whole, nodes: whole.nodes.filter((n) => !known(n)) });
    const { done, keep } = this.#settled(graph, part.nodes, open);

    const made = new Set(part.nodes.flatMap((n) => n.outputs));
    const read = new Set([...part.nodes.flatMap((n) => [...readNames(n)]), ...names].filter((n) => !made.has(n)));
    const given = [...this.#kept].filter(([name]) => read.has(name));
    const fields = this.#samples.fields.map((f) => f.name!);
    const session = await this.o.engine.load({
      ...part,
      inputs: [
        ...part.inputs.filter((v) => read.has(v.name)),
        ...given.map(([name, [first]]) => ({ name, type: first!.type, shape: first!.dims.map(() => "") })),
      ],
      outputs: [...new Set([...names, ...keep])].filter((name) => made.has(name)).map(untyped),
    });
    const next = new Map<string, NDArray[]>(keep.map((name) => [name, []]));
    try {
      for (const [b, indices] of this.#batches.entries()) {
        this.o.signal?.throwIfAborted();
        const fed = new Map(given.map(([name, arrays]) => [name, arrays[b]!]));
        const inputs = fields.some((name) => read.has(name)) ? this.#samples.batch(indices).inputs : [];
        inputs.forEach((array, k) => {
          if (read.has(fields[k]!)) fed.set(fields[k]!, array);
        });
        const found = await session.run(Object.fromEntries(fed));
        const named = (name: string): NDArray => found[name] ?? fed.get(name) ?? this.#kept.get(name)![b]!;
        visit(names.map(named));
        for (const [name, arrays] of next) arrays.push(named(name));
      }
    } finally {
      await session.release();
    }
    if (bytesOf(next) <= mostKept) [this.#kept, this.#done] = [next, done];
  }

  /** Nodes whose values are there after this step and stay as they are; and which of these values other nodes of `graph` read. */
  #settled(graph: Graph, ran: readonly Node[], open: ReadonlySet<string>): { done: Set<string>; keep: string[] } {
    const running = new Set(ran.map((n) => n.outputs[0]!));
    const moving = new Set(open);
    const done = new Set<string>();
    const there = new Set<string>();
    const keep = new Set<string>();
    for (const n of graph.nodes) {
      const reads = [...readNames(n)];
      const [first] = n.outputs as [string];
      if (reads.some((name) => moving.has(name))) for (const o of n.outputs) moving.add(o);
      else if (running.has(first) || this.#done.has(first)) {
        done.add(first);
        for (const o of n.outputs) if (o !== "") there.add(o);
      }
      if (!done.has(first)) for (const name of reads) if (there.has(name)) keep.add(name);
    }
    return { done, keep: [...keep] };
  }
}

const bytesOf = (values: Values): number =>
  [...values.values()].flat().reduce((sum, array) => sum + heldBytes(array), 0);
