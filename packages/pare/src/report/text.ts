/** Facts as lines for a terminal: aligned tables, numbers at the right. */
import type { StageFacts } from "./facts.js";

/** A table with a header line; columns of numbers are aligned at the right. */
export function textTable(rows: readonly (readonly (string | number)[])[], header: readonly string[]): string {
  const cells = rows.map((row) => row.map((c) => (typeof c === "number" ? c.toLocaleString("en-US") : c)));
  const right = header.map(
    (_, i) =>
      rows.length > 0 &&
      rows.every((row) => typeof row[i] === "number" || /^[\d.,–-]+( %| B| ms|x)?$/.test(String(row[i]))),
  );
  const width = header.map((h, i) => Math.max(h.length, ...cells.map((row) => row[i]!.length)));
  const line = (row: readonly string[]) =>
    row
      .map((c, i) => (right[i] ? c.padStart(width[i]!) : c.padEnd(width[i]!)))
      .join("  ")
      .trimEnd();
  return [line(header), line(width.map((w) => "─".repeat(w))), ...cells.map(line)].join("\n");
}

const percent = (ratio: number): string => (Number.isFinite(ratio) ? `${(100 * ratio).toFixed(2)} %` : "–");

/** The stage table that `demo` and `compress` end with. */
export function stageTable(stages: readonly StageFacts[]): string {
  const dense = stages[0]!;
  return textTable(
    stages.map((s) => [
      s.stage,
      s.nonzero,
      percent(s.nonzero / dense.parameters),
      Math.round(s.entropyBytes),
      s.sizeBytes,
      `${(dense.sizeBytes / s.sizeBytes).toFixed(1)}x`,
      percent(s.error),
      s.seconds.toFixed(1),
    ]),
    ["stage", "weights kept", "kept", "entropy B", "file B", "smaller", "test error", "seconds"],
  );
}
