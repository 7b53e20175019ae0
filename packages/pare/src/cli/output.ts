/** A path to write to, checked before the work rather than after it. */
import { access, constants } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { PareError } from "../graph/error.js";

/** Throws (usage) where the output is the input itself, and PareError where its folder is missing or cannot be written. */
export async function checkOutput(output: string, input?: string): Promise<void> {
  if (input !== undefined && resolve(output) === resolve(input))
    throw new PareError(`${output} is the input itself; name another output with -o`, "usage");
  await access(dirname(output), constants.W_OK).catch((cause: NodeJS.ErrnoException) => {
    throw new PareError(
      `${output}: cannot be written: ${cause.code === "ENOENT" ? "its folder does not exist" : cause.message}`,
    );
  });
}
