/** Pictures of both models come in; the peak signal to noise ratio in dB between them goes out. */
import type { Predictions } from "../predict.js";

/** Of pictures in 0..1. */
export function pictureScores(float: Predictions, other: Predictions): Record<string, number> {
  let [squares, count] = [0, 0];
  const [a, b] = [Object.values(float.outputs)[0]!, Object.values(other.outputs)[0]!];
  for (const [r, picture] of a.entries())
    for (let i = 0; i < picture.length; i++, count++) squares += (picture[i]! - b[r]![i]!) ** 2;
  return { psnrDb: 10 * Math.log10(count / squares) };
}
