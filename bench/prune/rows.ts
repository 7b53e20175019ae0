/** Every row of bench/prune by name, in the order of README's table. */
import { lenet5 } from "./lenet5.js";
import { resnet20 } from "./resnet20.js";
import type { Row } from "./row.js";

export const rows: Readonly<Record<string, Row>> = { ...resnet20, ...lenet5 };
