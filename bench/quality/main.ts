/** Bytes at which error: compresses the LeNets by the recipes that README quotes, seed by seed, and prints its rows. Writes bench/results/quality.json; a run that is there is not done again. */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { compress } from "../../packages/pare/dist/compress.js";
import { openSplits } from "../../packages/pare/dist/data/open.js";
import { network } from "../../packages/pare/dist/methods/architecture/networks.js";
import { parseRecipe } from "../../packages/pare/dist/methods/recipe.js";
import { deepCompressionTable } from "../../packages/pare/dist/pack/deep-compression-table.js";
import { pack } from "../../packages/pare/dist/pack/pack.js";
import { recipes } from "../../packages/pare/dist/recipes/recipes.js";
import { type Results, type Run, rows } from "./table.js";

const root = fileURLToPath(new URL("../../", import.meta.url));
const { values: options } = parseArgs({
  options: {
    seeds: { type: "string", default: "5" },
    net: { type: "string", default: "lenet-300-100,lenet-5" },
    /** Endings of recipe names: "" is the net's best. */
    recipes: { type: "string", default: "12x,plain,best" },
    workers: { type: "string", default: "2" },
    out: { type: "string", default: `${root}bench/results/quality.json` },
    /** Print the rows of what is there. */
    table: { type: "boolean", default: false },
  },
});

const results: Results = existsSync(options.out) ? JSON.parse(readFileSync(options.out, "utf8")) : { runs: {} };
function save(): void {
  mkdirSync(fileURLToPath(new URL("../../bench/results/", import.meta.url)), { recursive: true });
  const temporary = `${options.out}.tmp`;
  writeFileSync(temporary, `${JSON.stringify(results, null, 1)}\n`);
  renameSync(temporary, options.out);
}

/** Choices are made on validation data inside `compress`; the test data are measured once, here. */
async function run(net: string, recipe: string, seed: number): Promise<Run> {
  const data = await openSplits("mnist", { only: ["train", "validation", "test"], seed });
  const out = `${root}pare-out/quality/${recipe}-${seed}`;
  const label = `${recipe}, seed ${seed}`;
  let last = 0;
  const { facts, graph } = await compress(network(net, { seed, dropout: 0.5 }), {
    data,
    out,
    recipe,
    seed,
    workers: Number(options.workers),
    model: net,
    log: (line) => console.error(`${label}: ${line}`),
    onProgress: (p) => {
      if (performance.now() - last < 30_000) return;
      last = performance.now();
      console.error(`${label}: ${p.stage}, epoch ${p.epoch} of ${p.epochs}, ${Math.round(p.secondsLeft)} s left`);
    },
  });
  await rm(out, { recursive: true, force: true });
  return {
    stages: facts.stages,
    publishedCoderBytes: pack(graph, { coder: "deep-compression" }).length,
    layers: deepCompressionTable(graph, { conv: 5, dense: 5 }),
  };
}

for (const net of options.net.split(",")) {
  for (const ending of options.recipes.split(",")) {
    const name = ending === "best" ? net : `${net}-${ending}`;
    const recipe = recipes[name];
    if (!recipe) throw new Error(`no recipe "${name}": ${Object.keys(recipes).join(", ")}`);
    // A recipe that changed is another experiment.
    const key = createHash("sha256")
      .update(JSON.stringify(parseRecipe(recipe)))
      .digest("hex")
      .slice(0, 12);
    if (results.runs[name]?.recipe !== key) results.runs[name] = { net, recipe: key, seeds: {} };
    const { seeds } = results.runs[name]!;
    for (let seed = 0; seed < Number(options.seeds) && !options.table; seed++) {
      if (seeds[seed]) continue;
      seeds[seed] = await run(net, name, seed);
      save();
    }
  }
}
console.log(rows(results));
