/** .npy and .npz files: a path enters, a source leaves. Names in an .npz say which array is what. */
import { basename } from "node:path";
import { PareError } from "../graph/error.js";
import type { Column, Table } from "./columns.js";
import { npySize, readNpy } from "./npy.js";
import { type Layout, type RawArray, toClassIndices, toColumn } from "./raw-array.js";
import { readBytes } from "./read-bytes.js";
import { type Part, type Source, wholePart } from "./source.js";
import { readZip } from "./zip.js";

/** One array of samples without labels. */
export function npyFile(path: string, layout: Layout): Source {
  const name = basename(path);
  const read = async (): Promise<Table> => {
    const array = readNpy(await readBytes(path, (head) => npySize(head, path)), path);
    return { name, columns: [toColumn(array, null, layout, path)] };
  };
  return { name, main: wholePart(read) };
}

const parts = { main: /^(train|training)$/, test: /^test$/, validation: /^(val|valid|validation)$/ } as const;
type PartName = keyof typeof parts;
interface Role {
  readonly part: PartName;
  readonly kind: "input" | "labels" | "targets";
  /** The name without its part: "x" of "x_train". */
  readonly stem: string;
}

/** What an array of that name is: x_train, train_images, y, labels, targets; every other name is an input of that name. */
export function roleOf(key: string): Role {
  const words = key.split("_");
  const isPart = (word: string | undefined): PartName | null =>
    (Object.keys(parts) as PartName[]).find((p) => word !== undefined && parts[p].test(word.toLowerCase())) ?? null;
  const last = words.length > 1 ? isPart(words.at(-1)) : null;
  const first = words.length > 1 ? isPart(words[0]) : null;
  const stem = last ? words.slice(0, -1).join("_") : first ? words.slice(1).join("_") : key;
  const kind = /^(y|labels?|class(es)?)$/i.test(stem) ? "labels" : /^targets?$/i.test(stem) ? "targets" : "input";
  return { part: last ?? first ?? "main", kind, stem };
}

/** The arrays of an .npz: inputs by name, labels (y, label, labels) or targets, in parts for training, validation (x_val) and test (x_test). */
export async function npzFile(path: string, layout: Layout): Promise<Source> {
  const name = basename(path);
  const files = readZip(await readBytes(path), path);
  const members = [...files].map(([file, read]) => {
    const key = file.replace(/\.npy$/, "");
    const title = `${path}: "${key}"`;
    return {
      key,
      title,
      role: roleOf(key),
      read: () =>
        readNpy(
          read((head) => npySize(head, title)),
          title,
        ),
    };
  });
  if (!members.length) throw new PareError(`${path}: an archive without arrays`);
  const part = (which: PartName): Part | null => {
    const own = members.filter((m) => m.role.part === which);
    const inputs = own.filter((m) => m.role.kind === "input");
    const labels = own.filter((m) => m.role.kind !== "input");
    if (!own.length) return null;
    if (!inputs.length)
      throw new PareError(
        `${path}: holds ${own.map((m) => m.key).join(", ")} but no samples: call them x or by the name of the input`,
      );
    if (labels.length > 1)
      throw new PareError(`${path}: ${labels.map((m) => m.key).join(" and ")} both look like labels: keep one`);
    return wholePart(async () => {
      const columns = inputs.map(
        (m): Column =>
          toColumn(
            m.read(),
            inputs.length === 1 && /^(x|images?|data|inputs?|samples)$/i.test(m.role.stem) ? null : m.role.stem,
            layout,
            m.title,
          ),
      );
      const [answer] = labels;
      return { name, columns, ...(answer ? answers(answer.read(), answer.role.kind === "targets", answer.title) : {}) };
    });
  };
  const [main, test, validation] = [part("main"), part("test"), part("validation")];
  if (!main)
    throw new PareError(`${path}: holds ${members.map((m) => m.key).join(", ")} but no training or unnamed part`);
  return { name, main, ...(test ? { test } : {}), ...(validation ? { validation } : {}) };
}

/** Labels where the numbers are class indices or one-hot rows, else targets. */
function answers(array: RawArray, wantTargets: boolean, title: string): Pick<Table, "labels" | "targets" | "classes"> {
  const { dims, data } = array;
  const flat = dims.slice(1).every((d) => d === 1);
  const whole = data instanceof BigInt64Array || data.every((v) => Number.isInteger(v) && v >= 0);
  if (!wantTargets && flat && whole) return { labels: toClassIndices(array, title) };
  if (!wantTargets && dims.length === 2 && dims[1]! > 1 && !(data instanceof BigInt64Array)) {
    const hot = oneHot(data, dims[1]!);
    if (hot) return { labels: hot, classes: dims[1]! };
  }
  if (!wantTargets && flat && !(data instanceof Float32Array || data instanceof Float64Array))
    return { labels: toClassIndices(array, title) };
  return { targets: toTargets(array, title) };
}

/** Targets are real numbers, whatever they are stored as. */
function toTargets({ dims, data }: RawArray, title: string): Column {
  if (dims.length < 1) throw new PareError(`${title}: a single number, not one target per sample`);
  const values = data instanceof BigInt64Array ? Float32Array.from(data, Number) : Float32Array.from(data);
  return { name: "targets", dims: dims.length === 1 ? [1] : dims.slice(1), data: values };
}

function oneHot(data: Exclude<Column["data"], BigInt64Array>, classes: number): Int32Array | null {
  const labels = new Int32Array(data.length / classes).fill(-1);
  for (let i = 0; i < data.length; i++) {
    const [row, value] = [Math.floor(i / classes), data[i]!];
    if (value === 1 && labels[row] === -1) labels[row] = i % classes;
    else if (value !== 0) return null;
  }
  return labels.includes(-1) ? null : labels;
}
