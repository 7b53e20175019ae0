/** Wiring -> nodes that onnxruntime computes together with their neighbours in one float kernel: integers would tear the group apart, at a loss of speed and accuracy. */
import type { Placed, Wiring } from "./wiring.js";

/** By key: the group, in words. */
export function fusedInFloat(wiring: Wiring): Map<string, string> {
  const found = new Map<string, string>();
  for (const at of wiring.nodes) {
    const group = at.node.op === "Sqrt" ? normalisation(at, wiring) : at.node.op === "Erf" ? gelu(at, wiring) : null;
    for (const { key } of group?.nodes ?? []) found.set(key, group!.name);
  }
  return found;
}

interface Group {
  readonly name: string;
  /** Those that could run on integers by themselves. */
  readonly nodes: readonly Placed[];
}

/** (x - mean) / sqrt(variance + epsilon) x scale + shift, spelled out. */
function normalisation(root: Placed, wiring: Wiring): Group | null {
  const epsilon = wiring.producer.get(root.node.inputs[0]!);
  const divide = onlyReader(root, wiring);
  if (epsilon?.node.op !== "Add" || divide?.node.op !== "Div" || divide.node.inputs[1] !== root.key) return null;
  const scale = next(divide, "Mul", wiring);
  const shift = scale && next(scale, "Add", wiring);
  return { name: "normalisation", nodes: [epsilon, ...(scale ? [scale] : []), ...(shift ? [shift] : [])] };
}

/** x / sqrt(2) -> Erf -> + 1 -> x x -> x 1/2, the half before or after. */
function gelu(erf: Placed, wiring: Wiring): Group | null {
  const divide = wiring.producer.get(erf.node.inputs[0]!);
  const one = next(erf, "Add", wiring);
  const product = one && onlyReader(one, wiring);
  if (divide?.node.op !== "Div" || !one || product?.node.op !== "Mul") return null;
  const half = next(product, "Mul", wiring);
  const other = product.node.inputs.find((name) => name !== one.key);
  const before = other === undefined ? undefined : wiring.producer.get(other);
  const halved = !half && before?.node.op === "Mul" && readsConstant(before, wiring) ? before : null;
  return { name: "Gelu", nodes: [one, product, half, halved].filter((at) => at !== null) };
}

function onlyReader({ key }: Placed, wiring: Wiring): Placed | null {
  const [only, ...others] = wiring.readers.get(key) ?? [];
  return only && others.length === 0 && !wiring.leaving.has(key) ? only.at : null;
}
/** The node that alone reads this one, where it is of that operator and its other input a constant. */
function next(at: Placed, op: string, wiring: Wiring): Placed | null {
  const reader = onlyReader(at, wiring);
  return reader?.node.op === op && readsConstant(reader, wiring) ? reader : null;
}
const readsConstant = ({ node }: Placed, wiring: Wiring): boolean =>
  node.inputs.some((name) => wiring.constants.has(name));
