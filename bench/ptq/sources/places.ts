/** Where the benchmark's real data and models lie; what is absent is named. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = fileURLToPath(new URL("../../../", import.meta.url));

/** A path in ../shared/data. Throws where it is absent. */
export const shared = (path: string): string =>
  present(join(root, "../shared/data", path), "this benchmark's data lie in ../shared/data beside the repository");
/** A path in an npm package of the repository. Throws where it is absent. */
export const packaged = (path: string): string => present(join(root, "node_modules", path), "npm ci installs it");

function present(path: string, what: string): string {
  if (!existsSync(path)) throw new Error(`${path} is absent: ${what}`);
  return path;
}
