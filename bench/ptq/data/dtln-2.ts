/** The second stage of DTLN behind the float first one: five recordings calibrate, five others test. */
import { dtlnRecordings, dtlnSamples } from "../sources/dtln.js";

export const train = () => dtlnSamples(2, "train");
export const test = () => dtlnSamples(2, "test");
export const recordings = () => dtlnRecordings(2, "test");
