/** Measurements in bench/results come in; README's tables are made of them. `--check` only says whether they are current. */
import { readFileSync, writeFileSync } from "node:fs";
import { table as importance } from "./importance/table.js";
import { table as defaults } from "./prune/defaults-table.js";
import { rows as prunedRows } from "./prune/rows.js";
import { table as prune } from "./prune/table.js";
import { every, table as ptq, roundingTable } from "./ptq/table.js";
import { publishedRows, rows } from "./quality/table.js";
import { table as simplify } from "./simplify/table.js";
import { table as sparsity } from "./sparsity-speed/table.js";
import { table } from "./train/table.js";

const at = (path: string): URL => new URL(`../${path}`, import.meta.url);
const results = (name: string) => JSON.parse(readFileSync(at(`bench/results/${name}.json`), "utf8"));

const tables: Readonly<Record<string, () => string>> = {
  quality: () => rows(results("quality")),
  "deep-compression": () => publishedRows(results("quality")),
  importance: () => importance(results("importance")),
  defaults: () => defaults(results("defaults")),
  prune: () => prune(results("prune"), prunedRows),
  ptq: () => ptq(results("ptq")),
  "ptq-every": () => every(results("ptq")),
  "ptq-int4": () => roundingTable(results("ptq")),
  "sparsity-speed": () => sparsity(results("sparsity-speed")),
  simplify: () => simplify(results("simplify")),
  train: () => table(results("train")),
};

const before = readFileSync(at("README.md"), "utf8");
const after = Object.entries(tables).reduce(
  (text, [name, make]) =>
    text.replace(
      new RegExp(`(<!-- generated:${name} -->\n)[^]*?(<!-- /generated:${name} -->)`),
      (_, start: string, end: string) => `${start}${make().trimEnd()}\n${end}`,
    ),
  before,
);
if (process.argv.includes("--check")) {
  if (after !== before) {
    console.error("README.md does not show what bench/results hold: npm run docs:tables");
    process.exitCode = 1;
  }
} else writeFileSync(at("README.md"), after);
