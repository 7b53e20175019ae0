/** The engine over onnxruntime-node: a graph comes in, composite nodes are lowered, a session goes out. */
import ort from "onnxruntime-node";
import { PareError } from "../graph/error.js";
import type { Engine } from "./engine.js";
import { hasComposites, lowerGraph } from "./lower-graph.js";
import { modelBytes } from "./model-bytes.js";
import { wordsOf, wrapSession } from "./ort-session.js";
import { blockSize } from "./probe.js";

/** onnxruntime on this machine's CPU. */
export const ortNode: Engine = {
  name: "onnxruntime-node",
  async load(graph, options = {}) {
    const model = graph.name ? `model "${graph.name}"` : "the model";
    const block = options.blocked !== false && hasComposites(graph) ? await blockSize(ortNode) : null;
    const { model: bytes, external } = modelBytes(lowerGraph(graph, block));
    const inner = await ort.InferenceSession.create(bytes, {
      ...(external.length ? { externalData: external } : {}),
      intraOpNumThreads: options.threads ?? 1,
      interOpNumThreads: 1,
      executionProviders: ["cpu"],
      graphOptimizationLevel: options.optimize === "none" ? "disabled" : "all",
      // Errors come back as exceptions; onnxruntime need not print them too.
      logSeverityLevel: 4,
      ...(options.profile ? { enableProfiling: true, profileFilePrefix: options.profile } : {}),
      // Denormal weights, which weight decay breeds, make a step 1.5 times slower.
      extra: { session: { set_denormal_as_zero: "1" } },
    }).catch((cause: unknown) => {
      throw new PareError(`onnxruntime refuses ${model}: ${wordsOf(cause)}`, "input", { cause });
    });
    const session = wrapSession(inner, ort.Tensor, model, true);
    if (!options.profile) return session;
    return {
      ...session,
      release: async () => {
        inner.endProfiling();
        await session.release();
      },
    };
  },
};
