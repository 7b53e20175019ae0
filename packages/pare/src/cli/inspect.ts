/** pare inspect: what a model is made of. */
import type { Command } from "commander";
import { inspect } from "../analyze/inspect.js";
import { print } from "../graph/print.js";
import { groupCount, groupsText } from "../report/groups.js";
import { textTable } from "../report/text.js";
import { load } from "./model.js";
import { shape } from "./parse.js";
import { result } from "./progress.js";

interface Options {
  shape?: Record<string, number[]>;
  nodes?: boolean;
  groups?: boolean;
  json?: boolean;
}

export function inspectCommand(program: Command): void {
  program
    .command("inspect")
    .description("parameters, multiply-adds, bytes, operators and coupled channels of a model (.onnx or .pare)")
    .argument("<model>", "model")
    .option("--nodes", "print every node with its shapes and bytes")
    .option("--groups", "draw every group of coupled channels: how wide, where it shows, what keeps it")
    .option("--shape <name=dims>", "dims of an input, where the model leaves them open; may be repeated", shape)
    .option("--json", "print one JSON object")
    .addHelpText(
      "after",
      "\nExamples:\n  pare inspect model.onnx\n  pare inspect model.onnx --nodes\n  pare inspect small.pare --json",
    )
    .action(async (path: string, options: Options) => {
      const graph = await load(path);
      const facts = inspect(graph, options.shape ? { inputs: options.shape } : {});
      result(options.json, facts, () => {
        if (options.nodes) return print(graph);
        const signature = (values: typeof facts.inputs) =>
          values.map((v) => `${v.name} ${v.type} [${v.shape?.join(", ") ?? "?"}]`).join(", ");
        const lines = [
          `opset ${facts.opset}, ${facts.nodes} nodes, ${facts.parameters.toLocaleString("en-US")} parameters (${facts.nonzero.toLocaleString("en-US")} not zero), ${facts.macs.toLocaleString("en-US")} MACs, ${facts.sizeBytes.toLocaleString("en-US")} bytes`,
          `inputs   ${signature(facts.inputs)}`,
          `outputs  ${signature(facts.outputs)}`,
          `operators  ${Object.entries(facts.operators)
            .sort((a, b) => b[1] - a[1])
            .map(([op, n]) => `${op} ${n}`)
            .join(", ")}`,
          "",
          textTable(
            facts.layers.map((l) => [l.name, l.op, l.parameters, l.nonzero, l.macs, l.sizeBytes]),
            ["layer", "operator", "parameters", "non-zero", "MACs", "bytes"],
          ),
        ];
        lines.push("", options.groups ? groupsText(facts) : `${groupCount(facts)} (--groups draws them)`);
        return lines.join("\n");
      });
    });
}
