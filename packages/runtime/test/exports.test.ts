/** The runtime package stands alone: no dependency, no import from outside, few bytes. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { gzipSync } from "node:zlib";

const dist = new URL("../dist/", import.meta.url);
const modules = readdirSync(dist)
  .filter((f) => f.endsWith(".js"))
  .map((name) => ({ name, text: readFileSync(new URL(name, dist), "utf8") }));

test("the runtime has no dependencies", () => {
  const manifest = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"));
  assert.equal(manifest.dependencies, undefined);
});

test("what is built imports nothing from outside, and nothing of Node", () => {
  assert.ok(modules.length > 10);
  for (const { name, text } of modules) {
    const specifiers = [...text.matchAll(/(?:\bfrom|\bimport)\s*\(?\s*["']([^"']+)["']/g)].map((m) => m[1]!);
    for (const s of specifiers) assert.match(s, /^\.\/[\w-]+\.js$/, `${name} imports ${s}`);
    assert.doesNotMatch(text.replace(/\/\*[\s\S]*?\*\//g, ""), /\b(process|Buffer|require|__dirname)\b\s*[.([]/, name);
  }
});

test("a page downloads less than 20 KB", (t) => {
  const code = modules
    .filter((m) => m.name !== "writer.js")
    .map((m) => m.text.replace(/\/\*[\s\S]*?\*\//g, "").replace(/^\s*(\/\/.*)?/gm, ""))
    .join("");
  const bytes = gzipSync(code).length;
  t.diagnostic(`${bytes} bytes gzipped, not minified`);
  assert.ok(bytes < 20_000, `${bytes}`);
});
