/** The command line: results on stdout, everything else on stderr; exit 0, 1 (input at fault), 2 (usage), 130 (interrupted). */
import { readFileSync } from "node:fs";
import { Command, CommanderError } from "commander";
import { PareError } from "../graph/error.js";
import { bench } from "./bench.js";
import { compareCommand } from "./compare.js";
import { compressCommand } from "./compress.js";
import { demo } from "./demo.js";
import { evalCommand } from "./eval.js";
import { explainCommand } from "./explain.js";
import { factorizeCommand } from "./factorize.js";
import { inspectCommand } from "./inspect.js";
import { packCommand, unpackCommand } from "./pack.js";
import { clearProgress } from "./progress.js";
import { pruneCommand } from "./prune.js";
import { quantizeCommand } from "./quantize.js";
import { simplifyCommand } from "./simplify.js";
import { trainCommand } from "./train.js";

const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"));

const program = new Command("pare")
  .description("Makes ONNX models small. Prunes, quantizes, trains and packs them, in Node, without Python.")
  .version(version)
  .showHelpAfterError("(pare <command> --help shows examples)")
  .configureHelp({ showGlobalOptions: true });
for (const add of [
  demo,
  compressCommand,
  pruneCommand,
  factorizeCommand,
  quantizeCommand,
  simplifyCommand,
  trainCommand,
  evalCommand,
  compareCommand,
  explainCommand,
  inspectCommand,
  packCommand,
  unpackCommand,
  bench,
])
  add(program);
for (const command of [program, ...program.commands]) command.exitOverride();

/** One line that says what is wrong, and the exit code. */
function fail(error: unknown): number {
  clearProgress();
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  if (error instanceof PareError) {
    process.stderr.write(`pare: ${error.message}\n`);
    return error.kind === "usage" ? 2 : 1;
  }
  if (error instanceof Error && error.name === "AbortError") {
    process.stderr.write("pare: interrupted; the same command continues where it stopped\n");
    return 130;
  }
  const code = (error as NodeJS.ErrnoException).code;
  if (code === "EPIPE") return 0;
  if (code !== undefined && error instanceof Error) {
    process.stderr.write(`pare: ${error.message}\n`);
    return 1;
  }
  process.stderr.write(
    `pare: this is a fault in pare itself: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`,
  );
  return 1;
}

try {
  await program.parseAsync();
} catch (error) {
  process.exitCode = fail(error);
}
