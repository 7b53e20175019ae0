/** Measurements of bench/simplify come in; README's table goes out. */
/** What one tool left of a model. `error`: why there is nothing, or why onnxruntime refuses it. */
export interface Left {
  readonly nodes?: number;
  readonly bytes?: number;
  readonly cpuSeconds: number;
  readonly error?: string;
}
export interface Results {
  readonly machine: string;
  readonly versions: Readonly<Record<string, string>>;
  readonly models: Readonly<
    Record<
      string,
      {
        /** `runnable` false: onnxruntime refuses the model as it is. */
        readonly before: { readonly nodes: number; readonly bytes: number; readonly runnable?: boolean };
        readonly tools: Tools;
      }
    >
  >;
}
export type Tools = Readonly<Record<string, Left>>;

const peers = ["onnxsim", "onnxslim"];
const text = ({ nodes, bytes, cpuSeconds, error }: Left): string =>
  error ? error : `${nodes}, ${bytes!.toLocaleString("en-US")}, ${cpuSeconds.toFixed(1)} s`;

/** A row per model: nodes (bodies included), bytes, CPU seconds of the whole process. */
export function table({ machine, versions, models }: Results): string {
  const rows = Object.entries(models).map(([name, { before, tools }]) => {
    const cells = ["pare", ...peers].map((tool) => (tools[tool] ? text(tools[tool]) : "–"));
    const note = before.runnable === false ? " (which onnxruntime refuses as it is)" : "";
    return `| ${name}${note} | ${before.nodes}, ${before.bytes.toLocaleString("en-US")} | ${cells.join(" | ")} |`;
  });
  const tools = Object.entries(versions).map(([name, version]) => `${name} ${version}`);
  return [
    `${machine}; ${tools.join(", ")}`,
    "",
    "| model | before: nodes, bytes | Pare | onnxsim | onnxslim |",
    "|---|---|---|---|---|",
    ...rows,
  ].join("\n");
}
