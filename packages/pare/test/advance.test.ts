/** A network whose weights are settled step by step: what each step sees is what running the whole network would show. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { layersOf } from "../dist/analyze/layers.js";
import type { Engine } from "../dist/engine/engine.js";
import { ortNode } from "../dist/engine/ort-node.js";
import { draft, type Graph } from "../dist/graph/graph.js";
import { float32sOf, floats } from "../dist/graph/tensor.js";
import { Advance } from "../dist/methods/advance.js";
import { NetworkBuilder } from "../dist/methods/architecture/builder.js";
import { blobs } from "./support/blobs.js";

/** Blocks whose shortcut has a layer too, and stands behind the main path in the order of the nodes. */
function residual(): Graph {
  const b = new NetworkBuilder("residual", 1);
  let x = b.relu(b.conv(b.input("x", [1, 8, 8]), "stem", 4, 3, { pad: 1 }), "relu");
  for (const k of [1, 2]) {
    const main = b.conv(b.relu(b.conv(x, `a${k}`, 4, 3, { pad: 1 }), `relu${k}`), `b${k}`, 4, 3, { pad: 1 });
    x = b.add(main, b.conv(x, `short${k}`, 4, 1, {}), `sum${k}`);
  }
  return b.finish(b.dense(b.flatten(x), "fc", 3), "y");
}

test("every step sees the values of the weights as they are, and nodes behind settled weights run once", async () => {
  const graph = residual();
  const layers = layersOf(graph);
  const sums = graph.nodes.filter((n) => n.op === "Add").map((n) => n.outputs[0]!);
  assert.equal(sums.length, 2);
  const data = blobs(40, [1, 8, 8], 3);
  let ran = 0;
  const counting: Engine = {
    ...ortNode,
    load: (g, o) => {
      ran += g.nodes.filter((n) => !n.name.startsWith("observed_")).length;
      return ortNode.load(g, o);
    },
  };
  const advance = new Advance(graph, { data, samples: 40, engine: counting });
  const now = draft(graph);
  for (const [i, { node, weight }] of layers.entries()) {
    const wanted = [node.inputs[0]!, ...(node.name.startsWith("b") ? sums : [])];
    const see = async (a: Advance, g: Graph, open: ReadonlySet<string>): Promise<number[]> => {
      const seen: number[] = [];
      await a.observe(
        g,
        open,
        (e) => wanted.map((name) => e.reduceSum(e.op("Abs", [name]), [1])),
        (values) => {
          for (const v of values) seen.push(...(v.data as Float32Array));
        },
      );
      return seen;
    };
    const open = new Set(layers.slice(i).map((l) => l.weight));
    const whole = new Advance(graph, { data, samples: 40, engine: ortNode });
    const [found, expected] = [await see(advance, now, open), await see(whole, now, open)];
    assert.equal(found.length, expected.length);
    const off = Math.max(...found.map((v, k) => Math.abs(v - expected[k]!) / (1 + Math.abs(expected[k]!))));
    assert.ok(off < 1e-5, `${node.name}: ${off}`);
    const t = graph.initializers.get(weight)!;
    now.initializers.set(
      weight,
      floats(
        float32sOf(t).map((v) => 0.5 * v),
        t.dims,
      ),
    );
  }
  assert.ok(ran < 2.5 * graph.nodes.length, `${ran} nodes ran, the network has ${graph.nodes.length}`);
});
