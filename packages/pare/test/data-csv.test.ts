/** CSV files: read, and refused where they hold no numbers. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { open } from "../dist/data/open.js";
import { everything, labels, put, refused, shared } from "./data-files.js";

test("CSV: with and without header, label columns, words as labels, real targets, other separators", async () => {
  const plain = await open(put("a.csv", "1,2,0\n3,4.5,1\n5,6,1\n"));
  assert.deepEqual([everything(plain), labels(plain), plain.classes], [[1, 2, 3, 4.5, 5, 6], [0, 1, 1], 2]);
  const header = await open(put("b.csv", "\ufeffclass;a;b\nowl;1;2\ncat;3;4\nowl;5;6\n"));
  assert.deepEqual([everything(header), labels(header), header.classes], [[1, 2, 3, 4, 5, 6], [1, 0, 1], 2]);
  assert.deepEqual(labels(await open(put("c.csv", "a,b,c\n7,2,3\n1,5,6\n"), { label: "a" })), [7, 1]);
  assert.deepEqual(labels(await open(put("d.csv", "7\t2\t3\n1\t5\t6\n"), { label: 0 })), [7, 1]);
  assert.deepEqual(labels(await open(put("e.csv", "1,1\n2,-1\n3,1\n"))), [1, 0, 1]);
  const real = await open(put("f.csv", "x,target\n1,0.5\n2,3\n"));
  assert.deepEqual(real.batch([0, 1]).targets!.data, Float32Array.of(0.5, 3));
  assert.equal(real.classes, undefined);
  assert.deepEqual(
    (await open(put("g.csv", "1,4\n2,3\n"), { regression: true })).batch([1]).targets!.data,
    Float32Array.of(3),
  );
  assert.deepEqual(labels(await open(put("h.csv", '"x","label"\n"1","a, b"\n"2","c"\n'))), [0, 1]);
  assert.deepEqual(labels(await open(put("i.csv", "1,2\n"))), [2]);
  assert.deepEqual(
    everything(await open(put("j.csv.gz", gzipSync("2,4,first,second,third\n1,2,3,4,0\n5,6,7,8,1\n")))),
    [1, 2, 3, 4, 5, 6, 7, 8],
  );
});

test("CSV: cells that are no numbers, ragged rows, nothing at all", async () => {
  await refused(put("x.csv", "a,b,label\n1,2,0\n1,,1\n"), /row 3, column "b" holds nothing/);
  await refused(put("x.csv", "a,b,label\n1,2,0\n1,NaN,1\n"), /row 3, column "b" holds "NaN"/);
  await refused(put("x.csv", "1,2,0\n1,2\n"), /row 2 has 2 columns|row 1 has 3 columns/);
  await refused(put("x.csv", "1,2,0\n1,2,0\n1,2,3,4\n"), /row 3 has 4 columns, the ones before have 3/);
  await refused(put("x.csv", "1,2,0\n1,2,\n"), /row 2 has no label/);
  await refused(put("x.csv", ""), /no rows/);
  await refused(put("x.csv", "a,b,label\n"), /not a number|no rows/);
  await refused(put("x.csv", "1\n2\n"), /one column/);
  await refused(put("x.csv", '1,"2\n3,4\n'), /cannot be read as CSV/);
  await refused(put("x.csv", "1,2\n3,4\n"), /no column "price"/, { label: "price" });
  await refused(put("x.csv", "3,4,a,b\n1,2,3,4,0\n5,6,7,8,1\n"), /declares 3 rows, there are 2/);
});

test("the tables in shared", async (t) => {
  if (!existsSync(join(shared, "tabular"))) return t.skip("needs ../shared/data");
  for (const [file, length, features, classes] of [
    ["iris.csv", 150, 4, 3],
    ["wine_data.csv", 178, 13, 3],
    ["breast_cancer.csv", 569, 30, 2],
    ["digits.csv.gz", 1797, 64, 10],
  ] as const) {
    const d = await open(join(shared, "tabular", file));
    assert.deepEqual([d.length, d.fields[0]!.dims, d.classes], [length, [features], classes], file);
  }
  await refused(join(shared, "tabular/penguins.csv"), /row 2, column "species" holds "Adelie", not a number/);
});
