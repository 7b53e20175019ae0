/** Measurements of bench/prune come in; README's table goes out: means and sample standard deviations over seeds. */
import { summary } from "../quality/table.js";

/** What one seed of a row came to. Shares are of the original's. */
export interface Run {
  /** Top-1 on test images, 0..1. */
  readonly before: number;
  readonly after: number;
  readonly parameters: number;
  readonly macs: number;
  /** Of the medians of runs of both networks in turn, one thread, one sample; and of the fastest runs, which a busy machine changes least. */
  readonly latency: number;
  readonly fastest: number;
  readonly cpuSeconds: number;
  readonly seconds: number;
  /** What else the row is about. */
  readonly details?: Readonly<Record<string, number | string>>;
}
export interface Entry {
  /** A hash of what the row does: another recipe is another experiment. */
  readonly recipe: string;
  readonly seeds: Readonly<Record<string, Run>>;
}
export interface Results {
  readonly rows: Readonly<Record<string, Entry>>;
}

/** What a row's name stands for, and the number that it is held against. */
export interface Label {
  readonly about: string;
  readonly bar: string;
}

const text = (values: readonly number[], digits: number): string => {
  const { mean, deviation } = summary(values);
  return `${mean.toFixed(digits)}${Number.isNaN(deviation) ? "" : ` ± ${deviation.toFixed(digits)}`}`;
};

/** One line per row that has runs, in the order of `labels`. */
export function table({ rows }: Results, labels: Readonly<Record<string, Label>>): string {
  const head = [
    "network, method",
    "seeds",
    "before, %",
    "after, %",
    "change, pp",
    "parameters",
    "MACs",
    "latency",
    "CPU, s",
    "bar",
  ];
  const lines = Object.entries(labels).flatMap(([name, { about, bar }]) => {
    const runs = Object.values(rows[name]?.seeds ?? {});
    if (runs.length === 0) return [];
    const over = (value: (r: Run) => number, digits: number) => text(runs.map(value), digits);
    const details = Object.keys(runs[0]!.details ?? {}).map((key) => {
      const values = runs.map((r) => r.details![key]!);
      return `${key} ${values.every((v) => typeof v === "number") ? text(values, 2) : values.join("; ")}`;
    });
    return [
      [
        [about, ...details].join("; "),
        runs.length,
        over((r) => 100 * r.before, 2),
        over((r) => 100 * r.after, 2),
        over((r) => 100 * (r.after - r.before), 2),
        over((r) => r.parameters, 3),
        over((r) => r.macs, 3),
        over((r) => r.latency, 2),
        over((r) => r.cpuSeconds, 1),
        bar,
      ],
    ];
  });
  return [head, head.map(() => "---"), ...lines].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}
