/** Readings of four sensors over 60 steps and a set point, in 0..1, for the control policy with a GRU: 50 calibrate, 20 others test. */
import { each, numbers } from "../sources/samples.js";

const part = (seed: number, count: number) =>
  each(
    Array.from({ length: count }, (_, i) => seed + i),
    (s) => {
      const draw = numbers(s);
      const [phase, level] = [draw() * 6, draw()];
      const readings = Float32Array.from(
        { length: 60 * 4 },
        (_, i) => level / 2 + 0.25 + 0.2 * Math.sin(phase + i / 20) + 0.05 * draw(),
      );
      return {
        inputs: {
          sensor_input: { data: readings, dims: [1, 60, 4] },
          setpoint_input: { data: Float32Array.of(draw()), dims: [1, 1] },
        },
      };
    },
  );
export const train = () => part(0, 50);
export const test = () => part(1000, 20);
