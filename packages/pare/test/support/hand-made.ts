/** Small models made here, one for each thing that a file can hold: where there is no ../shared/data they are all there is to damage. */
import { create, toBinary } from "@bufbuild/protobuf";
import { attribute, node } from "../../dist/graph/emit.js";
import { toBytes } from "../../dist/graph/encode.js";
import { ModelProtoSchema } from "../../dist/graph/generated/onnx_pb.js";
import type { Attribute, FunctionDefinition, Graph, Subgraph, Value } from "../../dist/graph/graph.js";
import { floats, int64s } from "../../dist/graph/tensor.js";
import { seeded } from "./ort-outputs.js";
import { ramp, sumOf } from "./small-graph.js";

const float = (name: string, shape: Value["shape"] = ["n"]): Value => ({ name, type: "float32", shape });
const body = (name: string, content: Partial<Subgraph>): Attribute => ({
  kind: "graph",
  value: { name, nodes: [], initializers: new Map(), inputs: [], outputs: [], values: new Map(), ...content },
});

/** y = x + 1 or x * 2 by the sign of the sum; the branches read x from outside. */
export function branching(): Graph {
  const graph = sumOf({});
  const branch = (op: string, value: number) =>
    body(op, {
      initializers: new Map([[`${op}_c`, floats([value], [1])]]),
      nodes: [node(op, ["x", `${op}_c`], [`${op}_y`])],
      outputs: [float(`${op}_y`)],
    });
  graph.nodes = [
    node("ReduceSum", ["x"], ["sum"], { keepdims: 0 }),
    node("Constant", [], ["zero"], { value: { kind: "tensor", value: floats([0], []) } }),
    node("Greater", ["sum", "zero"], ["positive"]),
    node("If", ["positive"], ["y"], { then_branch: branch("Add", 1), else_branch: branch("Mul", 2) }),
  ];
  graph.outputs = [float("y")];
  return graph;
}

/** y = x doubled three times, in a Loop. */
export function looping(): Graph {
  const graph = sumOf({ trips: int64s([3], []), go: { type: "bool", dims: [], bytes: Uint8Array.of(1) } });
  const loop = body("step", {
    inputs: [{ name: "i", type: "int64", shape: [] }, { name: "go_in", type: "bool", shape: [] }, float("v")],
    nodes: [node("Identity", ["go_in"], ["go_out"]), node("Add", ["v", "v"], ["w"])],
    outputs: [{ name: "go_out", type: "bool", shape: [] }, float("w")],
  });
  graph.nodes = [node("Loop", ["trips", "go", "x"], ["y"], { body: loop })];
  return graph;
}

/** y = f(f(x)) with f(x) = alpha x; a function with an attribute, called twice through another. */
export function calling(): Graph {
  const graph = sumOf({});
  const scale: FunctionDefinition = {
    name: "Scale",
    domain: "own",
    overload: "",
    inputs: ["a"],
    outputs: ["b"],
    attributes: ["alpha"],
    nodes: [
      node("Constant", [], ["k"], {
        value_float: { kind: "ref", value: "alpha", proto: { refAttrName: "alpha", type: 1 } },
      }),
      node("Mul", ["a", "k"], ["b"]),
    ],
    opsets: new Map([["", 17]]),
  };
  const twice: FunctionDefinition = {
    ...scale,
    name: "Twice",
    attributes: [],
    nodes: [
      node("Scale", ["a"], ["m"], { alpha: { float: 3 } }, "own"),
      node("Scale", ["m"], ["b"], { alpha: { float: 0.5 } }, "own"),
    ],
    opsets: new Map([
      ["", 17],
      ["own", 1],
    ]),
  };
  graph.functions = [scale, twice];
  graph.opsets.set("own", 1);
  graph.nodes = [node("Twice", ["x"], ["y"], {}, "own")];
  return graph;
}

/** Every attribute kind, strings, a symbolic and an unknown length, metadata, an unknown operator, unknown fields. */
function everything(): Uint8Array {
  const graph = sumOf({ w: ramp(3) });
  graph.metadata.set("author", "nobody");
  graph.opsets.set("own", 1);
  graph.values.set("after w", float("after w", ["n", "", 4]));
  graph.initializers.set("words", {
    type: "string",
    dims: [2],
    bytes: new Uint8Array(0),
    strings: [Uint8Array.of(104, 105), Uint8Array.of(255)],
  });
  graph.nodes.unshift({
    ...node(
      "Strange",
      ["words", "", "x"],
      ["", "odd"],
      {
        i: 3,
        big: 2n ** 62n,
        f: 0.5,
        s: "text",
        is: [1, -1],
        fs: { floats: [1, 2] },
        ss: ["a", "b"],
      },
      "own",
    ),
    extra: { docString: "kept", $unknown: [{ no: 200, wireType: 0, data: Uint8Array.of(1) }] },
  });
  graph.nodes[0] = { ...graph.nodes[0]!, attributes: { ...graph.nodes[0]!.attributes, empty: attribute("") } };
  return toBytes(graph);
}

/** Fields that Pare keeps without looking into: sparse initialisers, training, quantization, non-tensor types, denotations. */
function kept(): Uint8Array {
  const tensor = (elemType: number, dims: bigint[]) => ({
    value: {
      case: "tensorType" as const,
      value: {
        elemType,
        shape: {
          dim: dims.map((value) => ({ value: { case: "dimValue" as const, value }, denotation: "DATA_BATCH" })),
        },
      },
    },
    denotation: "IMAGE",
  });
  return toBinary(
    ModelProtoSchema,
    create(ModelProtoSchema, {
      irVersion: 8n,
      producerName: "someone",
      docString: "words",
      opsetImport: [{ domain: "ai.onnx", version: 17n }],
      trainingInfo: [{ algorithm: { name: "step", node: [{ opType: "Identity", input: ["x"], output: ["x2"] }] } }],
      graph: {
        name: "kept",
        node: [
          { opType: "Add", input: ["x", "sparse"], output: ["y"] },
          { opType: "SequenceConstruct", input: ["y"], output: ["list"] },
        ],
        input: [{ name: "x", type: tensor(1, [4n]), docString: "an input" }],
        output: [
          { name: "y", type: tensor(1, [4n]) },
          { name: "list", type: { value: { case: "sequenceType", value: { elemType: tensor(1, [4n]) } } } },
        ],
        sparseInitializer: [
          {
            dims: [4n],
            values: { name: "sparse", dims: [1n], dataType: 1, rawData: Uint8Array.of(0, 0, 128, 63) },
            indices: { dims: [1n], dataType: 7, rawData: Uint8Array.of(2, 0, 0, 0, 0, 0, 0, 0) },
          },
        ],
        quantizationAnnotation: [{ tensorName: "x", quantParameterTensorNames: [{ key: "SCALE_TENSOR", value: "s" }] }],
      },
    }),
  );
}

/** y = x and more: pruned weights of seven values, and others of many. */
export function sparseWeights(): Graph {
  const random = seeded(11);
  const one = (share: number, value: () => number) => () => (random() < share ? value() : 0);
  const tensor = (rows: number, columns: number, of: () => number) =>
    floats(Float32Array.from({ length: rows * columns }, of), [rows, columns]);
  return sumOf({
    sparse: tensor(
      40,
      100,
      one(0.1, () => Math.ceil(random() * 7) / 8),
    ),
    dense: tensor(20, 30, () => random() - 0.5),
    bias: floats(
      Float32Array.from({ length: 40 }, () => Math.round(random() * 512) / 512),
      [40],
    ),
  });
}

/** All of them by name, as the bytes of files. */
export const handMadeModels = (): Record<string, Uint8Array> => ({
  sum: toBytes(sumOf({ a: ramp(4), b: floats([2], [1]), c: int64s([1, 2]) })),
  branching: toBytes(branching()),
  looping: toBytes(looping()),
  calling: toBytes(calling()),
  everything: everything(),
  kept: kept(),
});
