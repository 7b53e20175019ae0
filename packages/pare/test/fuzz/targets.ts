/** What is fuzzed. A target that reads another kind of file is one more entry of the list. */
import { readFileSync } from "node:fs";
import { infer } from "../../dist/analyze/infer.js";
import { fromBytes } from "../../dist/graph/decode.js";
import { toBytes } from "../../dist/graph/encode.js";
import { print } from "../../dist/graph/print.js";
import { pack, unpack } from "../../dist/pack/pack.js";
import { dropDeadNodes } from "../../dist/passes/drop-dead-nodes.js";
import { dropInitializerInputs } from "../../dist/passes/drop-initializer-inputs.js";
import { liftConstants } from "../../dist/passes/lift-constants.js";
import { canonical } from "../support/canonical.js";
import { conformance } from "../support/conformance.js";
import { handMadeModels, sparseWeights } from "../support/hand-made.js";
import { packagedModels, sharedModels } from "../support/models.js";
import { assertSame } from "../support/same.js";
import { sharedData } from "../support/shared.js";
import { damagePacked, sealed } from "./damage-packed.js";
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

let packed: Uint8Array[] | undefined;
function packedCorpus(): Uint8Array[] {
  packed ??= [
    ...Object.values(handMadeModels()).flatMap((bytes) => {
      const graph = fromBytes(bytes);
      return [pack(graph), pack(graph, { keepNames: true }), pack(graph, { coder: "deep-compression" })];
    }),
    ...modelCorpus()
      .filter((bytes) => bytes.length < 50_000)
      .filter((_, i) => i < 20 || i % 20 === 0)
      .map((bytes) => pack(fromBytes(bytes))),
    pack(sparseWeights()),
    pack(sparseWeights(), { coder: "deep-compression" }),
  ].sort((a, b) => a.length - b.length);
  return packed;
}

export const targets: readonly Target[] = [
  {
    name: "packed",
    corpus: packedCorpus,
    // Most damaged files get a checksum that fits, or the fuzzer would not see past it.
    damage: (bytes, random) => (random() < 0.05 ? damagePacked(bytes, random) : sealed(damagePacked(bytes, random))),
    parse: (bytes) => {
      const graph = unpack(bytes);
      assertSame(canonical(unpack(pack(graph))), canonical(graph), "unpack -> pack -> unpack");
    },
  },
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
];
