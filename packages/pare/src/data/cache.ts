/** Where fetched data is kept, outside any repository: $PARE_CACHE, else .cache/pare in the home folder. */
import { existsSync } from "node:fs";
import { mkdir, rename, rm, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";

/** The folder for a data set; it may not exist yet. */
export const cacheFolder = (name: string): string =>
  join(process.env.PARE_CACHE || join(homedir(), ".cache", "pare"), name);

/** Writes a file so that it is whole or absent under its name. */
export async function writeWhole(folder: string, file: string, parts: readonly Uint8Array[]): Promise<void> {
  await mkdir(folder, { recursive: true });
  const draft = join(folder, `.${file}.${process.pid}`);
  try {
    await writeFile(draft, parts);
    await rename(draft, join(folder, file));
  } catch (e) {
    await rm(draft, { force: true });
    throw e;
  }
}
export const has = (folder: string, files: readonly string[]): boolean =>
  files.every((f) => existsSync(join(folder, f)));
