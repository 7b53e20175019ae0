/** The command line: results on stdout, everything else on stderr; exit 0, 1 (input at fault), 2 (usage), 130 (interrupted). */
import { readFileSync } from "node:fs";
import { Command, CommanderError } from "commander";
import { PareError } from "../graph/error.js";
import { clearProgress } from "./progress.js";

/** A command's module is loaded when it is asked for: they pull in most of the library. In the order of the help. */
const commands: Readonly<Record<string, () => Promise<(program: Command) => void>>> = {
  demo: async () => (await import("./demo.js")).demo,
  compress: async () => (await import("./compress.js")).compressCommand,
  prune: async () => (await import("./prune.js")).pruneCommand,
  factorize: async () => (await import("./factorize.js")).factorizeCommand,
  quantize: async () => (await import("./quantize.js")).quantizeCommand,
  simplify: async () => (await import("./simplify.js")).simplifyCommand,
  train: async () => (await import("./train.js")).trainCommand,
  eval: async () => (await import("./eval.js")).evalCommand,
  compare: async () => (await import("./compare.js")).compareCommand,
  explain: async () => (await import("./explain.js")).explainCommand,
  inspect: async () => (await import("./inspect.js")).inspectCommand,
  pack: async () => (await import("./pack.js")).packCommand,
  unpack: async () => (await import("./pack.js")).unpackCommand,
  bench: async () => (await import("./bench.js")).bench,
};

const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"));

// A reader such as head that has seen enough is no error.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
});

const program = new Command("pare")
  .description("Makes ONNX models small. Prunes, quantizes, trains and packs them, in Node, without Python.")
  .version(version)
  .showHelpAfterError("(pare <command> --help shows examples)")
  .configureHelp({ showGlobalOptions: true });
const asked = process.argv[2] ?? "";
const wanted = Object.hasOwn(commands, asked) ? [commands[asked]!] : Object.values(commands);
for (const command of wanted) (await command())(program);
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
