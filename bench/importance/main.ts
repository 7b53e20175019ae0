/** Importances put to use, seed by seed: curvatures against differences, deletion without training, tasks remembered. Writes bench/results/importance.json; a run that is there is not done again. */
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { curvature } from "./curvature.js";
import { deletion } from "./deletion.js";
import { memories, remember, strengths } from "./permuted.js";
import { type Results, table } from "./table.js";

const root = fileURLToPath(new URL("../../", import.meta.url));
const names = ["curvature", "deletion", "ranking", ...memories];
const { values: options } = parseArgs({
  options: {
    rows: { type: "string", default: names.join() },
    seeds: { type: "string", default: "5" },
    out: { type: "string", default: `${root}bench/results/importance.json` },
  },
});
/** Strengths are chosen with a seed that no row has. */
const tuningSeed = 1000;

const results: Results = existsSync(options.out) ? JSON.parse(readFileSync(options.out, "utf8")) : emptyResults();
function emptyResults(): Results {
  return { curvature: {}, deletion: {}, ranking: {}, permuted: {}, tuning: {} };
}
function save(): void {
  mkdirSync(dirname(options.out), { recursive: true });
  writeFileSync(`${options.out}.tmp`, `${JSON.stringify(results, null, 1)}\n`);
  renameSync(`${options.out}.tmp`, options.out);
}
async function once<T>(into: Record<string, T>, key: string | number, label: string, make: () => Promise<T>) {
  if (into[key] !== undefined) return;
  console.error(label);
  into[key] = await make();
  save();
}

async function strengthFor(memory: keyof typeof strengths): Promise<number> {
  results.tuning[memory] ??= {};
  const tried = results.tuning[memory];
  for (const s of strengths[memory])
    await once(
      tried,
      s,
      `${memory}: strength ${s}`,
      async () => (await remember(memory, s, tuningSeed, "validation")).at(-1)!,
    );
  return strengths[memory].reduce((best, s) => (tried[s]! > tried[best]! ? s : best));
}

const asked = options.rows.split(",");
const unknown = asked.find((row) => !names.includes(row));
if (unknown !== undefined) throw new Error(`no row "${unknown}": ${names.join(", ")}`);
for (let seed = 0; seed < Number(options.seeds); seed++)
  for (const row of asked) {
    const label = `${row}, seed ${seed}`;
    if (row === "curvature") await once(results.curvature, seed, label, () => curvature(seed));
    else if (row === "deletion") await once(results.deletion, seed, label, () => deletion("small", 0.6, seed));
    else if (row === "ranking") await once(results.ranking, seed, label, () => deletion("lenet-300-100", 0.8, seed));
    else {
      const memory = memories.find((m) => m === row)!;
      const strength = memory === "sgd" ? 0 : await strengthFor(memory);
      results.permuted[memory] ??= {};
      await once(results.permuted[memory], seed, label, () => remember(memory, strength, seed, "test"));
    }
  }
console.log(table(results));
