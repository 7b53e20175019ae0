/** The registry -> docs/operators.md: which facets every operator has, and why it lacks the others. */
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { isNone, type None, type Operator } from "../ops/record.js";
import { operators } from "../ops/registry.js";

const path = fileURLToPath(new URL("../../../../docs/operators.md", import.meta.url));

const head = `# Operators

Written by \`npm run docs:operators\` from the records in \`packages/pare/src/ops\`; a test holds the two equal.

- **Axes**: which axes are the same axis; channels coupled across nodes and multiply-accumulates follow from it. "by node": a function of the node's attributes writes it.
- **Gradient**: emitted as plain ONNX or as \`pare\` composites, checked against central differences of onnxruntime's forward pass.
- **Quantization**: \`weights\` a contraction worth quantizing; \`passes\` commutes with the scale; \`arithmetic\` needs ranges of its own.
- **Kernel**: the runtime's kernel; *later* is the name it will have once the runtime executes models.
- **Old forms**: rewritten as opset 21, or the same at every version.
- **Sizes**: whether cutting channels changes an attribute or a constant of the node. **Folds**: whether constants are computed in shape arithmetic.

Every operator has attributes and shapes. A number in brackets is a reason, listed below the table.
`;

class Reasons {
  readonly list: string[] = [];
  cell(facet: None): string {
    let i = this.list.indexOf(facet.none);
    if (i < 0) i = this.list.push(facet.none) - 1;
    return `no [${i + 1}]`;
  }
}
const code = (text: string): string => `\`${text.replaceAll("|", "\\|")}\``;

function row(o: Operator, reasons: Reasons): string {
  const facet = (f: unknown, yes: string): string => (isNone(f) ? reasons.cell(f) : yes);
  const kernel =
    isNone(o.packs) && o.packs.kernel ? `*later* ${code(o.packs.kernel)}` : facet(o.packs, code(String(o.packs)));
  const cells = [
    code(o.domain ? `${o.domain}.${o.type}` : o.type),
    typeof o.axes === "string" ? code(o.axes) : facet(o.axes, "by node"),
    facet(o.grad, "yes"),
    facet(o.quant, String(o.quant)),
    kernel,
    o.raise === "same" ? "same" : "rewritten",
    o.rewrite === "none needed" ? "" : "yes",
    facet(o.fold, "yes"),
  ];
  return `| ${cells.join(" | ")} |`;
}

/** The whole document, sorted by domain and name. */
export function operatorTable(): string {
  const reasons = new Reasons();
  const key = (o: Operator) => `${o.domain} ${o.type}`;
  const sorted = [...operators.values()].sort((a, b) => (key(a) < key(b) ? -1 : 1));
  const rows = sorted.map((o) => row(o, reasons));
  return [
    head,
    `${sorted.length} operators, ${sorted.filter((o) => !isNone(o.grad)).length} with a gradient.`,
    "",
    "| Operator | Axes | Gradient | Quantization | Kernel | Old forms | Sizes | Folds |",
    "|---|---|---|---|---|---|---|---|",
    ...rows,
    "",
    ...reasons.list.map((why, i) => `${i + 1}. ${why}`),
    "",
  ].join("\n");
}

/** What the file says now; null where it is absent. */
export function writtenTable(): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return null;
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) writeFileSync(path, operatorTable());
