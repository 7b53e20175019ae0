/** A name that is not there and those that are enter; the few that look most like it leave, for a message. */

/** Optimal string alignment would be no better here: plain edit distance. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++)
      next.push(Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)));
    row = next;
  }
  return row[b.length]!;
}

/** Names that contain the wanted one, or it them, come first; then by the number of letters to change. */
export function nearestNames(wanted: string, names: Iterable<string>, count = 3): string[] {
  const lower = wanted.toLowerCase();
  const far = (name: string): number => {
    const n = name.toLowerCase();
    return n.includes(lower) || lower.includes(n)
      ? Math.abs(n.length - lower.length) / 1000
      : distance(lower, n.slice(0, 200));
  };
  return [...new Set(names)]
    .filter(Boolean)
    .map((name) => ({ name, far: far(name) }))
    .sort((a, b) => a.far - b.far || (a.name < b.name ? -1 : 1))
    .slice(0, count)
    .map((n) => n.name);
}
