/** The runtime package stands alone: no dependency, no import from outside, few bytes. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { gzipSync } from "node:zlib";

const dist = new URL("../dist/", import.meta.url);
const modules = readdirSync(dist)
  .filter((f) => f.endsWith(".js"))
  .map((name) => ({ name, text: readFileSync(new URL(name, dist), "utf8") }));

const textOf = (name: string): string => modules.find((m) => m.name === name)!.text;

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
  const reached = new Set<string>();
  const visit = (name: string) => {
    if (reached.has(name)) return;
    reached.add(name);
    for (const [, to] of textOf(name).matchAll(/\bfrom\s*"\.\/([^"]+)"/g)) visit(to!);
  };
  visit("index.js");
  const code = [...reached]
    .map((name) =>
      textOf(name)
        .replace(/\/\*[\s\S]*?\*\//g, "")
        .replace(/^\s*(\/\/.*)?/gm, ""),
    )
    .join("");
  const bytes = gzipSync(code).length;
  t.diagnostic(`${bytes} bytes gzipped, not minified`);
  assert.ok(bytes < 20_000, `${bytes}`);
});

test("the README shows the head of format.ts", () => {
  const read = (path: string) => readFileSync(new URL(path, import.meta.url), "utf8");
  const head = read("../src/format.ts").match(/^\/\*\*\n([\s\S]*?)\n \*\//)![1]!;
  const text = head.replace(/^ \* ?/gm, "");
  assert.ok(text.split("\n").length < 40, "more than a screen");
  assert.ok(read("../README.md").includes(text), "README.md tells another layout");
});
