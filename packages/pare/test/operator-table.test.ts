/** docs/operators.md is what the registry says today. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { operatorTable, writtenTable } from "../dist/lab/operator-table.js";

test("docs/operators.md is up to date", () => {
  assert.equal(writtenTable(), operatorTable(), "run npm run docs:operators");
});
