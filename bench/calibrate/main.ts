/** CPU time and peak memory of calibrating a model, against running it in float on the same samples: one child process each, by turns. Prints a table. */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { models } from "../ptq/models.js";

interface Measured {
  readonly values: number;
  readonly samples: number;
  readonly runMs: number;
  readonly loadMs: number;
  readonly peakMiB: number;
}
const { values: options } = parseArgs({
  options: {
    samples: { type: "string", default: "100" },
    rounds: { type: "string", default: "3" },
    models: { type: "string", default: "" },
  },
});
const here = fileURLToPath(new URL(".", import.meta.url));
const chosen = options.models ? options.models.split(",") : null;

function measure(way: "float" | "calibrate", path: string, data: string): Measured {
  const child = spawnSync(process.execPath, [join(here, "child.js"), way, path, data, options.samples], {
    encoding: "utf8",
  });
  if (child.status !== 0) throw new Error(child.stderr.trim().split("\n").slice(-4).join(" "));
  return JSON.parse(child.stdout.trim().split("\n").at(-1)!) as Measured;
}
/** The quickest of the rounds. */
const best = (list: readonly Measured[]): Measured => list.reduce((a, b) => (b.runMs < a.runMs ? b : a));

console.log("| model | values | samples | float ms | calibration ms | ratio | load ms | peak MiB | ratio |");
console.log("|---|---|---|---|---|---|---|---|---|");
for (const model of models) {
  if (!model.data || (chosen ? !chosen.includes(model.name) : !model.peers)) continue;
  const data = join(here, `../ptq/data/${model.data}.js`);
  const path = await model.path();
  if (!existsSync(path) || !existsSync(data)) continue;
  try {
    const rounds = Array.from({ length: Number(options.rounds) }, () => ({
      float: measure("float", path, data),
      ours: measure("calibrate", path, data),
    }));
    const [float, ours] = [best(rounds.map((r) => r.float)), best(rounds.map((r) => r.ours))];
    const cells = [
      model.name,
      ours.values,
      ours.samples,
      float.runMs.toFixed(0),
      ours.runMs.toFixed(0),
      (ours.runMs / float.runMs).toFixed(2),
      `${float.loadMs.toFixed(0)} / ${ours.loadMs.toFixed(0)}`,
      `${float.peakMiB.toFixed(0)} / ${ours.peakMiB.toFixed(0)}`,
      (ours.peakMiB / float.peakMiB).toFixed(2),
    ];
    console.log(`| ${cells.join(" | ")} |`);
  } catch (error) {
    console.log(`| ${model.name} | ${(error as Error).message.slice(0, 300)} |`);
  }
}
