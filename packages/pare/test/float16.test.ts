import assert from "node:assert/strict";
import { test } from "node:test";
import { float16Bits, float16Value, roundToFloat16 } from "../dist/graph/float16.js";

test("every float16 pattern survives the way to a number and back", () => {
  for (let bits = 0; bits < 0x10000; bits++) {
    const value = float16Value(bits);
    if (Number.isNaN(value)) assert.equal(float16Bits(value) & 0x7fff, 0x7e00);
    else assert.equal(float16Bits(value), bits, `pattern ${bits}, value ${value}`);
  }
});

test("rounds to the nearest pattern, ties to even", () => {
  for (let bits = 1; bits < 0x7bff; bits++) {
    const [low, high] = [float16Value(bits), float16Value(bits + 1)];
    const middle = (low + high) / 2;
    assert.equal(roundToFloat16(middle), bits % 2 === 0 ? low : high);
    assert.equal(roundToFloat16(middle + (high - low) / 8), high);
    assert.equal(roundToFloat16(-middle + (high - low) / 8), -low);
  }
  assert.equal(roundToFloat16(65_519), 65_504);
  assert.equal(roundToFloat16(65_520), Number.POSITIVE_INFINITY);
});
