/** What pruning and factorization reach on real networks: rows by seed, each measured on test data once. Writes bench/results/prune.json after every run; what is there is not done again, a training that was stopped goes on. */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { rows } from "./rows.js";
import { type Results, table } from "./table.js";

const root = fileURLToPath(new URL("../../", import.meta.url));
const { values: options } = parseArgs({
  options: {
    /** Names, by comma; all of them unless said. */
    rows: { type: "string", default: Object.keys(rows).join() },
    /** So many, from 0. */
    seeds: { type: "string", default: "5" },
    workers: { type: "string", default: "2" },
    out: { type: "string", default: `${root}bench/results/prune.json` },
    /** Print the rows of what is there. */
    table: { type: "boolean", default: false },
  },
});

type Draft = Record<string, { recipe: string; seeds: Record<string, unknown> }>;
const results = (existsSync(options.out) ? JSON.parse(readFileSync(options.out, "utf8")) : { rows: {} }) as {
  rows: Draft;
};
/** Seeds of several processes may be on their way: what is in the file meanwhile is kept. */
function save(name: string, recipe: string, seed: number, run: unknown): void {
  if (existsSync(options.out)) results.rows = JSON.parse(readFileSync(options.out, "utf8")).rows;
  const own = results.rows[name];
  results.rows[name] = { recipe, seeds: { ...(own?.recipe === recipe ? own.seeds : {}), [seed]: run } };
  mkdirSync(dirname(options.out), { recursive: true });
  const temporary = `${options.out}.tmp`;
  writeFileSync(temporary, `${JSON.stringify(results, null, 1)}\n`);
  renameSync(temporary, options.out);
}

const places = `${root}pare-out/prune/`;
for (const name of options.table ? [] : options.rows.split(",")) {
  const row = rows[name];
  if (!row) throw new Error(`no row "${name}": ${Object.keys(rows).join(", ")}`);
  const recipe = createHash("sha256").update(JSON.stringify(row.recipe)).digest("hex").slice(0, 12);
  for (let seed = 0; seed < Number(options.seeds); seed++) {
    const entry = results.rows[name];
    if (entry?.recipe === recipe && entry.seeds[seed]) continue;
    const place = `${places}${name}-${recipe}-${seed}/`;
    mkdirSync(place, { recursive: true });
    const run = await row.run({
      seed,
      workers: Number(options.workers),
      checkpoint: `${place}training`,
      log: (line) => console.error(`${name}, seed ${seed}: ${line}`),
    });
    save(name, recipe, seed, run);
    rmSync(place, { recursive: true, force: true });
    console.error(`${name}, seed ${seed}: ${JSON.stringify(run)}`);
  }
}
console.log(table(results as Results, rows));
