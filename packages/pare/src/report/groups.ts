/** Coupled channels as a picture for a terminal: an inspection's groups enter; lines with a bar per group and its members as a tree leave. */
import type { Inspection } from "../analyze/inspect.js";

type Facts = Pick<Inspection, "groups" | "ungrouped">;
type Group = Inspection["groups"][number];

/** Cells of the longest bar. */
const longest = 24;

export const groupCount = ({ groups }: Facts): string =>
  `${groups.length} groups of coupled channels, ${groups.filter((g) => g.free).length} free`;

/** One line per node: the constants it reads there, their axes, and how many indices a channel takes. */
function members(g: Group): string[] {
  const byNode = new Map<string, string[]>();
  for (const { node, tensor, axis, times } of g.members)
    byNode.set(node, [...(byNode.get(node) ?? []), `${tensor}[${axis}]${times > 1 ? ` x${times}` : ""}`]);
  const wide = Math.max(...[...byNode.keys()].map((n) => n.length));
  const lines = [...byNode].map(([node, places]) => `${node.padEnd(wide)}  ${places.join(" ")}`);
  return lines.map((line, i) => `     ${i === lines.length - 1 ? "└" : "├"}─ ${line}`);
}

/** ■ channels that may go, □ channels that are kept, with the reason; bars are as long as groups are wide. */
export function groupsText({ groups, ungrouped }: Facts): string {
  const widest = Math.max(1, ...groups.map((g) => g.size));
  const digits = String(widest).length;
  const drawn = groups.flatMap((g) => {
    const cells = Math.max(1, Math.round((longest * g.size) / widest));
    const bar = (g.free ? "■" : "□").repeat(cells).padEnd(longest);
    return [
      `${String(g.size).padStart(Math.max(4, digits))} ${bar}  ${g.free ? g.name : `kept: ${g.reason}`}`,
      ...members(g),
    ];
  });
  const left = ungrouped.map(({ node, reason }) => `   - ${node}: ${reason}`);
  return [
    `${groupCount({ groups, ungrouped })}; ■ may be removed, □ are kept`,
    ...drawn,
    ...(left.length ? ["", "in no group:", ...left] : []),
  ].join("\n");
}
