/** What `train` is told. Everything that changes the trained bytes is here; the number of workers is here too and does not. */
import type { LossFunction } from "../autodiff/losses.js";
import type { Dataset } from "../data/dataset.js";
import type { Engine } from "../engine/engine.js";
import type { Graph } from "../graph/graph.js";
import type { OptimizerOptions } from "../optimizers/rule.js";
import type { WeightDecay } from "../optimizers/update-graph.js";

export type { LossFunction, OptimizerOptions, WeightDecay };

/** Learning rate by step. `cosine` and `linear` go to `end` (0) over the whole run; `warmupSteps` lead in linearly. */
export type Schedule =
  | number
  | {
      readonly kind: "constant" | "cosine" | "linear";
      readonly rate: number;
      readonly end?: number;
      readonly warmupSteps?: number;
    }
  | { readonly kind: "steps"; readonly rate: number; readonly milestones: readonly number[]; readonly gamma: number };

export type LossKind = "cross-entropy" | "mse" | "squared-hinge";

/** Distillation from a teacher's outputs: weight * T^2 * KL(teacher_T || student_T) + (1 - weight) * loss (Hinton, Vinyals, Dean 2015). */
export interface SoftTargets {
  readonly teacher: Graph;
  readonly temperature: number;
  readonly weight: number;
}

/** Weights shared through a codebook: w[i] = centroids[indices[i]]; the centroids are trained with the summed gradient (Han, Mao, Dally 2016, eq. 3). */
export interface Codebook {
  readonly indices: Uint32Array;
  readonly centroids: Float32Array;
  /** Centroid that stays as it is: the zero of pruned weights. */
  readonly fixed?: number;
}

/** Of images n c h w. */
export interface Augmentation {
  /** Random window whose sides are at least this share of the image's (0..1), enlarged to the whole image. */
  readonly crop?: number;
  /** Random shift by up to this many pixels each way, zeros (or `padValue`) coming in: the same as padding and cropping to the old size. */
  readonly shift?: number;
  readonly flip?: boolean;
  readonly padValue?: number;
}

/** strength / 2 x sum of importance (w - anchor)^2: what was learned before stays where it matters (EWC, synaptic intelligence, MAS). */
export interface Penalty {
  readonly strength: number;
  /** By initialiser, one number for each element; those that are not named are free. */
  readonly importance: ReadonlyMap<string, Float32Array>;
  readonly anchor: ReadonlyMap<string, Float32Array>;
}
/** A penalty without a useful gradient, as its proximal map: it moves the weights after every update. */
export interface Proximal {
  /** What changes the result, as data: a checkpoint under others is not resumed. */
  readonly settings: unknown;
  /** Changes the weights in place, by initialiser. Depends on them, the update's learning rate and its step (0 is the first of `steps`) alone. */
  readonly apply: (
    weights: ReadonlyMap<string, Float32Array>,
    at: { readonly rate: number; readonly step: number; readonly steps: number },
  ) => void;
}
/** How the weights went, by initialiser. */
export interface Path {
  /** Sum over the steps of -gradient x change, the gradient that of the loss alone. */
  readonly work: ReadonlyMap<string, Float32Array>;
  /** The weights before the first step. */
  readonly start: ReadonlyMap<string, Float32Array>;
}

export interface TrainProgress {
  readonly epoch: number;
  readonly epochs: number;
  readonly step: number;
  readonly steps: number;
  readonly loss: number;
  readonly secondsLeft: number;
}

export interface EpochMetrics {
  readonly epoch: number;
  readonly learningRate: number;
  readonly loss: number;
  readonly seconds: number;
  /** On the validation data, where there is some. */
  readonly validation?: Metrics;
}
export interface Metrics {
  readonly samples: number;
  readonly loss: number;
  /** 0..1; NaN for data without labels. error = 1 - top1. */
  readonly top1: number;
  readonly top5: number;
  readonly error: number;
}

export interface TrainOptions {
  readonly data: Dataset;
  readonly validation?: Dataset;
  readonly epochs: number;
  readonly batchSize?: number;
  /** Samples per gradient run; batchSize is a multiple of it. BatchNormalization sees this many. Unless said: see micro-batch.ts. */
  readonly microBatch?: number;
  readonly optimizer?: OptimizerOptions;
  readonly learningRate?: Schedule;
  /** L1 and L2 penalties on weights (not on biases and normalisation parameters); `decoupled` as in AdamW. */
  readonly weightDecay?: WeightDecay;
  readonly penalty?: Penalty;
  readonly proximal?: Proximal;
  /** Record how the weights go (Zenke, Poole, Ganguli 2017, eq. 3); the result has it as `path`. */
  readonly path?: boolean;
  /** Gradient norm limit over all parameters. */
  readonly clipNorm?: number;
  readonly loss?: LossKind | LossFunction;
  readonly softTargets?: SoftTargets;
  /** Per initialiser, one byte per element: 0 stays exactly 0. */
  readonly masks?: ReadonlyMap<string, Uint8Array>;
  /**
   * Gradual pruning: asked before every epoch (0 is the first) with the weights as they are, names new masks (null: as before). They hold
   * from then on, optimizer state stays. It depends on its arguments alone, so that a resumed run gets the same masks.
   */
  readonly remask?: (
    epoch: number,
    weights: ReadonlyMap<string, Float32Array>,
    masks: ReadonlyMap<string, Uint8Array>,
  ) => ReadonlyMap<string, Uint8Array> | null | Promise<ReadonlyMap<string, Uint8Array> | null>;
  readonly codebooks?: ReadonlyMap<string, Codebook>;
  /** Initialisers that are not trained. */
  readonly frozen?: readonly string[];
  /** Dropout ratio by node name, instead of the ratio in the graph. */
  readonly dropout?: Readonly<Record<string, number>>;
  readonly augment?: Augmentation;
  readonly seed?: number;
  /** Threads of work; the result does not depend on it. Micro-batches are shared out among them; a batch of one micro-batch uses onnxruntime's own threads. */
  readonly workers?: number;
  readonly engine?: Engine;
  /** Keep the weights of the epoch with the lowest validation error (default true where there is validation data). */
  readonly keepBest?: boolean;
  /** Stop after this many epochs without improvement. */
  readonly patience?: number;
  /** A file to save state to and to resume from; removed by the caller when the result is safe. */
  readonly checkpoint?: { readonly path: string; readonly everySeconds?: number };
  readonly onProgress?: (p: TrainProgress) => void;
  readonly onEpoch?: (m: EpochMetrics) => void;
  readonly signal?: AbortSignal;
}

export interface TrainResult {
  /** The input graph with trained initialisers; names, opset, inputs and outputs as before. */
  readonly graph: Graph;
  readonly history: readonly EpochMetrics[];
  /** Centroids by initialiser, where codebooks were trained. */
  readonly codebooks: ReadonlyMap<string, Float32Array>;
  /** Samples per gradient run: what BatchNormalization saw at a time. */
  readonly microBatch?: number;
  /** With the option `path`, over all steps, whichever epoch's weights are kept. */
  readonly path?: Path;
  /** The masks in force at the end. */
  readonly masks?: ReadonlyMap<string, Uint8Array>;
}
