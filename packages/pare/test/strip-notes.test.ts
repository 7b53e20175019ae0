/** What parts of a model say about themselves costs bytes and goes; metadata of the model and fields that Pare does not know stay. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { emptyGraph, type Graph } from "../dist/graph/graph.js";
import { stripNotes } from "../dist/passes/strip-notes.js";

test("doc strings and metadata of nodes go, the model's metadata and unknown fields stay", () => {
  const extra = { docString: "why", metadataProps: [{ key: "pkg.torch.onnx.stack_trace", value: "File …" }] };
  const relu = { op: "Relu", domain: "", name: "r", inputs: ["x"], outputs: ["y"], attributes: {} };
  const graph: Graph = {
    ...emptyGraph("noted", 17),
    metadata: new Map([["character", "a\nb"]]),
    extra: { ...extra, model: { producerName: "exporter" } },
    nodes: [
      { ...relu, extra },
      { ...relu, outputs: ["z"], extra: { ...extra, overload: "kept" } },
    ],
  };
  const bare = stripNotes(graph);
  assert.deepEqual(
    bare.nodes.map((n) => n.extra),
    [undefined, { overload: "kept" }],
  );
  assert.deepEqual(bare.extra, { model: { producerName: "exporter" } });
  assert.deepEqual([...bare.metadata], [["character", "a\nb"]]);
});
