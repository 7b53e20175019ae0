/** pare simplify: the same function in fewer nodes and bytes. */
import type { Command } from "commander";
import { ortNode } from "../engine/ort-node.js";
import { toBytes } from "../graph/encode.js";
import { PareError } from "../graph/error.js";
import { write } from "../graph/file.js";
import type { Subgraph } from "../graph/graph.js";
import { bodiesOf } from "../graph/scope.js";
import { oldestRaised, raisedOpset } from "../passes/raise-opset.js";
import { textTable } from "../report/text.js";
import { simplify } from "../simplify.js";
import { load } from "./model.js";
import { checkOutput } from "./output.js";
import { shape, whole } from "./parse.js";
import { result, say } from "./progress.js";

interface Options {
  output: string;
  input?: Record<string, number[]>;
  opset?: number;
  json?: boolean;
}

export function simplifyCommand(program: Command): void {
  program
    .command("simplify")
    .description("fold constants, normalisation and shape arithmetic; the same function in fewer nodes and bytes")
    .argument("<model>", "model, .onnx or .pare")
    .requiredOption("-o, --output <file>", "file to write")
    .option("--input <name=dims>", "dims that an input has from now on, as x=1,3,224,224; may be repeated", shape)
    .option("--opset <n>", "17 to 21: raise the model to this opset", whole)
    .option("--json", "print one JSON object")
    .addHelpText(
      "after",
      "\nExamples:\n  pare simplify model.onnx -o simple.onnx\n  pare simplify model.onnx -o simple.onnx --input image=1,3,224,224 --opset 21",
    )
    .action(async (path: string, options: Options) => {
      if (options.opset !== undefined && !(options.opset >= oldestRaised && options.opset <= raisedOpset))
        throw new PareError(
          `--opset ${options.opset}: models are raised to ${oldestRaised} to ${raisedOpset}, or left at their own`,
          "usage",
        );
      const started = performance.now();
      await checkOutput(options.output, path);
      const graph = await load(path);
      const { graph: simple, notes } = await simplify(graph, {
        engine: ortNode,
        ...(options.input ? { inputs: options.input } : {}),
        ...(options.opset ? { opset: options.opset } : {}),
      });
      await write(simple, options.output);
      for (const note of notes) say(note);
      const facts = {
        input: path,
        output: options.output,
        nodes: [nodesIn(graph), nodesIn(simple)] as const,
        sizeBytes: [toBytes(graph).length, toBytes(simple).length] as const,
        operators: operatorsOf(graph, simple),
        opset: simple.opsets.get("") ?? 1,
        notes,
        seconds: (performance.now() - started) / 1000,
      };
      const changed = Object.entries(facts.operators).filter(([, [before, after]]) => before !== after);
      result(options.json, facts, () =>
        [
          textTable(
            [
              [path, facts.nodes[0], facts.sizeBytes[0]],
              [options.output, facts.nodes[1], facts.sizeBytes[1]],
            ],
            ["file", "nodes", "bytes"],
          ),
          ...(changed.length > 0
            ? [
                textTable(
                  changed.map(([name, [before, after]]) => [name, before, after]),
                  ["operator", "before", "after"],
                ),
              ]
            : []),
        ].join("\n"),
      );
    });
}

const nodesIn = (body: Subgraph): number =>
  body.nodes.reduce((sum, n) => sum + 1 + bodiesOf(n).reduce((inner, b) => inner + nodesIn(b), 0), 0);

/** How many nodes of each operator there are, bodies included: before and after. */
function operatorsOf(before: Subgraph, after: Subgraph): Record<string, [number, number]> {
  const found: Record<string, [number, number]> = {};
  const add = (body: Subgraph, k: 0 | 1): void => {
    for (const n of body.nodes) {
      const name = n.domain === "" ? n.op : `${n.domain}.${n.op}`;
      found[name] ??= [0, 0];
      found[name][k]++;
      for (const inner of bodiesOf(n)) add(inner, k);
    }
  };
  add(before, 0);
  add(after, 1);
  return Object.fromEntries(Object.entries(found).sort(([a], [b]) => (a < b ? -1 : 1)));
}
