/** A report of bench/train comes in, a markdown table goes out. */
export interface Milliseconds {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}
export interface Row {
  readonly net: string;
  readonly microBatch: number;
  readonly parameters?: number;
  readonly pare: Milliseconds;
  readonly contiguous?: Milliseconds;
  readonly channelsLast?: Milliseconds;
}
export interface Report {
  readonly machine: { readonly cpu: string; readonly cores: number; readonly loadBefore: number };
  readonly versions: Readonly<Record<string, string>>;
  readonly threads: number;
  readonly clock: "wall" | "cpu";
  readonly batch: number;
  readonly rounds: number;
  readonly rows: readonly Row[];
}

const cell = (ms: Milliseconds | undefined): string => {
  if (!ms) return "-";
  const digits = ms.median < 20 ? 2 : 1;
  return `${ms.median.toFixed(digits)} (${ms.min.toFixed(digits)})`;
};

/** Median (fastest) milliseconds per step; the ratio is Pare's median over that of PyTorch's better memory format, below 1 Pare is faster. */
export function table({ machine, versions, threads, clock, batch, rows }: Report): string {
  const lines = rows.map(({ net, microBatch, pare, contiguous, channelsLast }) => {
    const best = Math.min(contiguous?.median ?? Number.NaN, channelsLast?.median ?? Number.NaN);
    const ratio = Number.isNaN(best) ? "-" : (pare.median / best).toFixed(2);
    return `| ${net} | ${cell(pare)} | ${microBatch} | ${cell(contiguous)} | ${cell(channelsLast)} | ${ratio} |`;
  });
  const tools = Object.entries(versions).map(([name, version]) => `${name} ${version}`);
  return [
    `${machine.cpu}, ${machine.cores} cores, ${threads} threads, batch ${batch}, ${clock} time; ${tools.join(", ")}; load before ${machine.loadBefore}`,
    "",
    "| net | Pare, ms per step | micro-batch | PyTorch | PyTorch, channels last | ratio |",
    "|---|---|---|---|---|---|",
    ...lines,
  ].join("\n");
}
