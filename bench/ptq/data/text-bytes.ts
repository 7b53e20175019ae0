/** Lines of reviews as bytes: 50 calibrate, 20 others test. */
import { readFileSync } from "node:fs";
import { shared } from "../sources/places.js";
import { each } from "../sources/samples.js";

const part = (first: number, count: number) =>
  each(
    readFileSync(shared("text/rt-polarity.pos"), "latin1")
      .split("\n")
      .slice(first, first + count),
    (line) => {
      const data = new Uint8Array(Buffer.from(line, "latin1"));
      return { x: { data, dims: [1, data.length] } };
    },
  );
export const train = () => part(0, 50);
export const test = () => part(1000, 20);
