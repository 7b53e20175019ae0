/** Measurements of bench/sparsity-speed come in; README's table and the picture go out. */
import { type Line, lines } from "./lines.js";

/** Milliseconds of one run by share of weights removed, one thread; the fastest of interleaved runs. */
export interface Layer {
  readonly layer: string;
  readonly points: readonly {
    readonly sparsity: number;
    /** Zeros in place of weights, in onnxruntime. */
    readonly denseMs: number;
    /** A CSR product of our own, in JavaScript. */
    readonly csrMs: number;
    /** Input and output channels cut until that share of the weights is gone, in onnxruntime. */
    readonly structuredMs: number;
    readonly channels: number;
  }[];
}
export interface Results {
  readonly machine: string;
  readonly layers: readonly Layer[];
}

const kinds = [
  ["dense onnxruntime, zeros in it", "denseMs"],
  ["CSR, JavaScript", "csrMs"],
  ["structured onnxruntime, narrower", "structuredMs"],
] as const;

export function table({ machine, layers }: Results): string {
  const rows = layers.flatMap(({ layer, points }) => {
    const whole = points[0]!.denseMs;
    const times = (ms: number) => `${(whole / ms).toFixed(2)}x`;
    return points.map(
      (p) =>
        `| ${layer} | ${(100 * p.sparsity).toFixed(0)} % | ${times(p.denseMs)} | ${times(p.csrMs)} | ${times(p.structuredMs)} (${p.channels} channels) |`,
    );
  });
  return [
    `${machine}; one thread, fastest of 25 runs; speed over the dense layer in onnxruntime (0 %, ${layers.map((l) => `${l.layer} ${l.points[0]!.denseMs.toFixed(3)} ms`).join(", ")})`,
    "",
    "| layer | weights removed | dense, zeros in it | CSR | structured |",
    "|---|---|---|---|---|",
    ...rows,
  ].join("\n");
}

/** One panel per layer: speed over the dense layer against the share of the weights that is gone. */
export function picture({ layers }: Results): string {
  const all = layers.flatMap(({ layer, points }) =>
    points.flatMap((p): Line[] =>
      kinds.map(([kind, key]) => ({
        panel: layer,
        kind: kind.split(",")[0]!,
        x: 100 * p.sparsity,
        y: points[0]!.denseMs / p[key],
      })),
    ),
  );
  return lines("Speed against sparsity", all, { x: "weights removed, %", y: "times as fast as the dense layer" });
}
