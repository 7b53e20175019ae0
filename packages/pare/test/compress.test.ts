/** The main path end to end on a problem of seconds. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { compress } from "../dist/compress.js";
import { toBytes } from "../dist/graph/encode.js";
import { read } from "../dist/graph/file.js";
import type { RecipeInput } from "../dist/methods/recipe.js";
import { unpack } from "../dist/pack/pack.js";
import { reportFacts } from "../dist/report/facts.js";
import { data, graph, recipe, training } from "./support/small-problem.js";

let folder = "";
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "pare-compress-"));
});
after(() => rm(folder, { recursive: true, force: true }));

test("stages from dense to packed, every file, and the packed file is what it says", async () => {
  const out = join(folder, "plain");
  const { facts, graph: result } = await compress(graph, { data, out, recipe, seed: 1 });
  assert.deepEqual(
    facts.stages.map((s) => s.stage),
    ["dense", "prune", "cluster", "packed"],
  );
  const last = facts.stages.at(-1)!;
  assert.equal(last.sizeBytes, (await stat(facts.output)).size);
  assert.ok(last.sizeBytes < facts.stages[0]!.sizeBytes / 10);
  assert.ok(last.nonzero < 0.12 * facts.stages[0]!.parameters && last.parameters <= facts.stages[0]!.parameters);
  assert.ok(last.error < 0.2, `error ${last.error}`);
  const bytes = await readFile(facts.output);
  assert.deepEqual(toBytes(unpack(bytes)), toBytes(result));
  assert.deepEqual(toBytes(await read(join(out, "model.onnx"))), toBytes(result));
  assert.ok(!result.nodes.some((n) => n.op === "Dropout"));
  assert.deepEqual(reportFacts.parse(JSON.parse(await readFile(join(out, "report.json"), "utf8"))), facts);
  const sum = facts.layers.reduce((n, l) => n + l.bytes, 0);
  assert.ok(sum < last.sizeBytes && sum > 0.8 * last.sizeBytes, `layers ${sum}, file ${last.sizeBytes}`);
  assert.match(await readFile(facts.report, "utf8"), /<svg/);
});

test("a run that stops in any stage goes on to the same bytes, without doing a stage twice", async () => {
  const reference = await readFile(join(folder, "plain", "model.pare"));
  for (const stopAt of ["dense", "prune", "cluster"]) {
    const out = join(folder, `stopped-${stopAt}`);
    const stop = new AbortController();
    await assert.rejects(
      compress(graph, {
        data,
        out,
        recipe,
        seed: 1,
        signal: stop.signal,
        onEpoch: (stage) => void (stage === stopAt && stop.abort()),
      }),
    );
    const trained = new Set<string>();
    await compress(graph, { data, out, recipe, seed: 1, onEpoch: (stage) => void trained.add(stage) });
    assert.ok(stopAt === "dense" || !trained.has("dense"), `${stopAt}: trained ${[...trained]} again`);
    assert.deepEqual(await readFile(join(out, "model.pare")), reference, stopAt);
  }
});

test("kill -9 in the middle of any training, then the same command: the same bytes", async () => {
  const program = fileURLToPath(new URL("./support/small-problem.js", import.meta.url));
  const reference = await readFile(join(folder, "plain", "model.pare"));
  for (const killAt of ["dense 2", "prune 1", "cluster 4"]) {
    const out = join(folder, `killed-${killAt.replace(" ", "-")}`);
    const child = spawn(process.execPath, [program, out], { stdio: ["ignore", "pipe", "inherit"] });
    let seen = "";
    child.stdout.on("data", (chunk) => {
      seen += chunk;
      if (seen.includes(killAt)) child.kill("SIGKILL");
    });
    const [, signal] = await once(child, "exit");
    assert.equal(signal, "SIGKILL", `ended by itself: ${seen}`);
    await compress(graph, { data, out, recipe, seed: 1 });
    assert.deepEqual(await readFile(join(out, "model.pare")), reference, killAt);
  }
});

test("stages of another run are not taken for this one's", async () => {
  const out = join(folder, "other");
  const stop = new AbortController();
  await assert.rejects(
    compress(graph, {
      data,
      out,
      recipe,
      seed: 1,
      signal: stop.signal,
      onEpoch: (stage) => void (stage === "prune" && stop.abort()),
    }),
  );
  const { facts } = await compress(graph, { data, out, recipe, seed: 2 });
  const { facts: clean } = await compress(graph, { data, out: join(folder, "clean"), recipe, seed: 2 });
  const numbers = (f: typeof facts) => f.stages.map(({ seconds: _, ...rest }) => rest);
  assert.deepEqual(numbers(facts), numbers(clean));
});

test("a damaged stage file is done again", async () => {
  const out = join(folder, "damaged");
  const stop = new AbortController();
  await assert.rejects(
    compress(graph, {
      data,
      out,
      recipe,
      seed: 1,
      signal: stop.signal,
      onEpoch: (stage) => void (stage === "prune" && stop.abort()),
    }),
  );
  const file = join(out, ".unfinished", "stage-0.bin");
  await writeFile(file, (await readFile(file)).subarray(0, 1000));
  await compress(graph, { data, out, recipe, seed: 1 });
  assert.deepEqual(await readFile(join(out, "model.pare")), await readFile(join(folder, "plain", "model.pare")));
});

test("maxDrop keeps the smallest result within the allowed rise of the validation error", async () => {
  const harsh: RecipeInput = {
    ...recipe,
    stages: [{ method: "prune/magnitude", options: { sparsity: 0.9999, train: { ...training, epochs: 1 } } }],
  };
  const lines: string[] = [];
  const { facts } = await compress(graph, {
    data,
    out: join(folder, "drop"),
    recipe: harsh,
    seed: 1,
    maxDrop: 0.02,
    log: (l) => lines.push(l),
  });
  const errors = lines.flatMap((l) =>
    [...l.matchAll(/^(?:dense|prune\/magnitude): .* error ([\d.]+) %/g)].map((m) => Number(m[1])),
  );
  assert.equal(errors.length, 2);
  assert.ok(errors[1]! <= errors[0]! + 2.0001, lines.join("\n"));
  assert.ok(facts.stages.at(-1)!.nonzero < facts.stages[0]!.nonzero / 2, lines.join("\n"));
});

test("options that make no sense are named", async () => {
  const out = join(folder, "bad");
  const bad = (options: object, pattern: RegExp) =>
    assert.rejects(compress(graph, { data, out, recipe, ...options }), (e: Error & { kind?: string }) => {
      assert.equal(e.name, "PareError");
      assert.equal(e.kind, "usage");
      assert.match(e.message, pattern);
      return true;
    });
  await bad({ maxDrop: 2 }, /maxDrop 2/);
  await bad({ recipe: "nonsense" }, /"nonsense".*deep-compression/);
  await bad({ recipe: { ...recipe, stages: [] } }, /stages/);
  await bad({ recipe: { ...recipe, stages: [{ method: "prune/wishful" }] } }, /stages\[0\]\.method/);
  await bad(
    { recipe: { ...recipe, stages: [{ method: "prune/magnitude", options: { sparsity: 2 } }] } },
    /stages\[0\]\.options\.sparsity/,
  );
});
