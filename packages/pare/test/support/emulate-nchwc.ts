/** A graph with blocked operators comes in; the same in plain ONNX, for any block size, goes out: tests of a block size that this machine has not. Slow. */
import { Emitter } from "../../dist/graph/emit.js";
import { type Draft, draft, type Graph, type Node } from "../../dist/graph/graph.js";

/** Replaces every node of domain com.microsoft.nchwc by what it computes with blocks of `block` channels. */
export function emulateNchwc(graph: Graph, block: number): Draft {
  const out = draft(graph);
  const emulation = new Emulation(new Emitter(out, "float32", "emulated/"), block, graph);
  out.nodes = [];
  for (const node of graph.nodes) {
    if (node.domain !== "com.microsoft.nchwc") emulation.g.push(node);
    else {
      const made = emulation.node(node);
      const outputs = [...node.outputs];
      emulation.g.push({ op: "Identity", domain: "", name: node.name, inputs: [made], outputs, attributes: {} });
    }
  }
  return out;
}

const int = (node: Node, name: string, fallback: number): number => {
  const a = node.attributes[name];
  return a?.kind === "int" ? Number(a.value) : fallback;
};

class Emulation {
  constructor(
    readonly g: Emitter,
    readonly B: number,
    readonly graph: Graph,
  ) {}

  node(node: Node): string {
    const { g } = this;
    const [x, w, bias, sum] = node.inputs as [string, string, string?, string?];
    switch (node.op) {
      case "ReorderInput":
        return this.block(this.padChannels(x));
      case "ReorderOutput":
        return g.op("Slice", [this.unblock(x), g.ints([0]), g.ints([int(node, "channels", 0)]), g.ints([1])]);
      case "Conv":
        return this.conv(node, x, w, bias, sum);
      case "Upsample": {
        const { scales } = node.attributes;
        const list = scales?.kind === "ints" ? scales.value.map(Number) : [];
        const factors = g.constant({
          type: "float32",
          dims: [4],
          bytes: new Uint8Array(Float32Array.from(list).buffer),
        });
        const rules = { mode: "nearest", coordinate_transformation_mode: "asymmetric", nearest_mode: "floor" };
        return this.block(g.op("Resize", [this.unblock(x), "", factors], rules));
      }
      default:
        return this.block(g.op(node.op, [this.unblock(x)], node.attributes));
    }
  }

  conv(node: Node, x: string, w: string, bias?: string, sum?: string): string {
    const { g, B } = this;
    const [o, i, kh, kw] = this.dims(w);
    const group = int(node, "group", 1);
    const isImage = group === 1 && i < B;
    const isDense = !isImage && i > 1;
    const filter = isDense
      ? g.transpose(g.reshape(w, [o / B, i / B, kh, kw, B, B]), [0, 5, 1, 4, 2, 3])
      : g.transpose(g.reshape(w, [o / B, i, kh, kw, B]), [0, 4, 1, 2, 3]);
    const { activation, ...attributes } = node.attributes;
    const inputs = [isImage ? x : this.unblock(x), g.reshape(filter, [o, i, kh, kw]), bias ?? ""];
    let y = g.op("Conv", inputs, attributes);
    if (sum) y = g.op("Add", [y, this.unblock(sum)]);
    return this.block(activation ? g.op("Relu", [y]) : y);
  }

  /** [n,C,h,w] to the memory of [n,C/B,h,w,B], declared as before. */
  block(x: string): string {
    const { g, B } = this;
    const shape = g.op("Shape", [x]);
    const [n, h, w] = [0, 2, 3].map((axis) => g.op("Slice", [shape, g.ints([axis]), g.ints([axis + 1])]));
    const split = g.op("Concat", [n!, g.ints([-1]), g.ints([B]), h!, w!], { axis: 0 });
    return g.op("Reshape", [g.transpose(g.op("Reshape", [x, split]), [0, 1, 3, 4, 2]), shape]);
  }
  unblock(x: string): string {
    const { g, B } = this;
    const shape = g.op("Shape", [x]);
    const [n, h, w] = [0, 2, 3].map((axis) => g.op("Slice", [shape, g.ints([axis]), g.ints([axis + 1])]));
    const split = g.op("Concat", [n!, g.ints([-1]), h!, w!, g.ints([B])], { axis: 0 });
    return g.op("Reshape", [g.transpose(g.op("Reshape", [x, split]), [0, 1, 4, 2, 3]), shape]);
  }
  padChannels(x: string): string {
    const { g, B } = this;
    const c = g.op("Slice", [g.op("Shape", [x]), g.ints([1]), g.ints([2])]);
    const lack = g.op("Mod", [g.op("Neg", [c]), g.ints([B])]);
    return g.op("Pad", [x, g.op("Concat", [g.ints([0, 0, 0, 0, 0]), lack, g.ints([0, 0])], { axis: 0 })]);
  }
  /** Dims of a filter: the lowering ends each in a Reshape. */
  dims(w: string): [number, number, number, number] {
    const maker = this.graph.nodes.find((n) => n.outputs.includes(w));
    const shape = maker?.op === "Reshape" ? this.graph.initializers.get(maker.inputs[1]!) : undefined;
    if (!shape) throw new Error(`filter ${w} has no known shape`);
    return Array.from(new BigInt64Array(shape.bytes.slice().buffer), Number) as [number, number, number, number];
  }
}
