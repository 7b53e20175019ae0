/** The floor plan's doors: which room may import which. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join, posix } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const src = fileURLToPath(new URL("../src", import.meta.url));
const below = ["graph", "ops", "analyze", "passes", "autodiff", "optimizers"];
/** Room -> rooms it may import (itself always). */
const doors: Record<string, readonly string[]> = {
  ...Object.fromEntries(below.map((room, i) => [room, below.slice(0, i)])),
  engine: ["graph"],
  data: ["graph", "engine"],
  train: [...below, "engine", "data"],
  calibrate: [...below, "engine", "data"],
  quantization: [...below, "engine", "data", "calibrate"],
  importance: [...below, "engine", "data", "train"],
  linear: ["graph", "ops", "analyze", "passes", "engine", "data"],
  methods: [...below, "engine", "data", "train", "calibrate", "quantization", "importance", "linear"],
  pack: ["graph", "ops", "analyze"],
  recipes: ["methods"],
  report: ["graph", "ops", "analyze", "pack"],
};
const rooms = Object.keys(doors);
/** Main paths: a file of that name, which is read first, and perhaps a folder of what only it needs. */
const paths = ["simplify", "prune", "factorize", "compress", "compare", "quantize", "explain"];
const everything = [...rooms, ...paths];
paths.forEach((path, i) => {
  doors[path] = [...rooms, ...paths.slice(0, i)];
});
doors.lab = everything;
doors.index = [...everything, "lab"];
doors.cli = [...everything, "lab", "index"];
/** Where Node's own modules may be used, so that the rest runs in a browser. */
const nodeFiles =
  /^(engine\/ort-node|engine\/chromium|engine\/replica-worker|data\/|train\/checkpoint|train\/workers|cli\/|lab\/|graph\/file|report\/write|compress\.ts|compress\/(job|finish)|methods\/unfinished)/;

const room = (path: string): string =>
  path.includes("/") ? path.slice(0, path.indexOf("/")) : path.replace(/\.ts$/, "");

test("every import goes through a door of the floor plan", () => {
  const wrong: string[] = [];
  const files = readdirSync(src, { recursive: true, encoding: "utf8" }).map((f) => f.replaceAll("\\", "/"));
  for (const file of files.filter((f) => f.endsWith(".ts"))) {
    const text = readFileSync(join(src, file), "utf8");
    for (const [, specifier] of text.matchAll(/(?:from|import)\s*\(?\s*"([^"]+)"/g)) {
      if (specifier!.startsWith("node:") && !nodeFiles.test(file))
        wrong.push(`${file} imports ${specifier}: only ${nodeFiles.source} may`);
      if (!specifier!.startsWith(".")) continue;
      const target = posix.join(posix.dirname(file), specifier!);
      const [from, to] = [room(file), room(target.replace(/\.js$/, ".ts"))];
      const allowed = doors[from];
      assert.ok(allowed, `${file}: the floor plan has no room "${from}"`);
      if (from !== to && !allowed.includes(to))
        wrong.push(`${file} imports ${specifier}: ${from} may import ${allowed.join(", ") || "nothing"}`);
      const networks =
        posix.dirname(file) === "methods/architecture" && posix.dirname(target) === "methods/architecture";
      if (!networks && /^methods\/\w+\//.test(file) && /^methods\/\w+\//.test(target)) {
        wrong.push(`${file} imports ${specifier}: methods may not import one another`);
      }
    }
  }
  assert.deepEqual(wrong, []);
});
