/** `npm run test:coupling -- [graphs] [seed]`: cutting equals zeroing on thousands of random graphs; without a number, 2,000 of them. */
import fc from "fast-check";
import { print } from "../../dist/graph/print.js";
import { cutEqualsZeroed, nothingSeen } from "../support/coupling-property.js";
import { plans, randomNet } from "../support/random-net.js";

const numRuns = Number(process.argv[2] ?? 2000);
const seed = Number(process.argv[3] ?? Date.now() % 2 ** 31);
const seen = nothingSeen();
const started = performance.now();
const result = await fc.check(
  fc.asyncProperty(plans(10), async (plan) => cutEqualsZeroed(randomNet(plan), seen, 1e-5, plan.seed)),
  { numRuns, seed },
);
console.log(
  `seed ${seed}: ${seen.graphs} graphs, ${seen.withFree} with free groups, ${seen.free} free groups, ${seen.compared} comparisons (zeroing changed the outputs in ${seen.changed}), largest difference ${seen.worst.toExponential(1)}, ${((performance.now() - started) / 1000).toFixed(0)} s`,
);
for (const [why, channels] of [...seen.held].sort((a, b) => b[1] - a[1]).slice(0, 12))
  console.log(`  ${channels} channels held: ${why}`);
if (result.failed) {
  console.error(fc.defaultReportMessage(result));
  if (result.counterexample) console.error(print(randomNet(result.counterexample[0])));
  process.exitCode = 1;
}
