/** What is fuzzed. A target that reads another kind of file is one more entry of the list. */
import { readFileSync } from "node:fs";
import { checkedFrom, crc32 } from "@pare/runtime/writer";
import { infer } from "../../dist/analyze/infer.js";
import { fromBytes } from "../../dist/graph/decode.js";
import { toBytes } from "../../dist/graph/encode.js";
import { print } from "../../dist/graph/print.js";
import { pack, unpack } from "../../dist/pack/pack.js";
import { dropDeadNodes } from "../../dist/passes/drop-dead-nodes.js";
import { dropInitializerInputs } from "../../dist/passes/drop-initializer-inputs.js";
import { liftConstants } from "../../dist/passes/lift-constants.js";
import { conformance } from "../support/conformance.js";
import { handMadeModels } from "../support/hand-made.js";
import { packagedModels, sharedModels } from "../support/models.js";
import { assertSame } from "../support/same.js";
import { sharedData } from "../support/shared.js";
import { mutate, type Random } from "./mutate.js";
import { mutateModel } from "./mutate-model.js";

export interface Target {
  readonly name: string;
  /** Good files to start from, small ones first. */
  readonly corpus: () => Uint8Array[];
  /** A damaged copy; `mutate` where a target has nothing of its own. */
  readonly damage: (bytes: Uint8Array, random: Random) => Uint8Array;
  /** Reads a file. Whatever is wrong with it must be a PareError. */
  readonly parse: (bytes: Uint8Array) => unknown;
}

const damageModel: Target["damage"] = (bytes, random) =>
  random() < 0.5
    ? mutate(bytes, random)
    : random() < 0.8
      ? mutateModel(bytes, random)
      : mutate(mutateModel(bytes, random), random);

let models: Uint8Array[] | undefined;
function modelCorpus(): Uint8Array[] {
  models ??= [
    ...Object.values(handMadeModels()),
    ...(sharedData ? [...conformance("node", () => true)].filter((c) => c.set === 0).map((c) => c.model) : []),
    ...[...packagedModels(), ...sharedModels()].map((m) => new Uint8Array(readFileSync(m.path))),
  ].sort((a, b) => a.length - b.length);
  return models;
}

/** Packed, they are all small; what is too slow to pack for a fuzzer's start is left out. */
let packed: Uint8Array[] | undefined;
function packedCorpus(): Uint8Array[] {
  packed ??= modelCorpus()
    .filter((bytes, i) => bytes.length < 100_000 && (i < 20 || i % 20 === 0))
    .map((bytes) => pack(fromBytes(bytes)))
    .sort((a, b) => a.length - b.length);
  return packed;
}

/** Most damaged files get a checksum that fits, or the fuzzer would not see past it. */
const damagePacked: Target["damage"] = (bytes, random) => {
  const out = mutate(bytes, random).slice();
  if (out.length > checkedFrom && random() < 0.95)
    new DataView(out.buffer).setUint32(5, crc32(out.subarray(checkedFrom)), true);
  return out;
};

export const targets: readonly Target[] = [
  {
    name: "models",
    corpus: modelCorpus,
    damage: damageModel,
    parse: (bytes) => {
      const graph = fromBytes(bytes);
      assertSame(fromBytes(toBytes(graph)), graph, "read -> write -> read");
      print(graph);
      fromBytes(toBytes(dropDeadNodes(dropInitializerInputs(liftConstants(graph)))));
    },
  },
  {
    name: "inference",
    corpus: modelCorpus,
    damage: mutateModel,
    parse: (bytes) => infer(fromBytes(bytes)),
  },
  {
    name: "packed",
    corpus: packedCorpus,
    damage: damagePacked,
    parse: unpack,
  },
];
