/** The command line as users run it, in a folder of the test's own. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after } from "node:test";
import { fileURLToPath } from "node:url";
import { schemas } from "../../dist/cli/schemas.js";

export const bin = fileURLToPath(new URL("../../bin/pare.js", import.meta.url));

/** A temporary folder that goes when the test file ends, and how `pare` runs in it. */
export function commandLine(name: string) {
  const folder = mkdtempSync(join(tmpdir(), `pare-${name}-`));
  after(() => rmSync(folder, { recursive: true, force: true }));
  const pare = (...args: string[]) => {
    const run = spawnSync(process.execPath, [bin, ...args], { encoding: "utf8", cwd: folder, timeout: 120_000 });
    return { code: run.status, out: run.stdout, err: run.stderr };
  };
  /** Runs with --json and holds the one object on stdout against the published schema. */
  const json = (command: string, ...args: string[]) => {
    const run = pare(command, ...args, "--json");
    assert.equal(run.code, 0, run.err);
    const lines = run.out.trimEnd().split("\n");
    assert.equal(lines.length, 1, "exactly one line on stdout");
    const facts = JSON.parse(lines[0]!);
    schemas[command]!.parse(facts);
    return facts;
  };
  return { folder, at: (file: string): string => join(folder, file), pare, json };
}
