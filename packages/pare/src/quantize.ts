/** THE MAIN PATH of `pare quantize`. A model enters, and samples of what it will be fed; a smaller model of the same inputs and outputs leaves, with what became of each layer and why. */
import { Reference } from "./compare/reference.js";
import type { Samples } from "./data/samples.js";
import { defaultEngine } from "./engine/default-engine.js";
import type { Engine } from "./engine/engine.js";
import { toBytes } from "./graph/encode.js";
import { PareError } from "./graph/error.js";
import type { Graph, Subgraph } from "./graph/graph.js";
import { bodiesOf } from "./graph/scope.js";
import { widenFloat16 } from "./passes/widen-float16.js";
import { type Candidate, eligibleNodes } from "./quantization/eligible.js";
import type { Target } from "./quantization/plan.js";
import { reducedRange } from "./quantization/reduced-range.js";
import { assumedOf, carriedStates } from "./quantize/carried-states.js";
import { type formats, layerFacts, limitFacts, missed, type QuantizationFacts, widest } from "./quantize/facts.js";
import { equalised, smoothed } from "./quantize/forms.js";
import { instead } from "./quantize/instead.js";
import { accurateEnough, fastEnough, type Limits, smallEnough } from "./quantize/limits.js";
import { Patience } from "./quantize/patience.js";
import { refine } from "./quantize/refine.js";
import { type FormBenches, type Searched, searchIntegers, uniformChoices } from "./quantize/search.js";
import { emptyMemory, type Memory, Workbench } from "./quantize/workbench.js";
import { simplify } from "./simplify.js";

export interface QuantizeOptions extends Limits {
  /** What the model will be fed; without them only weights are stored in fewer bits. */
  readonly samples?: Samples;
  /** auto (the default): what suits the model and the target best; int8 where there are samples, weights in eight bits where there are none. */
  readonly format?: (typeof formats)[number];
  /** ort-node unless given. */
  readonly target?: Target;
  readonly model?: string;
  readonly engine?: Engine;
  /** Verdicts and times of an earlier search of the same model, samples and options; new ones are added. */
  readonly memory?: Memory;
  /** Aborted: the search ends with the best so far, if there is one. */
  readonly signal?: AbortSignal;
  readonly log?: (line: string) => void;
}
export interface Quantized {
  readonly graph: Graph;
  readonly facts: QuantizationFacts;
  /** What was assumed, and what was done otherwise than planned, in words for the user. */
  readonly notes: readonly string[];
  /** Whether the search was ended before its time. */
  readonly stopped: boolean;
}

/** Samples that candidates are judged on, at most; fewer where the model takes long. */
const mostJudged = 32;
/** After these no further choice of layers and ranges is tried, and no further codes and biases. */
const searchSeconds = 60;
const refineSeconds = 20;

/**
 * Throws PareError where nothing can be quantized (names every node and its reason), where the model is quantized already, and where a sample
 * does not fit.
 */
export async function quantize(graph: Graph, options: QuantizeOptions = {}): Promise<Quantized> {
  const started = performance.now();
  const engine = options.engine ?? (await defaultEngine());
  const { samples = null, target = "ort-node", log = () => {} } = options;
  refuseQuantized(graph);
  const notes: string[] = [];
  const simple = await simplify(widenFloat16(graph), { engine, opset: "newest" });
  notes.push(...simple.notes);
  const net = simple.graph;
  const candidates = eligibleNodes(net, target);
  const eligible = candidates.filter((c) => c.formats.length > 0);
  if (eligible.length === 0) throw new PareError(nothing(candidates));
  if (!samples && (options.maxDrop !== undefined || options.maxLatency !== undefined))
    throw new PareError("max-drop and max-latency are measured on samples: give --data", "usage");
  const format = settled(options.format ?? "auto", samples, eligible, notes);
  const range = await reducedRange(engine);

  const assumed = samples && assumedOf(carriedStates(graph));
  if (assumed) notes.push(assumed);
  const reference = samples && (await Reference.of(net, samples, engine, mostJudged));
  if (reference && options.maxDrop !== undefined && (await reference.judge(net)).agreement === null)
    throw new PareError("max-drop cannot be told: no output of the model holds scores of classes", "usage");
  if (options.maxDrop !== undefined) reference?.checkLabels();
  const memory = options.memory ?? emptyMemory();
  const bench = (form: string, network: Graph, extremes: Workbench["extremes"] = null) =>
    new Workbench(
      network,
      form === "as it is" ? candidates : eligibleNodes(network, target),
      target,
      engine,
      samples,
      reference,
      range.reduced,
      memory,
      form,
      options.signal,
      extremes,
    );
  const plain = bench("as it is", net);
  let found: Searched | null = null;
  let stopped = false;
  const told = (best: Searched, what: string): void => {
    found = best;
    const { snrDb } = best.best.verdict;
    log(`${what}: ${snrDb === null ? "–" : `${snrDb.toFixed(1)} dB`}, ${best.best.sizeBytes} bytes`);
  };
  try {
    if (format === "int8") {
      const weightBits = range.reduced ? 7 : 8;
      const forms = [equalised, smoothed].map((of) => (): FormBenches | null => {
        const form = of(net, plain.seen, weightBits);
        return (
          form && { first: bench(`${form.name}, extremes`, form.net, form.extremes), full: bench(form.name, form.net) }
        );
      });
      const integers = await searchIntegers(plain, forms, new Patience(searchSeconds), told);
      const refined = await refine(integers, new Patience(refineSeconds), told);
      const auto = (options.format ?? "auto") === "auto";
      const best = auto ? await instead(plain, refined, told) : refined;
      found = best === refined ? best : await refine(best, new Patience(refineSeconds), told);
    } else {
      const choices = uniformChoices(candidates, format === "int4" ? "weights4" : format);
      const rounded = { bench: plain, best: await plain.judge({ choices, ranges: "min-max" }) };
      told(rounded, format);
      found = format === "float16" ? rounded : await refine(rounded, new Patience(refineSeconds), told);
    }
    found = await limited(plain, found, options, told);
  } catch (error) {
    if (!options.signal?.aborted || !found) throw error;
    stopped = true;
  }
  const result = await found.bench.make(found.best.attempt);
  const limits = await limitFacts(plain, found, options, stopped, toBytes(result).length);
  for (const l of limits) if (!l.held) notes.push(missed(l));
  const { layers, kernels } = await layerFacts(found, result, candidates, stopped);
  if (layers.some((l) => l.format === "int8" || l.format === "int16" || l.format === "dynamic")) notes.push(range.note);
  return {
    graph: result,
    notes,
    stopped,
    facts: {
      model: options.model ?? (graph.name || "model"),
      format: format === "int8" ? widest(found.best.attempt.choices) : format,
      sizeBytes: [toBytes(graph).length, toBytes(result).length],
      layers,
      kernels,
      quantized: layers.filter((l) => l.format !== "float").length,
      eligible: eligible.length,
      snrDb: found.best.verdict.snrDb,
      agreement: found.best.verdict.agreement,
      limits,
      seconds: (performance.now() - started) / 1000,
    },
  };
}

/** What the search found, changed until it keeps the limits or comes as near as it can. */
async function limited(
  plain: Workbench,
  start: Searched,
  { maxDrop, maxBytes, maxLatency }: Limits,
  told: (best: Searched, what: string) => void,
): Promise<Searched> {
  let found = start;
  if (maxLatency !== undefined) found = await fastEnough(plain, found, maxLatency, told);
  if (maxBytes !== undefined && found.best.sizeBytes > maxBytes) {
    found = await smallEnough(found, maxBytes, new Patience(refineSeconds), told);
    const most = Math.max(maxBytes, found.best.sizeBytes);
    found = await refine(found, new Patience(refineSeconds), told, (tried) => tried.sizeBytes <= most);
  }
  if (maxDrop !== undefined)
    found = await accurateEnough(found, { maxDrop, ...(maxBytes === undefined ? {} : { maxBytes }) }, told);
  return found;
}

function settled(
  asked: (typeof formats)[number],
  samples: Samples | null,
  eligible: readonly Candidate[],
  notes: string[],
): Exclude<(typeof formats)[number], "auto"> {
  if (asked === "int8" && !samples) throw new PareError("int8 needs samples to calibrate with: give --data", "usage");
  if (asked !== "auto") return asked;
  const integers = eligible.some((c) => c.formats.includes("int8"));
  if (samples && integers) return "int8";
  notes.push(
    samples
      ? "no operator of the model runs on integers here: weights alone are stored in eight bits"
      : "no data was given: weights alone are stored in eight bits, arithmetic stays in float; with --data activations become integers too",
  );
  return "weights8";
}

function refuseQuantized(graph: Graph): void {
  const codes =
    /^(QuantizeLinear|DequantizeLinear|QLinear|QGemm|ConvInteger|MatMulInteger|DynamicQuantize|MatMulNBits)/;
  const found = nodesIn(graph).filter((op) => codes.test(op));
  if (found.length > 0)
    throw new PareError(
      `the model is quantized already: ${found.length} of its nodes work on integers (${[...new Set(found)].join(", ")})`,
    );
}
const nodesIn = (body: Subgraph): string[] => body.nodes.flatMap((n) => [n.op, ...bodiesOf(n).flatMap(nodesIn)]);

function nothing(candidates: readonly Candidate[]): string {
  if (candidates.length === 0) return "nothing in the model can be quantized: simplified, it has no nodes";
  const stuck = candidates.filter((c) => c.role !== "passes");
  const lines = (stuck.length > 0 ? stuck : candidates).map(
    (c) => `  ${c.node.op} "${c.node.name || c.key}": ${c.why || "it has no weights"}`,
  );
  return ["nothing in the model can be quantized:", ...lines].join("\n");
}
