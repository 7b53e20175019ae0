/** Packs the result of a run and writes its files: outcomes of the stages -> model.pare, model.onnx, report.json, report.html. */
import { join } from "node:path";
import { layerWidths } from "../analyze/layer-widths.js";
import { write } from "../graph/file.js";
import { save } from "../graph/file-save.js";
import type { Graph } from "../graph/graph.js";
import { float32sOf, sizeOf } from "../graph/tensor.js";
import { weightsOf } from "../methods/weights.js";
import { pack, unpack } from "../pack/pack.js";
import { tensorCosts } from "../pack/tensor-costs.js";
import { dropDeadChannels } from "../passes/drop-dead-channels.js";
import { dropDeadNodes } from "../passes/drop-dead-nodes.js";
import { dropNoOps } from "../passes/drop-no-ops.js";
import { orderChannels } from "../passes/order-channels.js";
import type { LayerFacts, ReportFacts } from "../report/facts.js";
import { histogramOf, pixelPicture } from "../report/histogram.js";
import { html } from "../report/html.js";
import type { Job } from "./job.js";
import { measure } from "./measure.js";
import type { Outcome } from "./outcome.js";

export interface Finished {
  readonly facts: ReportFacts;
  /** What the packed file holds. */
  readonly graph: Graph;
}

interface Packed {
  readonly outcome: Outcome;
  /** The outcome's graph as it was packed. */
  readonly graph: Graph;
  readonly bytes: Uint8Array;
}
const smaller = <T extends { readonly bytes: Uint8Array }>(a: T, b: T): T => (b.bytes.length < a.bytes.length ? b : a);

/** Without nodes that inference does not need and channels that nobody reads; the others in the order that packs smaller. */
function packed(outcome: Outcome): Packed {
  const bare = dropDeadChannels(dropDeadNodes(dropNoOps(outcome.graph)));
  return [bare, orderChannels(bare)].map((graph) => ({ outcome, graph, bytes: pack(graph) })).reduce(smaller);
}

/** The last outcome; with a limit on the error the one that packs smallest among those within it. */
function chosen(job: Job, outcomes: readonly Outcome[]): Packed {
  const { maxDrop } = job;
  if (maxDrop === null) return packed(outcomes.at(-1)!);
  const limit = outcomes[0]!.validationError + maxDrop;
  return outcomes
    .filter((o, i) => i === 0 || o.validationError <= limit)
    .map(packed)
    .reduce(smaller);
}

export async function finish(job: Job, outcomes: readonly Outcome[]): Promise<Finished> {
  const started = performance.now();
  const { outcome, graph: bare, bytes } = chosen(job, outcomes);
  const output = join(job.out, "model.pare");
  await save(output, [bytes]);
  const graph = unpack(bytes);
  await write(graph, join(job.out, "model.onnx"));
  // Measured on what the file holds, so that a packing error could not hide.
  const last = await measure("packed", graph, job.test, job.engine, 0);
  const dense = outcomes[0]!.graph;
  const facts: ReportFacts = {
    model: job.model,
    seed: job.seed,
    stages: [
      ...outcomes.map((o) => o.facts),
      { ...last, sizeBytes: bytes.length, seconds: (performance.now() - started) / 1000 },
    ],
    output,
    report: join(job.out, "report.html"),
    data: job.test.name,
    layers: layersOf(bare),
    widths: layerWidths(dense, dropDeadChannels(outcome.graph)),
    histograms: { dense: histograms(dense), packed: histograms(outcome.graph) },
    curves: outcomes
      .filter((o) => o.history.length > 0)
      .map((o) => ({
        stage: o.facts.stage,
        epochs: o.history.map((m) => ({
          epoch: m.epoch,
          loss: m.loss,
          validationError: m.validation?.error ?? null,
          learningRate: m.learningRate,
        })),
      })),
    pixels: pixelPicture(outcome.graph),
    notes: outcomes.flatMap((o) => o.notes.map((n) => ({ stage: o.facts.stage, ...n }))),
  };
  await save(join(job.out, "report.json"), [new TextEncoder().encode(`${JSON.stringify(facts, null, 1)}\n`)]);
  await save(facts.report, [new TextEncoder().encode(html(facts))]);
  return { facts, graph };
}

const histograms = (graph: Graph) => weightsOf(graph).weights.map((w) => histogramOf(w.name, w.values));

/** Every float32 tensor with more than one element, by the node that reads it first. */
function layersOf(graph: Graph): LayerFacts[] {
  const costs = tensorCosts(graph);
  const layers = new Map<string, LayerFacts>();
  for (const node of graph.nodes)
    for (const weight of node.inputs) {
      const t = graph.initializers.get(weight);
      if (t?.type !== "float32" || sizeOf(t.dims) < 2 || layers.has(weight)) continue;
      const alive = float32sOf(t).filter((v) => v !== 0);
      layers.set(weight, {
        name: node.name || (node.outputs[0] ?? ""),
        op: node.op,
        weight,
        dims: [...t.dims],
        parameters: sizeOf(t.dims),
        nonzero: alive.length,
        values: new Set(alive).size,
        ...costs.get(weight)!,
      });
    }
  return [...layers.values()];
}
