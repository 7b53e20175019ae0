/** Every row of bench/prune by name, in the order of README's table. */
import { resnet20 } from "./resnet20.js";
import type { Row } from "./row.js";

export const rows: Readonly<Record<string, Row>> = { ...resnet20 };
