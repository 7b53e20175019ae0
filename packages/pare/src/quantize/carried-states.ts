/** A graph enters; which of its inputs look like states that one run hands on to the next leaves, and what judging by samples then assumes. */
import { type Dim, feeds, type Graph, type Value } from "../graph/graph.js";

export interface CarriedState {
  readonly input: string;
  readonly output: string;
}

/** Inputs behind the first that some output has the type, rank and dims of, real numbers with at least two axes and not of one element; each output stands for one. */
export function carriedStates(graph: Graph): CarriedState[] {
  const free = [...graph.outputs];
  return feeds(graph).flatMap((input, i): CarriedState[] => {
    const at = free.findIndex((output) => alike(input, output));
    if (at < 0) return [];
    const [output] = free.splice(at, 1);
    return i === 0 ? [] : [{ input: input.name, output: output!.name }];
  });
}
function alike(a: Value, b: Value): boolean {
  const [x, y] = [a.shape ?? [], b.shape ?? []];
  if (!a.type.startsWith("float") || a.type !== b.type || x.length < 2 || x.length !== y.length) return false;
  if (!x.some((d) => !isOpen(d) && d !== 1)) return false;
  return x.every((d, i) => isOpen(d) || isOpen(y[i]!) || d === y[i]);
}
const isOpen = (d: Dim): boolean => typeof d === "string" || d < 0;

/** Null where nothing is carried. */
export function assumedOf(states: readonly CarriedState[]): string | null {
  if (states.length === 0) return null;
  const list = states.map(({ input, output }) => `"${output}" to "${input}"`).join(", ");
  return `the model seems to hand states on from run to run (${list}): plans are judged run by run from the states in the samples, so errors that add up over many runs are not seen: compare the result on whole sequences`;
}
