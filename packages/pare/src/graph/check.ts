/** What every Graph must satisfy, the bodies of control flow and functions included. */

import { checkFunctions } from "./check-functions.js";
import { PareError } from "./error.js";
import type { Graph, Node, Subgraph, Tensor, Value } from "./graph.js";
import { plain, quote } from "./quote.js";
import { bodiesOf, readNames, sortNodes, sparseNames } from "./scope.js";
import { byteLengthOf, sizeOf } from "./tensor.js";

const maxBodyDepth = 32;
const maxProblems = 20;

/** Collects what is wrong, so that one error lists it all. */
export class Problems {
  readonly #list: string[] = [];
  #more = 0;
  add(problem: string): void {
    if (this.#list.length < maxProblems) this.#list.push(problem);
    else this.#more++;
  }
  throwIfAny(): void {
    if (this.#list.length === 0) return;
    const more = this.#more ? [`and ${this.#more} more`] : [];
    const [first, ...others] = this.#list;
    if (others.length === 0) throw new PareError(`the model is not valid: ${first}`);
    throw new PareError(`the model is not valid:\n${[...this.#list, ...more].map((p) => `  - ${p}`).join("\n")}`);
  }
}

/**
 * Throws a PareError that lists what is wrong:
 * - a version is imported for every operator domain in use;
 * - within a graph each name is given once: by an input or an initialiser (or both), or by one output of one node;
 * - nodes are sorted: what a node or a body inside it reads is an initialiser, an input, or computed before, here or in a graph around;
 * - graph outputs are computed;
 * - tensors have exactly the bytes that their type and shape need;
 * - bodies nest at most 32 deep; a reference to a function's attribute stands only in a function;
 * - functions have distinct ids and do not call themselves, directly or through others, and stay below a million nodes when inlined.
 */
export function check(graph: Graph): void {
  const problems = new Problems();
  if (!isVersion(graph.irVersion)) problems.add(`IR version ${graph.irVersion} does not exist; it is at least 1`);
  checkOpsets(graph.opsets, "the model", problems);
  const functionDomains = new Set(graph.functions.map((f) => f.domain));
  const imported = (domain: string) => graph.opsets.has(domain) || functionDomains.has(domain);
  checkBody(graph, { scope: null, within: "", depth: 0, imported, attributes: null }, problems);
  checkFunctions(graph, problems);
  problems.throwIfAny();
}

const isVersion = (version: number): boolean => Number.isInteger(version) && version >= 1 && version < 2 ** 31;

export function checkOpsets(opsets: ReadonlyMap<string, number>, where: string, problems: Problems): void {
  for (const [domain, version] of opsets)
    if (!isVersion(version))
      problems.add(`${where} imports version ${version} of domain ${quote(domain)}; versions are integers from 1`);
}

interface Scope {
  readonly names: ReadonlySet<string>;
  readonly outer: Scope | null;
}
const sees = (scope: Scope | null, name: string): boolean => {
  for (let s = scope; s; s = s.outer) if (s.names.has(name)) return true;
  return false;
};

/** Where a body stands. */
export interface Place {
  readonly scope: Scope | null;
  /** Leads the texts: the nodes around a body. */
  readonly within: string;
  readonly depth: number;
  readonly imported: (domain: string) => boolean;
  /** Attributes of the function around it; null outside functions. */
  readonly attributes: ReadonlySet<string> | null;
}

/** Nodes in a place: a graph, a body, or a function. `given`: names that no node computes. */
export function checkNodes(nodes: readonly Node[], given: Set<string>, place: Place, problems: Problems): Scope {
  const names = given;
  const scope: Scope = { names, outer: place.scope };
  const later = new Set(nodes.flatMap((n) => n.outputs));
  let unsorted = false;
  nodes.forEach((n, i) => {
    const where = () => `${place.within}node ${i} ${n.op ? plain(n.op) : "(no operator)"} ${quote(n.name)}`;
    if (n.op === "") problems.add(`${where()} names no operator`);
    if (!place.imported(n.domain))
      problems.add(`${where()} is of domain ${quote(n.domain)}, for which the model imports no version`);
    const reads = readNames(n);
    for (const name of reads) {
      if (names.has(name) || (sees(place.scope, name) && !later.has(name))) continue;
      if (later.has(name)) unsorted = true;
      else problems.add(`${where()} reads ${quote(name)}, which nothing computes`);
    }
    checkAttributes(n, where, { ...place, scope }, problems);
    for (const o of n.outputs) {
      if (o === "") continue;
      if (names.has(o))
        problems.add(`${where()} computes ${quote(o)}, which is there already: every name is given once`);
      names.add(o);
    }
  });
  if (unsorted) problems.add(`${place.within}${whyUnsorted(nodes)}`);
  return scope;
}

function whyUnsorted(nodes: readonly Node[]): string {
  try {
    sortNodes(nodes);
    return "the nodes are not sorted: one reads what a later one computes";
  } catch (error) {
    return (error as PareError).message;
  }
}

function checkAttributes(n: Node, where: () => string, place: Place, problems: Problems): void {
  for (const [name, a] of Object.entries(n.attributes)) {
    const at = () => `${where()}, attribute ${quote(name)}`;
    if (a.kind === "tensor") checkTensor(a.value, at, problems);
    if (a.kind === "ref" && !place.attributes?.has(a.value))
      problems.add(`${at()} refers to an attribute ${quote(a.value)} that no function around it has`);
  }
  const bodies = bodiesOf(n);
  if (bodies.length > 0 && place.depth >= maxBodyDepth) {
    problems.add(`${where()}: bodies are nested deeper than ${maxBodyDepth}`);
    return;
  }
  for (const body of bodies)
    checkBody(body, { ...place, within: `${where()}, body ${quote(body.name)}: `, depth: place.depth + 1 }, problems);
}

function checkBody(graph: Subgraph, place: Place, problems: Problems): void {
  const given = new Set<string>();
  const give = (name: string, what: string) => {
    if (name === "") problems.add(`${place.within}${what} has no name`);
    else if (given.has(name)) problems.add(`${place.within}two of the graph's ${what}s are named ${quote(name)}`);
    given.add(name);
  };
  for (const v of graph.inputs) give(v.name, "input");
  for (const name of [...graph.initializers.keys(), ...sparseNames(graph)]) {
    if (name === "") problems.add(`${place.within}an initialiser has no name`);
    given.add(name);
  }
  for (const [name, t] of graph.initializers)
    checkTensor(t, () => `${place.within}initialiser ${quote(name)}`, problems);
  for (const v of [...graph.inputs, ...graph.outputs, ...graph.values.values()]) checkValue(v, place.within, problems);
  const scope = checkNodes(graph.nodes, given, place, problems);
  for (const v of graph.outputs)
    if (!sees(scope, v.name)) problems.add(`${place.within}output ${quote(v.name)} is computed by nothing`);
}

const isLength = (d: number): boolean => Number.isSafeInteger(d) && d >= 0;

function checkValue(v: Value, within: string, problems: Problems): void {
  if (v.shape?.some((d) => typeof d === "number" && !isLength(d)))
    problems.add(`${within}${quote(v.name)} has shape [${v.shape}]; lengths are integers from 0`);
}

function checkTensor(t: Tensor, where: () => string, problems: Problems): void {
  if (!t.dims.every(isLength)) {
    problems.add(`${where()}: shape [${t.dims}]; lengths are integers from 0`);
    return;
  }
  const [has, needs, unit] =
    t.type === "string"
      ? [t.strings?.length ?? 0, sizeOf(t.dims), "strings"]
      : [t.bytes.length, byteLengthOf(t.type, t.dims), "bytes"];
  if (has !== needs) problems.add(`${where()}: ${t.type} [${t.dims}] needs ${needs} ${unit}, it has ${has}`);
}
