/** Which names a node or a body reads from the graphs around it, and an order of nodes in which every name is computed before it is read. */

import { PareError } from "./error.js";
import type { Attribute, Node, Subgraph } from "./graph.js";
import { plain, quote } from "./quote.js";

/** The bodies that a node carries in its attributes (If, Loop, Scan, ...). */
export function bodiesOf(node: { readonly attributes: Readonly<Record<string, Attribute>> }): Subgraph[] {
  return Object.values(node.attributes).flatMap((a) =>
    a.kind === "graph" ? [a.value] : a.kind === "graphs" ? [...a.value] : [],
  );
}

/** A node whose bodies went through `change`; the node itself where they all came back unchanged. */
export function withBodies(node: Node, change: (body: Subgraph) => Subgraph): Node {
  let attributes: Record<string, Attribute> | undefined;
  for (const [name, a] of Object.entries(node.attributes)) {
    if (a.kind !== "graph" && a.kind !== "graphs") continue;
    const before = a.kind === "graph" ? [a.value] : a.value;
    const after = before.map(change);
    if (after.every((body, i) => body === before[i])) continue;
    attributes ??= { ...node.attributes };
    attributes[name] = a.kind === "graph" ? { ...a, value: after[0]! } : { ...a, value: after };
  }
  return attributes ? { ...node, attributes } : node;
}

/** Names of initialisers in sparse form, which stay in `extra` as they were read. */
export function sparseNames(graph: Subgraph): string[] {
  const { sparseInitializer } = (graph.extra ?? {}) as { sparseInitializer?: { values?: { name: string } }[] };
  return sparseInitializer?.map((s) => s.values?.name ?? "") ?? [];
}

/** Names that stand in a graph without a node computing them: inputs and initialisers. */
export const givenNames = (graph: Subgraph): Set<string> =>
  new Set([...graph.inputs.map((v) => v.name), ...graph.initializers.keys(), ...sparseNames(graph)]);

/** Names that a body reads from the graphs around it. */
export function capturedNames(body: Subgraph): Set<string> {
  const own = givenNames(body);
  for (const n of body.nodes) for (const o of n.outputs) own.add(o);
  const captured = new Set<string>();
  for (const n of body.nodes) for (const name of readNames(n)) if (!own.has(name)) captured.add(name);
  for (const v of body.outputs) if (!own.has(v.name)) captured.add(v.name);
  return captured;
}

/** Every name that a node reads, by its inputs or inside its bodies; absent inputs left out. */
export function readNames(node: Node): Set<string> {
  const names = new Set(node.inputs);
  for (const body of bodiesOf(node)) for (const name of capturedNames(body)) names.add(name);
  names.delete("");
  return names;
}

/** How often each name is read by nodes, those of bodies included; being an output counts too. Names that nobody reads are absent. */
export function readCounts(graph: Subgraph, counts = new Map<string, number>()): Map<string, number> {
  const add = (name: string) => counts.set(name, (counts.get(name) ?? 0) + 1);
  for (const n of graph.nodes) {
    for (const name of n.inputs) if (name) add(name);
    for (const body of bodiesOf(n)) readCounts(body, counts);
  }
  for (const v of graph.outputs) add(v.name);
  return counts;
}

export class CycleError extends PareError {}

/** Nodes in an order in which names are computed before they are read; those already in order keep it. Throws PareError that shows the cycle where there is one. */
export function sortNodes(nodes: readonly Node[]): readonly Node[] {
  const producer = new Map<string, number>();
  nodes.forEach((n, i) => {
    for (const o of n.outputs) if (o !== "" && !producer.has(o)) producer.set(o, i);
  });
  const sources = nodes.map((n) => [...readNames(n)].map((name) => producer.get(name)).filter((i) => i !== undefined));
  if (sources.every((list, i) => list.every((j) => j < i))) return nodes;
  const order: number[] = [];
  const state = new Uint8Array(nodes.length); // 1: on the path, 2: placed
  const path: { node: number; next: number }[] = [];
  for (let root = 0; root < nodes.length; root++) {
    if (state[root] === 0) path.push({ node: root, next: 0 });
    for (let top = path.at(-1); top; top = path.at(-1)) {
      state[top.node] = 1;
      const source = sources[top.node]![top.next++];
      if (source === undefined) {
        state[top.node] = 2;
        order.push(top.node);
        path.pop();
      } else if (state[source] === 1) {
        const cycle = path.slice(path.findIndex((p) => p.node === source)).map((p) => p.node);
        throw new CycleError(`${cycle.length} nodes form a cycle: ${cycleText(cycle.map((i) => nodes[i]!))}`);
      } else if (state[source] === 0) path.push({ node: source, next: 0 });
    }
  }
  return order.map((i) => nodes[i]!);
}

const cycleText = (cycle: readonly Node[]): string => {
  const shown = cycle.slice(0, 5).map((n) => `${plain(n.op)} ${quote(n.name)}`);
  return [...shown, ...(cycle.length > 5 ? ["..."] : []), shown[0]].join(" needs ");
};
