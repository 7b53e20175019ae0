/** Where the real data and trained models are on a machine that has them. */
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** ../shared/data from the repository root; null where it is absent: such tests skip with `needsShared`. */
export const sharedData: string | null = (() => {
  const path = fileURLToPath(new URL("../../../../../shared/data/", import.meta.url));
  return existsSync(path) ? path : null;
})();
export const needsShared = "needs ../shared/data";
