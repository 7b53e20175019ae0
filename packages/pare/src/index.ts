/** The library's whole public face. */
export { PareError } from "./graph/error.js";
export type { Graph, Node, Shape, Tensor, Value } from "./graph/graph.js";
