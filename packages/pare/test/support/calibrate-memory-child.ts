/** Runs a net over many samples, in float or calibrating it, and prints its peak of resident memory in MiB. */
import { calibrate } from "../../dist/calibrate/calibrate.js";
import type { Samples } from "../../dist/data/samples.js";
import { ortNode as engine } from "../../dist/engine/ort-node.js";
import { NetworkBuilder } from "../../dist/methods/architecture/builder.js";

const [way, count] = [process.argv[2], Number(process.argv[3])];
const b = new NetworkBuilder("wide", 1);
// 24 values of 4 MiB: to keep them all for one run would show.
let x = b.input("x", [16, 256, 256]);
for (let i = 0; i < 24; i++) x = b.relu(b.conv(x, `conv${i}`, 16, 1, { group: 4 }), `relu${i}`);
const graph = b.finish(x, "y");
const feeds = {
  x: { type: "float32" as const, dims: [1, 16, 256, 256], data: new Float32Array(2 ** 20).map((_, i) => Math.sin(i)) },
};
const samples: Samples = { name: "same", length: count, label: () => null, feeds: () => feeds, batch: () => null };
const wanted = new Map(
  graph.nodes.flatMap((n) => (n.op === "Relu" ? [[n.outputs[0]!, { histogram: 2048 }] as const] : [])),
);
if (way === "float") {
  const session = await engine.load(graph);
  for (let i = 0; i < count; i++) await session.run(feeds);
} else await calibrate(graph, wanted, samples, { engine });
console.log(process.resourceUsage().maxRSS / 1024);
