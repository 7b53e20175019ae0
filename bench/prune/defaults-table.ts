/** Comparisons of defaults come in; README's table goes out. */
export interface Comparison {
  readonly about: string;
  readonly option: string;
  readonly value: number | string;
  /** On validation images, 0..1. */
  readonly top1: number;
}
export interface Comparisons {
  /** Validation images that judged. */
  readonly images: number;
  /** Of the networks themselves. */
  readonly originals: Readonly<Record<string, number>>;
  readonly rows: readonly Comparison[];
}

/** One line per option, its values side by side. */
export function table({ images, originals, rows }: Comparisons): string {
  const lines = new Map<string, string[]>();
  for (const { about, option, value, top1 } of rows) {
    const key = `| ${about} | ${option} |`;
    lines.set(key, [...(lines.get(key) ?? []), `${value}: ${(100 * top1).toFixed(2)} %`]);
  }
  const before = Object.entries(originals).map(([name, top1]) => `${name} ${(100 * top1).toFixed(2)} %`);
  return [
    `Top-1 on ${images} validation images (before: ${before.join(", ")}):`,
    "",
    "| what | option | value: top-1 |",
    "| --- | --- | --- |",
    ...[...lines].map(([key, values]) => `${key} ${values.join(", ")} |`),
  ].join("\n");
}
