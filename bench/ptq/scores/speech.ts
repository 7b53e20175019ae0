/** Silero VAD: the probability of speech per window comes in; F1 against the hand-made labels goes out. */
import { window } from "../data/silero.js";
import type { Predictions } from "../predict.js";
import { calibrationRecordings, recordings } from "../sources/sound.js";

/** A window is speech where its middle lies in a labelled segment. `heldOut`: recordings that did not calibrate. */
export function speechScores(float: Predictions, other: Predictions): Record<string, number> {
  const labelled = recordings();
  const f1 = (first: number): number => {
    let [hits, wrong, run] = [0, 0, 0];
    for (const [r, { speech }] of labelled.entries())
      for (let w = 0; w < other.lengths[r]!; w++, run++) {
        if (r < first) continue;
        const seconds = ((w + 0.5) * window) / 16000;
        const truth = speech.some(([start, end]) => start <= seconds && seconds < end);
        const found = other.outputs.output![run]![0]! >= 0.5;
        if (truth && found) hits++;
        else if (truth !== found) wrong++;
      }
    return (2 * hits) / (2 * hits + wrong);
  };
  const runs = other.outputs.output!;
  const same = runs.filter((p, i) => p[0]! >= 0.5 === float.outputs.output![i]![0]! >= 0.5).length / runs.length;
  return { speechF1: f1(0), heldOut: f1(calibrationRecordings), agreement: same };
}
