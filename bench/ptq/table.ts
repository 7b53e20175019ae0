/** Measurements of bench/ptq come in; README's tables go out. */
/** One candidate's file. */
export interface Measured {
  readonly sizeBytes?: number;
  /** Of the float model. */
  readonly latencyMs?: number;
  /** Ratio to the float model's, timed in turn with it. */
  readonly latency?: number;
  readonly scores?: Readonly<Record<string, number>>;
  readonly cpuSeconds?: number;
  readonly seconds?: number;
  readonly peakBytes?: number;
  readonly notes?: readonly string[];
  readonly format?: string;
  readonly quantized?: number;
  readonly eligible?: number;
  readonly error?: string;
}
export interface Entry {
  /** The score that is shown beside signal to noise; null: none. */
  readonly score: string | null;
  /** Whether it is compared with the peers. */
  readonly peers: boolean;
  readonly float: Measured;
  /** By who made it: "pare", or a setting of onnxruntime's quantizer. */
  readonly files: Readonly<Record<string, Measured>>;
  /** Of the machine, before. */
  readonly load?: number;
}
/** Weights of 4 bits, the codes chosen one way. */
export interface Rounding {
  readonly sizeBytes: number;
  readonly snrDb: number | null;
  readonly cpuSeconds: number;
}
export interface Roundings {
  /** That are stored in 4 bits; all else stays in float. */
  readonly matrices: number;
  /** In float. */
  readonly sizeBytes: number;
  readonly rows: Readonly<Record<string, Rounding>>;
}
export interface Results {
  machine: string;
  versions: Readonly<Record<string, string>>;
  models: Readonly<Record<string, Entry>>;
  rounding?: Readonly<Record<string, Roundings>>;
}

const labels: Readonly<Record<string, string>> = {
  accuracy: "accuracy",
  agreement: "same class",
  boxF1: "box F1",
  characterErrors: "wrong characters",
  maskIoU: "mask overlap",
  speechF1: "speech F1",
  psnrDb: "PSNR",
};
const percent = (v: number | undefined): string => (v === undefined ? "–" : `${(100 * v).toFixed(2)} %`);
const decibel = (v: number | undefined | null): string => (v === undefined || v === null ? "–" : `${v.toFixed(1)} dB`);
const ratio = (a: number | undefined, b: number | undefined): string =>
  a === undefined || b === undefined ? "–" : (a / b).toFixed(2);

const scoreOf = (score: string | null, file: Measured): string =>
  score === null ? "–" : score === "psnrDb" ? decibel(file.scores?.[score]) : percent(file.scores?.[score]);

/** The peer's setting with the best score, or signal to noise among equals; and where that is slower than float, the best of those that are not. */
function bestPeers(entry: Entry): [string, Measured][] {
  const { score } = entry;
  const value = (file: Measured): number => {
    const v = score === null ? undefined : file.scores?.[score];
    const primary = v === undefined || score === "psnrDb" ? 0 : score === "characterErrors" ? -v : v;
    // Scores that differ by less than a thousandth are as good as equal.
    return 1e6 * Math.round(1e3 * primary) + (file.scores?.snrDb ?? -100);
  };
  const ran = Object.entries(entry.files).filter(([by, file]) => !/^pare|int4/.test(by) && file.scores);
  const ranked = ran.sort(([, a], [, b]) => value(b) - value(a));
  const slower = ([, { latency = 0 }]: [string, Measured]) => latency > 1;
  if (!ranked.length || !slower(ranked[0]!)) return ranked.slice(0, 1);
  return [ranked[0]!, ...ranked.filter((r) => !slower(r)).slice(0, 1)];
}

const cell = (text: string): string => text.replace(/\s+/g, " ").replaceAll("|", "\\|");
const short = (text: string): string => (text.length > 160 ? `${text.slice(0, 157)}...` : text);
const markdown = (head: readonly string[], lines: readonly (readonly string[])[]): string =>
  [head, head.map(() => "---"), ...lines].map((cells) => `| ${cells.join(" | ")} |`).join("\n");

function costs(file: Measured | undefined): string {
  if (file?.cpuSeconds === undefined || file.peakBytes === undefined) return "–";
  return `${file.cpuSeconds.toFixed(1)} s, ${Math.round(file.peakBytes / 1e6)} MB`;
}

const makers: Readonly<Record<string, string>> = { pare: "Pare", "pare-int4": "Pare, int4" };

/** Float, ours and the peer's best settings, a row each per model. */
export function compared({ models: entries }: Results): string {
  const lines = Object.entries(entries).flatMap(([name, entry]) => {
    if (!entry.peers) return [];
    const { float, score, files } = entry;
    const first = [
      `**${name}**`,
      score ? `float, ${labels[score]}` : "float",
      score === "psnrDb" ? "" : scoreOf(score, float),
      "",
      `${float.sizeBytes}`,
      float.latencyMs === undefined ? "–" : `${float.latencyMs.toFixed(3)} ms`,
      "",
    ];
    const rest = [
      ["pare", files.pare] as const,
      ...bestPeers(entry),
      ["pare-int4", files["pare-int4"]] as const,
      ["int4", files.int4] as const,
    ];
    const rows = rest.flatMap(([by, file]) => {
      if (!file) return [];
      return [
        [
          "",
          makers[by] ?? `onnxruntime, ${by}`,
          file.error ? cell(short(file.error)) : scoreOf(score, file),
          decibel(file.scores?.snrDb),
          ratio(file.sizeBytes, float.sizeBytes),
          ratio(file.latency, 1),
          costs(file),
        ],
      ];
    });
    return [first, ...rows];
  });
  return markdown(["model", "by", "score", "SQNR", "size", "latency", "CPU, peak memory"], lines);
}

/** Ours for every model. */
export function every({ models: entries }: Results): string {
  const lines = Object.entries(entries).flatMap(([name, entry]) => {
    const file = entry.files.pare;
    if (!file) return [];
    const result = file.error
      ? `refused: ${cell(short(file.error))}`
      : `${file.format ?? "quantized"}${file.quantized === undefined ? "" : `, ${file.quantized} of ${file.eligible} nodes`}`;
    return [
      [name, result, ratio(file.sizeBytes, entry.float.sizeBytes), decibel(file.scores?.snrDb), ratio(file.latency, 1)],
    ];
  });
  return markdown(["model", "result", "size", "SQNR", "latency"], lines);
}

/** Ways of rounding to 4 bits, the same blocks and sizes. */
export function roundingTable({ rounding = {} }: Results): string {
  const lines = Object.entries(rounding).flatMap(([name, { matrices, sizeBytes, rows }]) =>
    ["int4", "uint4"].map((type) => [
      name,
      `${matrices}`,
      type === "int4" ? "scale" : "scale and zero point",
      `${rows[`nearest ${type}`]!.sizeBytes}, ${ratio(rows[`nearest ${type}`]!.sizeBytes, sizeBytes)}`,
      ...["nearest", "hqq", "gptq"].map((way) => decibel(rows[`${way} ${type}`]?.snrDb)),
    ]),
  );
  return markdown(["model", "matrices", "each block has", "bytes, ratio", "nearest", "HQQ", "GPTQ"], lines);
}

/** Where it was measured, and the models that are compared. */
export function table(results: Results): string {
  const tools = Object.entries(results.versions).map(([tool, version]) => `${tool} ${version}`);
  return [`${results.machine}, one thread; ${tools.join(", ")}`, "", compared(results)].join("\n");
}
