/** The runtime's whole public face. */
export { type DecodeOptions, decode, isPacked } from "./decode.js";
export { FormatError } from "./error.js";
export type { Attribute, Body, ElementType, FunctionDefinition, Model, Node, Tensor, Value } from "./model.js";
export { typedArray } from "./typed-array.js";
