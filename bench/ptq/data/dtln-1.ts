/** The first stage of DTLN on speech: five recordings calibrate, five others test. */
import { dtlnRecordings, dtlnSamples } from "../sources/dtln.js";

export const train = () => dtlnSamples(1, "train");
export const test = () => dtlnSamples(1, "test");
export const recordings = () => dtlnRecordings(1, "test");
