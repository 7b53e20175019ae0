/** Two sequences of 7 steps of 12 normal numbers, for networks with random weights: 50 calibrate, 20 others test. */
import { each, numbers } from "../sources/samples.js";

const part = (seed: number, count: number) =>
  each(
    Array.from({ length: count }, (_, i) => seed + i),
    (s) => {
      const draw = numbers(s);
      const normal = () => Math.sqrt(-2 * Math.log(1 - draw())) * Math.cos(2 * Math.PI * draw());
      return { x: { data: Float32Array.from({ length: 2 * 7 * 12 }, normal), dims: [2, 7, 12] } };
    },
  );
export const train = () => part(0, 50);
export const test = () => part(1000, 20);
