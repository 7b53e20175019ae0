/** One model, its data and a way to run it come in on the command line; CPU time and peak memory of running the samples go out as JSON. */
import { performance } from "node:perf_hooks";
import { calibrate } from "../../packages/pare/dist/calibrate/calibrate.js";
import { openSamples } from "../../packages/pare/dist/data/open-samples.js";
import { ortNode as engine } from "../../packages/pare/dist/engine/ort-node.js";
import { read } from "../../packages/pare/dist/graph/file.js";
import { eligibleNodes } from "../../packages/pare/dist/quantization/eligible.js";
import { valuesToCalibrate } from "../../packages/pare/dist/quantization/place.js";
import { simplify } from "../../packages/pare/dist/simplify.js";

const [way, path, data, limit] = process.argv.slice(2) as [string, string, string, string];

const { graph } = await simplify(await read(path), { engine, opset: 21 });
const samples = await openSamples(data, graph, { limit: Number(limit) });
const layers = new Map(
  eligibleNodes(graph, "ort-node").flatMap((c) =>
    c.formats.includes("int8") ? [[c.key, { format: "int8" as const }]] : [],
  ),
);
const wanted = new Map([...valuesToCalibrate(graph, layers)].map((name) => [name, { histogram: 2048 }]));

let loadedMs = 0;
const cpuMs = (): number => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
};
const [startMs, wall] = [cpuMs(), performance.now()];
if (way === "float") {
  const session = await engine.load(graph);
  loadedMs = cpuMs();
  for (let i = 0; i < samples.length; i++) await session.run(samples.feeds(i));
  await session.release();
} else {
  await calibrate(graph, wanted, samples, {
    engine,
    onProgress: ({ done }) => {
      if (done === 1) loadedMs = cpuMs();
    },
  });
}
console.log(
  JSON.stringify({
    values: wanted.size,
    samples: samples.length,
    runMs: cpuMs() - loadedMs,
    loadMs: loadedMs - startMs,
    seconds: (performance.now() - wall) / 1000,
    peakMiB: process.resourceUsage().maxRSS / 1024,
  }),
);
