/** Which groups of channels a method may touch, and what it says of them: a coupled graph enters; free groups and notes leave. */
import type { Coupling } from "../analyze/couple.js";
import { type Group, groupsOf } from "../analyze/groups.js";
import { layersOf } from "../analyze/layers.js";
import { PareError } from "../graph/error.js";
import { nearestNames } from "../graph/nearest-names.js";
import { sizeOf } from "../graph/tensor.js";
import { type Note, targetNote } from "./method.js";
import type { Candidate } from "./widths.js";

const namesIn = (g: Group): string[] => g.members.flatMap((m) => [m.node, m.tensor]);
export const skippedGroup = (g: Group, why: string): Note => ({
  node: g.members[0]?.node ?? g.name,
  what: "skipped",
  why: `${g.size} channels of ${g.name}: ${why}`,
});

/** The groups that may be narrowed, and why the others, and weights in no group, may not. Throws PareError (usage) for an `exclude` that names no channels. */
export function freeGroups(
  coupling: Coupling,
  exclude: readonly string[],
  method: string,
): { free: Group[]; notes: Note[] } {
  const groups = groupsOf(coupling);
  const known = groups.flatMap(namesIn);
  for (const name of exclude)
    if (!known.includes(name))
      throw new PareError(
        `${method}: exclude names "${name}", which has no channels; nearest are ${nearestNames(name, known)
          .map((n) => `"${n}"`)
          .join(", ")}`,
        "usage",
      );
  const free: Group[] = [];
  const notes: Note[] = [];
  for (const g of groups) {
    const excluded = namesIn(g).find((n) => exclude.includes(n));
    if (g.blocked) notes.push(skippedGroup(g, `${g.blocked.at}: ${g.blocked.why}`));
    else if (excluded) notes.push(skippedGroup(g, `"${excluded}" is excluded by the recipe`));
    else free.push(g);
  }
  for (const l of layersOf(coupling.graph, coupling.inferred))
    if (sizeOf(l.dims.filter((_, d) => l.kept[d])) === 1)
      notes.push({
        node: l.node.name || l.node.outputs[0]!,
        what: "skipped",
        why: "it has a single channel, which stays",
      });
  for (const { at, why } of coupling.leftAlone) notes.push({ node: at, what: "skipped", why });
  return { free, notes };
}

/** How many channels each narrowed group keeps; `widths` by candidate. */
export const keptNotes = (candidates: readonly Candidate[], widths: readonly number[]): Note[] =>
  candidates.flatMap(({ group }, i): Note[] => {
    if (widths[i]! >= group.size) return [];
    const why =
      widths[i] === 0
        ? `all ${group.size} channels of ${group.name} left out with their branch`
        : `${widths[i]} of ${group.size} channels of ${group.name} kept`;
    return [{ node: group.members[0]?.node ?? group.name, what: "done", why }];
  });

/** What widths are rounded to, and who said so. */
export const roundingNote = (step: number, from: "measured on this machine" | "given"): Note => ({
  node: targetNote,
  what: "done",
  why: `channel counts are multiples of ${step} (${from}), smaller ones in groups narrower than ${2 * step}`,
});

/** A target that is missed, by shares of the cost; null where it is met. */
export function missedTarget(kind: string, share: number, reached: number): Note | null {
  if (reached <= share * 1.001) return null;
  const why = `the target ${kind}=${share} cannot be met: ${reached.toFixed(3)} is the nearest, and is kept`;
  return { node: targetNote, what: "skipped", why };
}

/** Why nothing can be narrowed. */
export function allBlocked(notes: readonly Note[]): PareError {
  const reasons = [
    ...new Set(
      notes.filter((n) => n.node !== targetNote).map((n) => (n.why.includes(n.node) ? n.why : `${n.node}: ${n.why}`)),
    ),
  ];
  const shown = reasons.slice(0, 12).map((r) => `\n  ${r}`);
  const more = reasons.length > shown.length ? `\n  and ${reasons.length - shown.length} more` : "";
  return new PareError(
    `no channels of this model can be removed:${shown.join("") || " it has no groups of channels"}${more}`,
  );
}
