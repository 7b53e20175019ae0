/** MNIST in 0..255: 100 training images calibrate, 10,000 test. */
import { mnist } from "../sources/mnist.js";

const value = (pixel: number): number => pixel * 255;
export const train = () => mnist("train", value);
export const test = () => mnist("test", value);
