/** What the documentation says against what is there. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const root = new URL("../../../", import.meta.url);
const text = (path: string): string => readFileSync(new URL(path, root), "utf8");

test("README's tables are those of the measurements", () => {
  const run = spawnSync(process.execPath, [fileURLToPath(new URL("bench-dist/readme.js", root)), "--check"], {
    encoding: "utf8",
  });
  assert.equal(run.status, 0, run.stderr);
});

test("every npm script that the documents name is there, and every linked file", () => {
  const { scripts } = JSON.parse(text("package.json"));
  for (const file of ["README.md", "ARCHITECTURE.md", "packages/runtime/README.md"]) {
    for (const [, name] of text(file).matchAll(/npm run ([\w:-]+)/g))
      assert.ok(scripts[name!], `${file}: npm run ${name}`);
    for (const [, link] of text(file).matchAll(/\]\((?!https?:)([^)#]+)\)/g)) {
      assert.ok(existsSync(new URL(link!, new URL(file, root))), `${file} links to ${link}`);
    }
  }
});
