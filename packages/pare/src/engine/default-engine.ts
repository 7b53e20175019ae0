/** The engine of the place we run in. */
import type { Engine } from "./engine.js";

/** onnxruntime-node in Node, onnxruntime-web elsewhere. */
export async function defaultEngine(): Promise<Engine> {
  const isNode = typeof process !== "undefined" && process.versions?.node !== undefined;
  if (isNode) return (await import("./ort-node.js")).ortNode;
  return (await import("./ort-web.js")).ortWeb();
}
