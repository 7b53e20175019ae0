/** The best plan of static integers enters; it leaves, or where they lose too much, gain no time over float or are worth less: integers with ranges measured while running, or weights alone in eight bits. */
import { db, fairDb, goodDb, type Searched, sharesOf, timesOf, uniformChoices, worth } from "./search.js";
import type { Judged, Workbench } from "./workbench.js";

/** Static integers with less than this are of no use to most networks. */
const uselessDb = 8;
/** Times that differ by less are equal. */
const sameTime = 1.05;
/** Times seen while plans were judged may be wrong by this factor against one another; those below `sureMs` by more. */
const sureRatio = 1.2;
const sureMs = 0.5;
/** Where less of the multiplications than this could go to integers with ranges measured while running, that is no faster than float. */
const leastDynamic = 0.2;

/** `plain`: the network as it is, in which the others are tried; `found` comes back where neither is worth more. Throws the signal's reason where that is aborted. */
export async function instead(
  plain: Workbench,
  found: Searched,
  told: (found: Searched, what: string) => void,
): Promise<Searched> {
  if (!plain.samples) return found;
  const { runMs } = found.best.verdict;
  const faster = runMs > sureMs && runMs * sureRatio < plain.reference!.runMs;
  // Weights alone, computed with in float, are no faster than float: no match for integers that are, and good enough.
  if (faster && db(found.best) >= fairDb && dynamicShare(plain) < leastDynamic) return found;
  const named = ["dynamic", "weights8"] as const;
  const judged: Judged[] = [];
  for (const format of named)
    judged.push(await plain.judge({ choices: uniformChoices(plain.candidates, format), ranges: "min-max" }));
  const plans = judged.map((best) => ({ bench: plain, best }));
  const [unchangedMs, bestMs, ...ms] = await timesOf(plain, [null, found, ...plans]);
  // Weights alone in eight bits are float when it runs: two measurements of one thing. What differs between them is chance, and no less is a gain.
  const floatMs = Math.min(unchangedMs!, ms[1]!);
  const chance = Math.max(unchangedMs!, ms[1]!) / floatMs;
  const bestDb = db(found.best);
  const others = judged.map((best, i) => ({ best, ms: ms[i]!, format: named[i]! }));
  for (const { best, ms, format } of others.sort((a, b) => worth(b.best, b.ms) - worth(a.best, a.ms))) {
    const gain = Math.min(goodDb, db(best)) - Math.min(goodDb, bestDb);
    const moreAccurate = gain > 1 && (chance * ms < sameTime * bestMs! || bestDb < uselessDb);
    const worthMore = chance * ms < floatMs && worth(best, chance * ms) > worth(found.best, bestMs!) + 1;
    const integersAreSlow = bestMs! > sameTime * chance * floatMs && sameTime * chance * ms < bestMs!;
    // Weights alone, still without the codes and biases that integers have been given, will be more accurate with them.
    const accurateEnough = gain > -1 || format === "weights8";
    if (!moreAccurate && !worthMore && !(integersAreSlow && accurateEnough)) continue;
    const other = { bench: plain, best };
    told(other, format);
    return other;
  }
  return found;
}

/** Of the network's multiplications, the part that can go to integers with ranges measured while running. */
function dynamicShare(bench: Workbench): number {
  const shares = sharesOf(bench);
  const choices = uniformChoices(bench.candidates, "dynamic");
  return [...choices].reduce((sum, [key, c]) => sum + (c.format === "dynamic" ? (shares.get(key) ?? 0) : 0), 0);
}
