/** PP-OCR's detector: maps of both models come in; the overlap of what they take for text goes out. */
import type { Predictions } from "../predict.js";

/** Intersection over union of the pixels above 0.3, over all pages. */
export function maskScores(float: Predictions, other: Predictions): Record<string, number> {
  let [both, either] = [0, 0];
  const [a, b] = [Object.values(float.outputs)[0]!, Object.values(other.outputs)[0]!];
  for (const [page, map] of a.entries())
    for (let i = 0; i < map.length; i++) {
      const [x, y] = [map[i]! > 0.3, b[page]![i]! > 0.3];
      if (x && y) both++;
      if (x || y) either++;
    }
  return { maskIoU: both / either };
}
