/** Measured series as SVG for a file of its own: points enter; a picture with one panel per subject leaves, light and dark. */
import * as Plot from "@observablehq/plot";
import { svg } from "../../packages/pare/dist/report/chart.js";

export interface Line {
  readonly panel: string;
  readonly kind: string;
  readonly x: number;
  readonly y: number;
}

const style = `<style>svg{--ink:#1b1e28;--page:#fff;--c0:#8a8f9e;--c1:#c2571a;--c2:#3457d5;color:var(--ink)!important;background:var(--page)!important;font-family:system-ui,sans-serif!important}
@media (prefers-color-scheme:dark){svg{--ink:#e6e8f0;--page:#14161d;--c0:#9aa0b0;--c1:#f0995e;--c2:#8fa8ff}}</style>`;

/** y on a logarithmic axis, a rule at 1; a series is named at its last point in the first panel. */
export function lines(label: string, all: readonly Line[], axes: { readonly x: string; readonly y: string }): string {
  const kinds = [...new Set(all.map((p) => p.kind))];
  const panels = [...new Set(all.map((p) => p.panel))];
  const colour = (p: Line): string => `var(--c${kinds.indexOf(p.kind) % 3})`;
  const last = Math.max(...all.map((p) => p.x));
  const ends = all.filter((p) => p.x === last);
  const drawn = svg(label, {
    width: 300 * panels.length + 170,
    height: 340,
    marginLeft: 56,
    marginRight: 110,
    marginTop: 36,
    fx: { label: null, domain: panels, padding: 0.12 },
    x: { label: axes.x, ticks: 5 },
    y: { type: "log", label: axes.y, grid: true, tickFormat: (v: number) => `${v}x` },
    marks: [
      Plot.ruleY([1], { stroke: "currentColor", strokeDasharray: "3 3" }),
      Plot.lineY(all, { fx: "panel", x: "x", y: "y", z: "kind", stroke: colour, strokeWidth: 2 }),
      Plot.dot(all, { fx: "panel", x: "x", y: "y", r: 3, fill: colour }),
      Plot.text(ends, {
        fx: "panel",
        x: "x",
        y: "y",
        text: (p: Line) => `${p.kind.split(" ")[0]} ${p.y.toPrecision(2)}x`,
        textAnchor: "start",
        dx: 7,
        fill: colour,
      }),
    ],
  });
  return `${drawn.replace(/(<svg[^>]*>)/, `$1${style}`)}\n`;
}
