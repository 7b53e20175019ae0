/** Every operator Pare knows. Who adds one adds its family to math.ts, structure.ts or composite.ts. */
import type { Node } from "../graph/graph.js";
import { compositeOperators } from "./composite.js";
import { mathOperators } from "./math.js";
import type { Operator } from "./record.js";
import { structureOperators } from "./structure.js";

const all: readonly Operator[] = [...mathOperators.flat(), ...structureOperators.flat(), ...compositeOperators];

const keyOf = (n: { readonly domain: string; readonly type: string }): string => `${n.domain}:${n.type}`;

/** Records by `${domain}:${type}`; the standard domain is "". */
export const operators: ReadonlyMap<string, Operator> = new Map(all.map((o) => [keyOf(o), o]));

/** The record of a node's operator; null for one that Pare does not know. */
export const recordOf = (node: Pick<Node, "op" | "domain">): Operator | null =>
  operators.get(keyOf({ domain: node.domain, type: node.op })) ?? null;
