/** Which layers become what, and by which ranges: measured on the samples, cheap questions first. */

import { infer } from "../analyze/infer.js";
import { macsOf } from "../analyze/macs.js";
import { compare } from "../compare.js";
import { latency } from "../engine/latency.js";
import type { Candidate } from "../quantization/eligible.js";
import type { Format } from "../quantization/plan.js";
import { type Channels, channelsOf } from "./forms.js";
import type { Patience } from "./patience.js";
import { type Choice, type Choices, type Judged, stored, type Workbench } from "./workbench.js";

/** Accuracy beyond this is as good as perfect: speed decides. */
export const goodDb = 40;
/** Where the network does this well as it is, other forms of it are not tried, and what is gained beyond weighs half against time. */
const wellDb = 30;
/** With less than this the first layers are tried in float. */
export const fairDb = 25;
/** What halving the time is worth, in dB. */
const halfTimeDb = 6;
/** A layer stays in float arithmetic where that gains at least this, in dB, and this much per share of the network's multiplications. */
const leastGainDb = 0.4;
const gainPerShareDb = 20;
/** What a layer adds to the noise tells what leaving that out gains within this factor: what promises less is not tried. */
const hopeful = 1.5;
/** Suspects that are tried in float one by one. */
const suspects = 6;
/** Layers at the front that are tried in float together, where integers lose much: each alone may gain nothing, since the next rounds as coarsely. */
const fronts = [1, 2, 4];
/** What another form must gain, in dB. */
const formGainDb = 0.2;
/** Of the search's time: once this is spent, what is left is for ranges and layers, not for further forms of the network. */
const formShare = 1 / 3;

export interface Searched {
  readonly bench: Workbench;
  readonly best: Judged;
}

/** Integers everywhere, but for what comes after the last product; where some format is no option, the weights in eight bits. */
export function integerChoices(candidates: readonly Candidate[], which: "all" | "core"): Choices {
  const choices = new Map<string, Choice>();
  for (const c of candidates) {
    const product = c.role === "weights";
    if (c.formats.includes("int8") && (product || (which === "all" && c.role !== "none" && !c.last)))
      choices.set(c.key, {
        format: "int8",
        reason: product ? "weights and activations" : "keeps its neighbours on integers",
      });
    else if (c.formats.includes("weights8")) choices.set(c.key, stored(c, c.why || "its arithmetic stays in float"));
  }
  return choices;
}

const words = {
  dynamic: "integers, with ranges of the data measured while running",
  weights8: "its weights alone are stored in eight bits",
  weights4: "its weights alone are stored in four bits",
  float16: "its weights are stored as half floats",
} as const;

/** Every node's choice by one format, weights in eight bits where it is none of a node's. */
export function uniformChoices(
  candidates: readonly Candidate[],
  format: "dynamic" | "weights8" | "weights4" | "float16",
): Choices {
  const choices = new Map<string, Choice>();
  for (const c of candidates) {
    if (c.formats.length === 0) continue;
    const wanted =
      c.formats.includes(format) &&
      !(format === "dynamic" && c.node.op === "Conv") &&
      !(format === "weights4" && c.node.op === "Conv");
    if (wanted) choices.set(c.key, { format, reason: words[format] });
    else if (c.formats.includes("weights8") && format !== "float16")
      choices.set(
        c.key,
        stored(
          c,
          format === "dynamic" && c.node.op === "Conv"
            ? "dynamic integers make Conv slower than float: its weights alone are stored in eight bits"
            : `${format} is no format for it`,
        ),
      );
  }
  return choices;
}

export const db = (j: Judged): number => j.verdict.contrastDb ?? 200;
/** Accuracy against time, in dB: more is better. */
export function worth(judged: Judged, ms: number): number {
  const beyond = Math.max(0, Math.min(goodDb, db(judged)) - wellDb);
  return Math.min(wellDb, db(judged)) + beyond / 2 - halfTimeDb * Math.log2(ms);
}
export const better = (a: Judged, b: Judged, by = 0): boolean => db(a) > db(b) + by;

/** Another form of the network: as its extremes tell at once, and with histograms. */
export interface FormBenches {
  readonly first: Workbench;
  readonly full: Workbench;
}

/** Static integers: the form of the network, the operators, the ranges, the layers that stay in float. `told` hears of every best so far. */
export async function searchIntegers(
  first: Workbench,
  forms: readonly (() => FormBenches | null)[],
  patience: Patience,
  told: (found: Searched, what: string) => void,
): Promise<Searched> {
  const everything = (bench: Workbench): Promise<Judged> =>
    bench.judge({ choices: integerChoices(bench.candidates, "all"), ranges: "min-max" });
  const watch = (bench: Workbench, channels?: Channels): Promise<void> =>
    bench.watch(
      (["all", "core"] as const).map((which) => integerChoices(bench.candidates, which)),
      channels,
    );
  await watch(first, channelsOf(first.net));
  let found: Searched = { bench: first, best: await everything(first) };
  told(found, "all operators");
  for (const form of forms) {
    if (db(found.best) >= wellDb || patience.spent > formShare) break;
    const other = form();
    if (!other) continue;
    const best = await everything(other.first);
    if (!better(best, found.best, formGainDb)) continue;
    found = { bench: other.full, best };
    told(found, other.full.form);
  }
  await watch(found.bench);
  const { bench } = found;
  found = { bench, best: await operators(bench, found.best) };
  told(found, "operators");
  for (const ranges of ["percentile", "mse"] as const) {
    if (db(found.best) >= goodDb || patience.over) break;
    const best = await bench.judge({ ...found.best.attempt, ranges });
    if (better(best, found.best, 0.1)) found = { bench, best };
    told(found, `ranges by ${ranges}`);
  }
  const relieved = await relieve(bench, found.best, patience, (best) => told({ bench, best }, "layers in float"));
  return { bench, best: await worthier(bench, found.best, relieved) };
}

/** All operators that have integer kernels, or products alone: by accuracy and time. */
async function operators(bench: Workbench, all: Judged): Promise<Judged> {
  const choices = integerChoices(bench.candidates, "core");
  const same = [...all.attempt.choices].every(([key, c]) => choices.get(key)?.format === c.format);
  if (same) return all;
  return worthier(bench, all, await bench.judge({ ...all.attempt, choices }));
}

/** The plan whose accuracy is worth its time, by both timed in turn; the first of equals. */
async function worthier(bench: Workbench, first: Judged, second: Judged): Promise<Judged> {
  if (first === second || !bench.samples) return first;
  const plans = [first, second];
  const times = await timesOf(
    bench,
    plans.map((best) => ({ bench, best })),
  );
  const [a, b] = plans.map((j, i) => worth(j, times[i]!));
  return b! > a! ? second : first;
}

/** All of a measurement of times, unless runs take longer than this over five times the number of plans. */
const timingMs = 150;
/** Milliseconds of computing of one run on the first sample, all in turn; null is the float network of `bench`. */
export async function timesOf(bench: Workbench, plans: readonly (Searched | null)[]): Promise<readonly number[]> {
  const { times } = bench.memory;
  const key = plans.map((p) => p?.bench.keyOf(p.best.attempt) ?? "float").join("; ");
  const known = times.get(key);
  if (known) return known;
  const graphs = await Promise.all(plans.map((p) => p?.bench.make(p.best.attempt) ?? bench.net));
  const feeds = bench.samples!.feeds(0);
  const runs = Math.max(5, Math.min(100, Math.round(timingMs / graphs.length / bench.reference!.runMs)));
  const measured = (await latency(bench.engine, graphs, { runs, feeds, clock: "cpu" })).map((l) => l.minMs);
  times.set(key, measured);
  return measured;
}

/** Layers that lose out of proportion keep float arithmetic. */
async function relieve(
  bench: Workbench,
  start: Judged,
  patience: Patience,
  told: (best: Judged) => void,
): Promise<Judged> {
  let best = start;
  if (db(best) >= goodDb || !bench.samples || patience.over) return best;
  const shares = sharesOf(bench);
  if (db(best) < fairDb) {
    best = await freeFront(bench, best, shares, patience);
    if (best !== start) told(best);
  }
  if (db(best) >= goodDb || patience.over) return best;
  const ranked = await suspected(bench, best);
  for (const { c, share } of ranked.slice(0, suspects)) {
    if (db(best) >= goodDb || patience.over) break;
    const needed = Math.max(leastGainDb, gainPerShareDb * (shares.get(c.key) ?? 0));
    if (hopeful * -10 * Math.log10(1 - Math.min(share, 0.99)) < needed) continue;
    const choices = new Map(best.attempt.choices);
    const without = { ...best.attempt, choices };
    choices.set(c.key, stored(c, "on integers it loses out of proportion"));
    const relieved = await bench.judge(without);
    const gain = db(relieved) - db(best);
    if (gain < needed) continue;
    choices.set(c.key, stored(c, `on integers it costs ${gain.toFixed(1)} dB`));
    best = relieved;
    if (best !== start) told(best);
  }
  return best;
}

/** The first layers in float, with all that stands before and between them; more of them only where those beyond the fewer earn their own share too. */
async function freeFront(
  bench: Workbench,
  start: Judged,
  shares: ReadonlyMap<string, number>,
  patience: Patience,
): Promise<Judged> {
  const candidates = new Map(bench.candidates.map((c) => [c.key, c]));
  const keys = bench.net.nodes.map((n) => n.outputs.find(Boolean) ?? "");
  const products = keys.flatMap((key, i) => (candidates.get(key)?.role === "weights" ? [i] : []));
  let [best, paid] = [start, 0];
  for (const count of fronts) {
    if (patience.over || products.length <= count) break;
    const choices = new Map(start.attempt.choices);
    let share = 0;
    for (const key of keys.slice(0, products[count])) {
      if (choices.get(key)?.format !== "int8") continue;
      choices.set(key, stored(candidates.get(key)!, `with the first ${count} layers on integers too much is lost`));
      share += shares.get(key) ?? 0;
    }
    const freed = await bench.judge({ ...start.attempt, choices });
    if (better(freed, best, Math.max(leastGainDb, gainPerShareDb * (share - paid)))) [best, paid] = [freed, share];
  }
  return best;
}

/** Share of the network's multiplications by layer. */
export function sharesOf(bench: Workbench): Map<string, number> {
  const macs = macsOf(bench.net, infer(bench.net));
  const total = macs.reduce((a, b) => a + b, 0) || 1;
  return new Map(bench.net.nodes.map((n, i) => [n.outputs.find(Boolean) ?? "", macs[i]! / total]));
}

/** Layers of the main graph in such formats, those first that add most noise to what they read, each with its share of all that is added. */
export async function suspected(
  bench: Workbench,
  judged: Judged,
  formats: readonly Format[] = ["int8"],
): Promise<{ readonly c: Candidate; readonly share: number }[]> {
  const graph = await bench.make(judged.attempt);
  const few = bench.reference!.few(4);
  const { layers, outputs } = await compare(bench.net, graph, few, { engine: bench.engine, labels: false });
  const noise = new Map([...layers, ...outputs].map((l) => [l.name, l.snrDb === null ? 0 : 10 ** (-l.snrDb / 10)]));
  const added = (c: Candidate): number => {
    // A layer whose own value is swallowed by a rectifier shows in what follows.
    const out = noise.get(c.key) ?? noise.get(follower(bench, c.key) ?? "") ?? 0;
    return out - Math.max(0, ...c.node.inputs.map((name) => noise.get(name) ?? 0));
  };
  const found = bench.candidates
    .filter((c) => formats.includes(judged.attempt.choices.get(c.key)?.format ?? "float") && c.role === "weights")
    .map((c) => ({ c, by: added(c) }))
    .filter(({ by }) => by > 0)
    .sort((a, b) => b.by - a.by);
  const all = found.reduce((sum, { by }) => sum + by, 0);
  return found.map(({ c, by }) => ({ c, share: by / all }));
}
const follower = (bench: Workbench, key: string): string | undefined =>
  bench.net.nodes.find((n) => n.inputs.includes(key))?.outputs[0];
