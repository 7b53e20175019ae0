/** A compression method: one file each, one registry line each. Options are a zod object: they become flags, JSON schema and docs. */
import type { z } from "zod";
import type { Dataset } from "../data/dataset.js";
import type { Engine } from "../engine/engine.js";
import type { Graph } from "../graph/graph.js";
import type { Codebook, EpochMetrics, Metrics, TrainOptions, TrainResult } from "../train/options.js";

/** What a method says it did or left alone, node by node. */
export interface Note {
  readonly node: string;
  readonly what: "done" | "skipped";
  readonly why: string;
}

/** In the place of a node: what is said of the target itself. */
export const targetNote = "(target)";

/** State that later stages keep: which weights are alive, which share values. */
export interface Constraints {
  readonly masks: ReadonlyMap<string, Uint8Array>;
  readonly codebooks: ReadonlyMap<string, Codebook>;
}

export interface Tools {
  readonly engine: Engine;
  readonly data: Dataset | null;
  readonly validation: Dataset | null;
  /** The dense network before any stage: a teacher for its own compressed self. */
  readonly dense: Graph;
  readonly constraints: Constraints;
  readonly seed: number;
  /** Trains under the constraints in force, with progress and checkpoints taken care of. */
  train(graph: Graph, options: Omit<TrainOptions, "data" | "validation" | "seed" | "engine">): Promise<TrainResult>;
  evaluate(graph: Graph): Promise<Metrics>;
  /** What `work` gives, once and for all: a killed run that goes on has it from before, be it measured or costly. */
  settled<T extends { readonly graph: Graph }>(work: () => Promise<T>): Promise<T>;
  log(line: string): void;
  /** The validation error (0..1) that this stage's result may have; absent: no limit. */
  readonly limit?: number;
  readonly signal?: AbortSignal;
}

export interface MethodResult {
  readonly graph: Graph;
  readonly notes: readonly Note[];
  readonly constraints?: Partial<Constraints>;
  readonly history?: readonly EpochMetrics[];
}

export interface Method<S extends z.ZodType = z.ZodType> {
  readonly id: string;
  readonly paper: string;
  readonly needs: readonly ("training" | "calibration")[];
  readonly options: S;
  /** Settings that must change nothing: one shared test checks it. */
  readonly atZero: z.input<S>;
  readonly apply: (graph: Graph, options: z.output<S>, tools: Tools) => Promise<MethodResult>;
}
export const method = <S extends z.ZodType>(m: Method<S>): Method<S> => m;
