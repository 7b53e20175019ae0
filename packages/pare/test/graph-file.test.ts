/** Model files: external data in and out, and never a half file under the final name. */
import assert from "node:assert/strict";
import { execFile, execFileSync, spawn } from "node:child_process";
import { mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as wait } from "node:timers/promises";
import { promisify } from "node:util";
import { create, toBinary } from "@bufbuild/protobuf";
import { toBytes } from "../dist/graph/encode.js";
import { PareError } from "../dist/graph/error.js";
import { read, write } from "../dist/graph/file.js";
import { ModelProtoSchema } from "../dist/graph/generated/onnx_pb.js";
import { int64s } from "../dist/graph/tensor.js";
import { ortOutputs, ortTensor } from "./support/ort-outputs.js";
import { ramp, sumOf } from "./support/small-graph.js";

let root: string;
before(async () => {
  root = await mkdtemp(join(tmpdir(), "pare-file-"));
});
after(() => rm(root, { recursive: true, force: true }));
/** A fresh folder for one test. */
async function folder(name: string): Promise<string> {
  const path = join(root, name);
  await mkdir(path);
  return path;
}

const refuses = (action: Promise<unknown>, message: RegExp) =>
  assert.rejects(action, (error) => {
    assert.ok(error instanceof PareError, String(error));
    assert.match(error.message, message);
    return true;
  });

/** The bytes of a model with one external float32 tensor "w" [4], whose entries are as given. */
function external(entries: Readonly<Record<string, string>>): Uint8Array {
  const float = (name: string) => ({
    name,
    type: {
      value: {
        case: "tensorType" as const,
        value: { elemType: 1, shape: { dim: [{ value: { case: "dimValue" as const, value: 4n } }] } },
      },
    },
  });
  return toBinary(
    ModelProtoSchema,
    create(ModelProtoSchema, {
      irVersion: 8n,
      opsetImport: [{ version: 17n }],
      graph: {
        name: "g",
        node: [{ input: ["x", "w"], output: ["y"], opType: "Add" }],
        input: [float("x")],
        output: [float("y")],
        initializer: [
          {
            name: "w",
            dims: [4n],
            dataType: 1,
            dataLocation: 1,
            externalData: Object.entries(entries).map(([key, value]) => ({ key, value })),
          },
        ],
      },
    }),
  );
}

test("weights go to a file of their own, aligned, shared ones once, shapes and small ones not at all", async () => {
  const dir = await folder("layout");
  const [big, shared, tiny] = [ramp(2 ** 18), ramp(500), ramp(1)];
  const graph = sumOf({ tiny, shared, big, twin: shared });
  graph.initializers.set("shape", int64s(Array.from({ length: 300 }, (_, i) => i)));
  await write(graph, join(dir, "m.onnx"), { externalData: true });
  assert.deepEqual((await readdir(dir)).sort(), ["m.onnx", "m.onnx.data"]);
  assert.deepEqual(await read(join(dir, "m.onnx")), { ...(await read(toBytes(graph))) });
  const data = await readFile(join(dir, "m.onnx.data"));
  assert.equal(data.length, 4096 + 2 ** 20);
  assert.deepEqual(data.subarray(0, 2000), Buffer.from(shared.bytes));
  assert.deepEqual(data.subarray(4096), Buffer.from(big.bytes));
  const twins = (await read(join(dir, "m.onnx"))).initializers;
  assert.equal(twins.get("twin")?.bytes.buffer, twins.get("shared")?.bytes.buffer, "one buffer for shared bytes");

  await write(graph, join(dir, "n.onnx"), { externalData: { fileName: "weights.bin", thresholdBytes: 0 } });
  assert.equal((await stat(join(dir, "weights.bin"))).size, 4096 + 2 ** 20);
  for (const fileName of ["", "n.onnx", "../w", "a/b", "..", "a\\b"])
    await refuses(write(graph, join(dir, "n.onnx"), { externalData: { fileName } }), /external data cannot go to/);
  await refuses(write(graph, join(dir, "n.onnx"), { externalData: { thresholdBytes: -1 } }), /threshold/);
});

test("external data in bodies and with offsets, read as onnxruntime reads them", async () => {
  const dir = await folder("offsets");
  await writeFile(join(dir, "w.bin"), new Uint8Array(Float32Array.of(9, 9, 1, 2, 3, 4, 9).buffer));
  await writeFile(join(dir, "m.onnx"), external({ location: "w.bin", offset: "8", length: "16" }));
  const graph = await read(join(dir, "m.onnx"));
  assert.deepEqual([...graph.initializers.get("w")!.bytes], [...new Uint8Array(Float32Array.of(1, 2, 3, 4).buffer)]);
  const feeds = { x: ortTensor(ramp(4)) };
  assert.deepEqual(await ortOutputs(toBytes(graph), feeds), await ortOutputs(join(dir, "m.onnx"), feeds));
  await refuses(read(await readFile(join(dir, "m.onnx"))), /in a file of their own; read the model by its path/);
});

test("external data are read from the model's own folder only", async () => {
  const outer = await folder("outside");
  const dir = join(outer, "inner");
  await mkdir(dir);
  const weights = new Uint8Array(Float32Array.of(1, 2, 3, 4).buffer);
  for (const path of [join(outer, "w.bin"), join(dir, "inside.bin")]) await writeFile(path, weights);
  await symlink(join(outer, "w.bin"), join(dir, "link.bin"));
  await symlink(outer, join(dir, "up"));
  await symlink("inside.bin", join(dir, "fine.bin"));
  await symlink("loop.bin", join(dir, "loop.bin"));
  await mkdir(join(dir, "sub"));
  execFileSync("mkfifo", [join(dir, "pipe")]);
  const model = join(dir, "m.onnx");
  const at = async (location: string, more = {}) => {
    await writeFile(model, external({ location, ...more }));
    return read(model);
  };
  await at("inside.bin");
  await at("fine.bin");
  await at("./inside.bin");
  await refuses(at("../w.bin"), /m\.onnx: tensor "w": .*outside the model's folder/);
  await refuses(at("sub/../../w.bin"), /outside the model's folder/);
  await refuses(at("..\\w.bin"), /outside the model's folder/);
  await refuses(at(join(outer, "w.bin")), /an absolute path/);
  await refuses(at("C:\\w.bin"), /an absolute path/);
  await refuses(at("link.bin"), /a link that leads outside/);
  await refuses(at("up/w.bin"), /a link that leads outside/);
  await refuses(at("loop.bin"), /links that go round/);
  await refuses(at("pipe"), /not a regular file/);
  await refuses(at("sub"), /not a regular file|folder/);
  await refuses(at("gone.bin"), /"gone\.bin": no such file/);
  await refuses(at("a\0b"), /no path/);
  await refuses(at(""), /without a location/);
  await refuses(at("inside.bin", { offset: "4" }), /its bytes 4 to 20 .*has only 16/);
  await refuses(at("inside.bin", { length: "12" }), /needs 16 bytes, its external data have 12/);
  await refuses(at("inside.bin", { offset: "-4" }), /offset "-4"/);
  await refuses(at("inside.bin", { offset: "99999999999999999999" }), /no position in a file/);
});

test("what is not a model file is refused at once", async () => {
  const dir = await folder("not");
  await refuses(read(join(dir, "gone.onnx")), /gone\.onnx: no such file/);
  await refuses(read(dir), /is a folder/);
  await refuses(read("/dev/null"), /not a regular file/);
  await writeFile(join(dir, "empty.onnx"), "");
  await refuses(read(join(dir, "empty.onnx")), /empty\.onnx: not a readable ONNX model: it is empty/);
  await writeFile(join(dir, "huge.onnx"), "x");
  await truncate(join(dir, "huge.onnx"), 3 * 2 ** 30);
  await refuses(read(join(dir, "huge.onnx")), /3221225472 bytes are more than the 2 GiB/);
});

test("a file that cannot be written leaves what was there", async () => {
  const dir = await folder("failures");
  const graph = sumOf({ w: ramp(10) });
  await refuses(write(graph, join(dir, "no", "m.onnx")), /m\.onnx: no such file or folder; nothing was left there/);
  await refuses(write(graph, dir), /it is a folder/);
  await refuses(write(graph, "/dev/null"), /not a regular file/);
  await refuses(write({ ...graph, nodes: [] }, join(dir, "m.onnx")), /output "y" is computed by nothing/);
  assert.deepEqual(await readdir(dir), []);
});

/** Writes a model with a 4 MB weight to argv[1], in a process of its own. */
const writer = `
  const [file, encode, graph] = await Promise.all(["file", "emit", "graph"].map((m) => import(process.argv[2] + m + ".js")));
  const g = graph.emptyGraph("g", 17);
  g.irVersion = 8;
  const bytes = new Uint8Array(Number(process.argv[3])).fill(7);
  g.initializers.set("w", { type: "uint8", dims: [bytes.length], bytes });
  g.nodes.push(encode.node("Identity", ["w"], ["y"]));
  g.outputs.push({ name: "y", type: "uint8", shape: null });
  const options = process.argv[4] === "external" ? { externalData: true } : {};
  do {
    await file.write(g, process.argv[1], options).catch((e) => { console.log(e.name + ": " + e.message); process.exit(1); });
    process.send?.("written");
  } while (process.argv[4] === "forever");
`;
const dist = new URL("../dist/graph/", import.meta.url).href;
const writerArgs = (path: string, bytes: number, mode = "once") => [
  "--input-type=module",
  "-e",
  writer,
  path,
  dist,
  String(bytes),
  mode,
];

test("a full disk is one clear error, and nothing is left: neither a half model nor temporary files", async (t) => {
  const dir = await folder("full");
  const quoted = (args: readonly string[]) => args.map((a) => `'${a.replaceAll("'", `'\\''`)}'`).join(" ");
  const command = (mode: string) =>
    `mount -t tmpfs -o size=1m none ${dir} && echo old > ${dir}/m.onnx && { ${quoted([process.execPath, ...writerArgs(join(dir, "m.onnx"), 4e6, mode)])}; ls -A ${dir}; cat ${dir}/m.onnx; }`;
  try {
    execFileSync("unshare", ["-rm", "mount", "-t", "tmpfs", "none", dir], { stdio: "ignore" });
  } catch {
    return t.skip("needs the right to mount a small file system");
  }
  for (const mode of ["once", "external"]) {
    const { stdout } = await promisify(execFile)("unshare", ["-rm", "sh", "-c", command(mode)]);
    assert.match(
      stdout,
      /^PareError: cannot write \S*m\.onnx(\.data)?: the disk is full; nothing was left there\nm\.onnx\nold\n$/,
    );
  }
});

test("a limit on file size is one clear error too", async () => {
  const dir = await folder("limit");
  await writeFile(join(dir, "m.onnx"), "old");
  const script = `ulimit -f 100; exec "$0" "$@"`;
  const run = promisify(execFile)("sh", ["-c", script, process.execPath, ...writerArgs(join(dir, "m.onnx"), 4e6)]);
  await assert.rejects(run, (error: { stdout: string; code: number }) => {
    assert.match(error.stdout, /^PareError: cannot write .*larger than the system allows a file to be/);
    return error.code === 1;
  });
  assert.deepEqual(await readdir(dir), ["m.onnx"]);
  assert.equal(await readFile(join(dir, "m.onnx"), "utf8"), "old");
});

test("killed at any moment, a writer leaves a whole file under the final name", async () => {
  const dir = await folder("killed");
  const path = join(dir, "m.onnx");
  for (let round = 0; round < 8; round++) {
    const child = spawn(process.execPath, writerArgs(path, 5e6 + round, "forever"), {
      stdio: ["ignore", "ignore", "inherit", "ipc"],
    });
    await new Promise((resolve) => child.once("message", resolve));
    await wait(round * 7);
    child.kill("SIGKILL");
    await new Promise((resolve) => child.once("exit", resolve));
    const { bytes } = (await read(path)).initializers.get("w")!;
    assert.equal(bytes.length, 5e6 + round);
    assert.ok(bytes.every((b) => b === 7));
  }
});
