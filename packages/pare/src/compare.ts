/** THE MAIN PATH of `pare compare`. Two models and samples enter; how alike their answers are, output by output and layer by layer, leaves. */
import type { z } from "zod";
import { infer } from "./analyze/infer.js";
import { Classes, checkAnswers, namesOf, running } from "./compare/reference.js";
import type { comparison } from "./compare/schema.js";
import { Tally, together } from "./compare/tally.js";
import { placeOf, type Samples } from "./data/samples.js";
import { defaultEngine } from "./engine/default-engine.js";
import type { Engine } from "./engine/engine.js";
import { PareError } from "./graph/error.js";
import { draft, type Graph } from "./graph/graph.js";

export type Comparison = z.infer<typeof comparison>;

export interface CompareOptions {
  readonly engine?: Engine;
  readonly signal?: AbortSignal;
  readonly onProgress?: (p: { readonly done: number; readonly of: number }) => void;
  /** Whether values inside the networks are compared too, where both have one of the same name; true unless told otherwise. */
  readonly layers?: boolean;
  /** Whether answers are held against the samples' labels too; true unless told otherwise. */
  readonly labels?: boolean;
}

/**
 * Throws PareError where the models' outputs have different names, one of them does not run on the samples, the first answers a sample with
 * nothing finite, or a label is none of its classes.
 */
export async function compare(a: Graph, b: Graph, samples: Samples, options: CompareOptions = {}): Promise<Comparison> {
  const engine = options.engine ?? (await defaultEngine());
  const outputs = namesOf(a);
  const missing = outputs.filter((name) => !namesOf(b).includes(name));
  if (missing.length > 0)
    throw new PareError(
      `the second model has no output ${missing.map((n) => `"${n}"`).join(", ")}; it has ${namesOf(b).join(", ")}`,
    );
  const inner = options.layers === false ? [] : shared(a, b);
  const tallies = new Map([...outputs, ...inner.map((l) => l.name)].map((name) => [name, new Tally(name)]));
  const classes = new Classes(a);
  const names = [...tallies.keys()];
  await running(engine, exposing(a, inner), (first) =>
    running(engine, exposing(b, inner), async (second) => {
      for (let i = 0; i < samples.length; i++) {
        options.signal?.throwIfAborted();
        const feeds = samples.feeds(i);
        const [x, y] = [await first.run(feeds, names), await second.run(feeds, names)];
        checkAnswers(Object.fromEntries(outputs.map((name) => [name, x[name]!])), placeOf(samples, i));
        for (const [name, tally] of tallies) tally.add(x[name]!, y[name]!);
        const label = options.labels === false ? null : samples.label(i);
        classes.checkLabel(x, label, placeOf(samples, i));
        classes.add(x, y, label);
        options.onProgress?.({ done: i + 1, of: samples.length });
      }
    }),
  );
  const of = (name: string) => tallies.get(name)!;
  const found = outputs.map((name) => of(name).likeness);
  return {
    samples: samples.length,
    agreement: classes.agreement,
    snrDb: together(outputs.map(of)),
    cosine: Math.min(...found.map((o) => o.cosine)),
    error: [...classes.errors],
    outputs: found,
    layers: inner.map(({ name, op }) => ({ ...of(name).likeness, op })),
  };
}

/** Float values that nodes of both main graphs compute under the same name, in the first one's order. */
function shared(a: Graph, b: Graph): { name: string; op: string }[] {
  const theirs = new Set(b.nodes.flatMap((n) => n.outputs));
  const types = infer(a).types;
  const outputs = new Set(namesOf(a));
  return a.nodes.flatMap((n) =>
    n.outputs
      .filter((o) => o && theirs.has(o) && !outputs.has(o) && types.get(o)?.type === "float32")
      .map((name) => ({ name, op: n.op })),
  );
}
function exposing(graph: Graph, inner: readonly { name: string }[]): Graph {
  const d = draft(graph);
  for (const { name } of inner) d.outputs.push({ name, type: "float32", shape: null });
  return d;
}
