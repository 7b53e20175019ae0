/** The registry as a whole, and what a record says of nodes that are wrong. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { PareError } from "../dist/graph/error.js";
import type { Attribute, Node, ValueType } from "../dist/graph/graph.js";
import { compositeOperators } from "../dist/ops/composite.js";
import { mathOperators } from "../dist/ops/math.js";
import { isNone } from "../dist/ops/record.js";
import { operators, recordOf } from "../dist/ops/registry.js";
import { siteOf } from "../dist/ops/site.js";
import { structureOperators } from "../dist/ops/structure.js";

test("every operator has one record", () => {
  const all = [...mathOperators.flat(), ...structureOperators.flat(), ...compositeOperators];
  const keys = all.map((o) => `${o.domain}:${o.type}`);
  assert.deepEqual(
    keys.filter((k, i) => keys.indexOf(k) !== i),
    [],
  );
  assert.equal(operators.size, all.length);
});

test("every facet that does not apply says why", () => {
  for (const o of operators.values())
    for (const facet of [o.axes, o.grad, o.quant, o.packs, o.fold])
      if (isNone(facet)) assert.match(facet.none, /\w+ \w+/, `${o.type}: "${facet.none}" is no reason`);
});

const nodeOf = (op: string, inputs: number, attributes: Record<string, Attribute>): Node => ({
  op,
  domain: "",
  name: "layer1/it",
  inputs: Array.from({ length: inputs }, (_, i) => `x${i}`),
  outputs: ["y"],
  attributes,
});
function infer(op: string, attributes: Record<string, Attribute>, ...shapes: (readonly number[])[]) {
  const node = nodeOf(op, shapes.length, attributes);
  const record = recordOf(node);
  assert.ok(record);
  const x = shapes.map((shape): ValueType => ({ type: "float32", shape }));
  return record.shape(siteOf(record, { node, opset: 13, x }));
}
const refuses = (wanted: RegExp, run: () => unknown) =>
  assert.throws(run, (e) => e instanceof PareError && wanted.test(e.message));

test("an attribute of the wrong kind is named, with both kinds", () => {
  refuses(/Conv "layer1\/it": attribute "strides" should be ints, is float/, () =>
    infer("Conv", { strides: { kind: "float", value: 2 } }, [1, 3, 8, 8], [4, 3, 3, 3]),
  );
  refuses(/Gemm "layer1\/it": attribute "alpha" should be float, is int/, () =>
    infer("Gemm", { alpha: { kind: "int", value: 2 } }, [1, 3], [3, 4]),
  );
  refuses(/Conv "layer1\/it": attribute "group" is 9007199254740993, beyond/, () =>
    infer("Conv", { group: { kind: "int", value: 9007199254740993n } }, [1, 3, 8, 8], [4, 3, 3, 3]),
  );
  refuses(/LRN "layer1\/it": attribute "size" \(int\) is missing/, () => infer("LRN", {}, [1, 3, 8, 8]));
});

test("what does not fit is said with both values", () => {
  const ints = (...value: number[]): Attribute => ({ kind: "ints", value });
  const int = (value: number): Attribute => ({ kind: "int", value });
  refuses(/weight \[64,4,7,7\] with group 1 expects 4 input channels, x \[1,3,224,224\] has 3/, () =>
    infer("Conv", {}, [1, 3, 224, 224], [64, 4, 7, 7]),
  );
  refuses(/6 channels of the weight do not divide into 4 groups/, () =>
    infer("Conv", { group: int(4) }, [1, 8, 8, 8], [6, 2, 3, 3]),
  );
  refuses(/"strides" has 3 entries; 2 spatial axes need 2/, () =>
    infer("Conv", { strides: ints(1, 1, 1) }, [1, 3, 8, 8], [4, 3, 3, 3]),
  );
  refuses(/a window of 9 does not fit spatial axis 0 of 8/, () =>
    infer("MaxPool", { kernel_shape: ints(9, 9) }, [1, 3, 8, 8]),
  );
  refuses(/"strides" holds 0; at least 1/, () =>
    infer("MaxPool", { kernel_shape: ints(2, 2), strides: ints(0, 1) }, [1, 3, 8, 8]),
  );
  refuses(/"kernel_shape" is missing/, () => infer("AveragePool", {}, [1, 3, 8, 8]));
  refuses(/auto_pad "SAME" should be one of/, () =>
    infer("Conv", { auto_pad: { kind: "string", value: "SAME" } }, [1, 3, 8, 8], [4, 3, 3, 3]),
  );
  refuses(/shapes \[2,3\], \[2,4\] do not broadcast: 3 against 4/, () => infer("Add", {}, [2, 3], [2, 4]));
  refuses(/inner lengths of A and B: 3 and 4 should be equal/, () => infer("MatMul", {}, [2, 3], [4, 5]));
  refuses(/input 0 \[2,3,4\] should be a matrix/, () => infer("Gemm", {}, [2, 3, 4], [4, 5]));
  refuses(/axis 3 is outside rank 2/, () => infer("Softmax", { axis: int(3) }, [2, 3]));
  refuses(/axis -3 is outside rank 2/, () => infer("ReduceMean", { axes: ints(-3) }, [2, 3]));
  refuses(/does not divide into 4 groups/, () =>
    infer("GroupNormalization", { num_groups: int(4) }, [2, 6, 3], [6], [6]),
  );
  refuses(/Add "layer1\/it": input 1 is missing/, () => {
    const node = nodeOf("Add", 2, {});
    const record = recordOf(node)!;
    record.shape(siteOf(record, { node, opset: 13, x: [{ type: "float32", shape: [1] }, null] }));
  });
});
