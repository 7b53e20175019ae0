/** What the functions of a model must satisfy: see `check`. */

import type { Problems } from "./check.js";
import { checkNodes, checkOpsets } from "./check.js";
import type { FunctionDefinition, Graph, Node } from "./graph.js";
import { plain, quote } from "./quote.js";
import { bodiesOf } from "./scope.js";

const maxInlinedNodes = 1_000_000;

const idOf = (domain: string, op: string, overload: string): string => `${domain}:${op}${overload && `:${overload}`}`;
const calledBy = (n: Node): string => idOf(n.domain, n.op, ((n.extra ?? {}) as { overload?: string }).overload ?? "");

export function checkFunctions(graph: Graph, problems: Problems): void {
  const functions = new Map<string, FunctionDefinition>();
  const domains = new Set(graph.functions.map((f) => f.domain));
  for (const f of graph.functions) {
    const id = idOf(f.domain, f.name, f.overload);
    if (functions.has(id)) problems.add(`two functions are named ${plain(id)}`);
    functions.set(id, f);
    checkFunction(f, domains, problems);
  }
  checkCalls(graph, functions, problems);
}

function checkFunction(f: FunctionDefinition, domains: ReadonlySet<string>, problems: Problems): void {
  const where = `function ${plain(`${f.domain}:${f.name}`)}`;
  checkOpsets(f.opsets, where, problems);
  const { attributeProto } = (f.extra ?? {}) as { attributeProto?: { name: string }[] };
  const scope = checkNodes(
    f.nodes,
    new Set(f.inputs),
    {
      scope: null,
      within: `${where}: `,
      depth: 0,
      imported: (domain) => f.opsets.has(domain) || domains.has(domain),
      attributes: new Set([...f.attributes, ...(attributeProto ?? []).map((a) => a.name)]),
    },
    problems,
  );
  for (const o of f.outputs)
    if (!scope.names.has(o)) problems.add(`${where}: output ${quote(o)} is computed by nothing`);
}

/** Calls in a list of nodes, bodies included, and how many nodes there are. */
function callsIn(nodes: readonly Node[], functions: ReadonlyMap<string, unknown>): { calls: string[]; count: number } {
  const calls: string[] = [];
  let count = 0;
  const visit = (list: readonly Node[]): void => {
    for (const n of list) {
      count++;
      if (functions.has(calledBy(n))) calls.push(calledBy(n));
      for (const body of bodiesOf(n)) visit(body.nodes);
    }
  };
  visit(nodes);
  return { calls, count };
}

function checkCalls(graph: Graph, functions: ReadonlyMap<string, FunctionDefinition>, problems: Problems): void {
  const sizes = new Map<string, number>();
  const open = new Set<string>();
  const inlined = (nodes: readonly Node[]): number => {
    const { calls, count } = callsIn(nodes, functions);
    return calls.reduce((sum, id) => sum + sizeOf(id), count);
  };
  const sizeOf = (id: string): number => {
    const known = sizes.get(id);
    if (known !== undefined) return known;
    if (open.has(id) || open.size > 100) {
      problems.add(
        open.has(id)
          ? `function ${plain(id)} calls itself: ${[...open].map(plain).join(" -> ")}`
          : "functions call one another more than 100 deep",
      );
      return 0;
    }
    open.add(id);
    const size = inlined(functions.get(id)!.nodes);
    open.delete(id);
    sizes.set(id, size);
    return size;
  };
  const total = [...functions.keys()].reduce((sum, id) => Math.max(sum, sizeOf(id)), inlined(graph.nodes));
  if (total > maxInlinedNodes)
    problems.add(`its functions, written out, come to ${total} nodes; more than ${maxInlinedNodes} are refused`);
}
