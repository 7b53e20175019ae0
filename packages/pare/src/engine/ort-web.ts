/** The engine over onnxruntime-web (WebAssembly, one thread); the package is loaded at first use. */
import type { InferenceSession, TensorConstructor } from "onnxruntime-common";
import { toBytes } from "../graph/encode.js";
import { PareError } from "../graph/error.js";
import type { Engine } from "./engine.js";
import { lowerGraph } from "./lower-graph.js";
import { wordsOf, wrapSession } from "./ort-session.js";

/** What this engine needs of the onnxruntime-web module. */
export interface OrtWeb {
  readonly InferenceSession: {
    create(bytes: Uint8Array, options: InferenceSession.SessionOptions): Promise<InferenceSession>;
  };
  readonly Tensor: TensorConstructor;
  readonly env: { readonly wasm: { numThreads?: number } };
}

/** onnxruntime in WebAssembly. `module`: onnxruntime-web as the page imported it; without one, `import("onnxruntime-web")`. */
export function ortWeb(module?: OrtWeb): Engine {
  return {
    name: "onnxruntime-web",
    async load(graph, options = {}) {
      const ort = module ?? (await importWeb());
      const model = graph.name ? `model "${graph.name}"` : "the model";
      ort.env.wasm.numThreads = options.threads ?? 1;
      const inner = await ort.InferenceSession.create(toBytes(lowerGraph(graph, null)), {
        executionProviders: ["wasm"],
        graphOptimizationLevel: options.optimize === "none" ? "disabled" : "all",
        // Errors come back as exceptions; onnxruntime need not print them too.
        logSeverityLevel: 4,
        extra: { session: { set_denormal_as_zero: "1" } },
      }).catch((cause: unknown) => {
        throw new PareError(`onnxruntime-web refuses ${model}: ${wordsOf(cause)}`, "input", { cause });
      });
      return wrapSession(inner, ort.Tensor, model, false);
    },
  };
}

async function importWeb(): Promise<OrtWeb> {
  try {
    const name = "onnxruntime-web";
    return (await import(name)) as OrtWeb;
  } catch (cause) {
    throw new PareError("this needs the package onnxruntime-web: install it, or pass the module to ortWeb()", "usage", {
      cause,
    });
  }
}
