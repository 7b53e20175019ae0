/** What a writer of packed files needs: the layout and the models that both sides run. */
export type { BitCoder } from "./bit-coder.js";
export { entriesOf } from "./codebook.js";
export { crc32 } from "./crc32.js";
export { decode } from "./decode.js";
export { FormatError } from "./error.js";
export { Fields } from "./fields.js";
export * from "./format.js";
export type { Attribute, Tensor } from "./model.js";
export { type Plan, tensorContents } from "./tensors.js";
export * from "./topology.js";
