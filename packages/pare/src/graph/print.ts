/** Graph -> text: one line per node with operator, name, inputs -> outputs, their shapes, and the bytes of its constants. */
import type { Graph, Node, Subgraph, Tensor, ValueType } from "./graph.js";
import { plain, quote } from "./quote.js";
import { bodiesOf } from "./scope.js";

/** Shapes by name, such as inference finds; what the file itself says is used where there are none. */
export interface Facts {
  get(name: string): ValueType | undefined;
}

/** A model as text. Bodies of control flow are indented below their node. */
export function print(graph: Graph, facts?: Facts): string {
  const opsets = [...graph.opsets].map(([domain, version]) => `${domain || "onnx"} ${version}`).join(", ");
  const bytes = sum([...graph.initializers.values()].map(bytesOf));
  const head = [
    `graph ${quote(graph.name)}: IR ${graph.irVersion}, ${opsets}, ${count(graph.nodes.length, "node")}, ` +
      `${count(graph.initializers.size, "initialiser")} of ${size(bytes)}`,
  ];
  for (const f of graph.functions)
    head.push(`function ${plain(`${f.domain}.${f.name}`)}: ${count(f.nodes.length, "node")}`);
  return `${[...head, ...printBody(graph, facts, null, "  ")].join("\n")}\n`;
}

interface Names {
  lookup(name: string): ValueType | null;
  constant(name: string): Tensor | null;
}

function printBody(graph: Subgraph, facts: Facts | undefined, outer: Names | null, indent: string): string[] {
  const said = new Map<string, ValueType>([...graph.values]);
  for (const v of [...graph.inputs, ...graph.outputs]) said.set(v.name, v);
  for (const [name, t] of graph.initializers) said.set(name, { type: t.type, shape: t.dims });
  const names: Names = {
    lookup: (name) => facts?.get(name) ?? said.get(name) ?? outer?.lookup(name) ?? null,
    constant: (name) => graph.initializers.get(name) ?? outer?.constant(name) ?? null,
  };
  const show = (name: string) => (name === "" ? "-" : `${plain(name)}${typeText(names.lookup(name))}`);
  const lines = graph.inputs
    .filter((v) => !graph.initializers.has(v.name))
    .map((v) => `${indent}input ${show(v.name)}`);
  for (const n of graph.nodes) {
    const bytes = sum(n.inputs.map((name) => bytesOf(names.constant(name)))) + sum(tensorsIn(n).map(bytesOf));
    const reads = n.inputs.map(show).join(", ");
    const writes = n.outputs.map(show).join(", ");
    const op = n.domain ? `${n.domain}.${n.op}` : n.op;
    lines.push(
      `${indent}${plain(op)} ${quote(n.name)} ${reads}${reads ? " " : ""}-> ${writes}${bytes ? `  ${size(bytes)}` : ""}`,
    );
    for (const body of bodiesOf(n)) {
      lines.push(`${indent}  body ${quote(body.name)}`);
      lines.push(...printBody(body, facts, names, `${indent}    `));
    }
  }
  return [...lines, ...graph.outputs.map((v) => `${indent}output ${show(v.name)}`)];
}

const tensorsIn = (n: Node): Tensor[] =>
  Object.values(n.attributes).flatMap((a) => (a.kind === "tensor" ? [a.value] : []));
const bytesOf = (t: Tensor | null): number => (t ? t.bytes.length + sum(t.strings?.map((s) => s.length) ?? []) : 0);
const sum = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0);

function typeText(v: ValueType | null): string {
  if (!v || (v.type === "undefined" && v.shape === null)) return v?.other ? " (not a tensor)" : "";
  const dims = v.shape?.map((d) => (d === "" ? "?" : typeof d === "number" ? String(d) : plain(d)));
  return ` ${v.type === "float32" ? "" : v.type}[${dims ? dims.join(",") : "..."}]`;
}

const count = (n: number, what: string): string => `${n} ${what}${n === 1 ? "" : "s"}`;
const units = ["B", "KB", "MB", "GB"] as const;
/** Decimal units. */
function size(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}
