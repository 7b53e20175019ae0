/** Pictures of text, drawn once by bench/peers/draw-text.py into Pare's cache folder: lines, and pages of lines. */
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { cacheFolder } from "../../../packages/pare/dist/data/cache.js";
import { peersPython } from "../../peers/quantize-process.js";
import { root, shared } from "./places.js";

const version = 1;
interface Drawn {
  readonly lines: readonly { readonly file: string; readonly text: string }[];
  readonly pages: readonly string[];
}

function drawn(): { folder: string; list: Drawn } {
  const folder = cacheFolder(`ptq-text-${version}`);
  const list = join(folder, "list.json");
  if (!existsSync(list)) {
    const python = peersPython();
    if (!existsSync(python))
      throw new Error(
        `there are no pictures of text in ${folder}, and no ${python} to draw them: bash bench/peers/install-ptq.sh installs it`,
      );
    const { status, stderr } = spawnSync(python, [join(root, "bench/peers/draw-text.py"), shared("text"), folder], {
      encoding: "utf8",
    });
    if (status !== 0) throw new Error(`bench/peers/draw-text.py failed:\n${stderr}`);
  }
  return { folder, list: JSON.parse(readFileSync(list, "utf8")) as Drawn };
}

export interface Line {
  readonly file: string;
  readonly text: string;
}
/** 180 lines: the first 100 calibrate. */
export function lines(part: "train" | "test"): Line[] {
  const { folder, list } = drawn();
  const all = list.lines.map(({ file, text }) => ({ file: join(folder, file), text }));
  return part === "train" ? all.slice(0, 100) : all.slice(100);
}
/** 50 pages: the first 30 calibrate. */
export function pages(part: "train" | "test"): string[] {
  const { folder, list } = drawn();
  const all = list.pages.map((file) => join(folder, file));
  return part === "train" ? all.slice(0, 30) : all.slice(30);
}
