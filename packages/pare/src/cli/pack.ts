/** pare pack, pare unpack: .onnx to .pare and back. */
import { stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import type { Command } from "commander";
import { write } from "../graph/file.js";
import { save } from "../graph/file-save.js";
import { pack } from "../pack/pack.js";
import { textTable } from "../report/text.js";
import { load } from "./model.js";
import { checkOutput } from "./output.js";
import { result } from "./progress.js";

interface Options {
  output?: string;
  keepNames?: boolean;
  json?: boolean;
}

const swapExtension = (path: string, to: string): string =>
  join(dirname(path), `${basename(path).replace(/\.(onnx|pare)$/i, "")}${to}`);

export function packCommand(program: Command): void {
  program
    .command("pack")
    .description("write a model as a .pare file: the same values in fewer bytes")
    .argument("<model.onnx>", "model")
    .option("-o, --output <file>", "file to write (the model's name with .pare)")
    .option("--keep-names", "keep the names of nodes and inner values")
    .option("--json", "print one JSON object")
    .addHelpText("after", "\nExamples:\n  pare pack model.onnx\n  pare pack model.onnx -o small.pare --json")
    .action(async (path: string, options: Options) => {
      const output = options.output ?? swapExtension(path, ".pare");
      await checkOutput(output, path);
      const graph = await load(path);
      const packed = pack(graph, options.keepNames ? { keepNames: true } : {});
      await save(output, [packed]);
      const before = (await stat(path)).size;
      const facts = { input: path, output, sizeBytes: [before, packed.length], ratio: before / packed.length };
      result(options.json, facts, () =>
        textTable(
          [[before, packed.length, `${facts.ratio.toFixed(2)}x`, output]],
          ["bytes before", "after", "smaller", "file"],
        ),
      );
    });
}

export function unpackCommand(program: Command): void {
  program
    .command("unpack")
    .description("write a .pare file as ONNX that any engine runs")
    .argument("<model.pare>", "packed model")
    .option("-o, --output <file>", "file to write (the model's name with .onnx)")
    .option("--json", "print one JSON object")
    .addHelpText("after", "\nExamples:\n  pare unpack small.pare\n  pare unpack small.pare -o model.onnx")
    .action(async (path: string, options: Options) => {
      const output = options.output ?? swapExtension(path, ".onnx");
      await checkOutput(output, path);
      const graph = await load(path);
      await write(graph, output);
      const sizeBytes = [(await stat(path)).size, (await stat(output)).size];
      result(options.json, { input: path, output, sizeBytes, ratio: sizeBytes[0]! / sizeBytes[1]! }, () =>
        textTable([[sizeBytes[0]!, sizeBytes[1]!, output]], ["bytes before", "after", "file"]),
      );
    });
}
