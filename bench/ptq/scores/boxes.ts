/** Ultraface: boxes of both models come in; F1 of the one's against the other's goes out, where boxes match at an overlap of one half. */
import type { Predictions } from "../predict.js";

type Box = readonly [score: number, x0: number, y0: number, x1: number, y1: number];

function overlap(a: Box, b: Box): number {
  const side = (low: number, high: number) => Math.max(0, Math.min(a[high]!, b[high]!) - Math.max(a[low]!, b[low]!));
  const area = (box: Box) => (box[3] - box[1]) * (box[4] - box[2]);
  const both = side(1, 3) * side(2, 4);
  return both / (area(a) + area(b) - both);
}

/** Boxes above 0.7, the best of those that overlap by 0.5 kept, as the model's authors do. */
function boxes(scores: Float32Array, corners: Float32Array): Box[] {
  const found: Box[] = [];
  for (let i = 0; i < scores.length / 2; i++)
    if (scores[2 * i + 1]! > 0.7)
      found.push([scores[2 * i + 1]!, corners[4 * i]!, corners[4 * i + 1]!, corners[4 * i + 2]!, corners[4 * i + 3]!]);
  const kept: Box[] = [];
  for (const box of found.sort((a, b) => b[0] - a[0])) if (kept.every((k) => overlap(k, box) <= 0.5)) kept.push(box);
  return kept;
}

/** `f1` over all photographs; `heldOut` over those that did not calibrate. */
export function boxScores(float: Predictions, other: Predictions): Record<string, number> {
  const list = (p: Predictions) => p.outputs.scores!.map((scores, i) => boxes(scores, p.outputs.boxes![i]!));
  const [expected, found] = [list(float), list(other)];
  const f1 = (wanted: (photograph: number) => boolean): number => {
    let [matches, total] = [0, 0];
    for (const [i, there] of expected.entries()) {
      if (!wanted(i)) continue;
      const free = new Set(there);
      for (const box of found[i]!) {
        const match = [...free].reduce<Box | null>(
          (top, b) => (overlap(b, box) > (top ? overlap(top, box) : 0.5) ? b : top),
          null,
        );
        if (match && free.delete(match)) matches++;
      }
      total += there.length + found[i]!.length;
    }
    return (2 * matches) / total;
  };
  return { boxF1: f1(() => true), heldOut: f1((i) => i % 2 === 1) };
}
