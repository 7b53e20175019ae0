/** What a writer of packed files needs: the layout and the models that both sides run. */
export type { BitCoder } from "./bit-coder.js";
export { type CodebookPlan, floatOfBits, maxEntries } from "./codebook.js";
export { crc32 } from "./crc32.js";
export { decode } from "./decode.js";
export type { DeepCompressionPlan } from "./deep-compression.js";
export { toWords } from "./elements.js";
export { FormatError } from "./error.js";
export { Fields } from "./fields.js";
export { floatLayouts } from "./floats.js";
export * from "./format.js";
export { type Geometry, plainGeometry } from "./geometry.js";
export { toHalf } from "./half.js";
export { canonicalCodes, maxLength } from "./huffman.js";
export { type Attribute, byteLength, type ElementType, elementBits, elements, type Tensor } from "./model.js";
export { Earlier } from "./plane.js";
export { type Plan, tensorContents, unitsOf } from "./tensors.js";
export * from "./topology.js";
