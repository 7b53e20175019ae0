/**
 * Which tensors of a graph live in onnxruntime's blocked layout while the graph is rewritten: names come in, names of the wanted layout go out.
 *
 * A blocked tensor of a value [n,c,h,w] is declared [n,C,h,w], C = c rounded up to the block B, and its memory is [n,C/B,h,w,B].
 * What stands in the padding channels is finite and without meaning: every reader drops it or meets it with zero weights.
 */
import { Emitter } from "../../graph/emit.js";
import { type Draft, draft, type Graph, type Node } from "../../graph/graph.js";
import { int64sOf } from "../int64s-of.js";
import { capturedNames } from "./captured-names.js";

/** What a blocked convolution can do to its result on the way out. */
export interface Fusion {
  readonly relu?: boolean;
  /** A blocked tensor of the same shape that is added before the ReLU. */
  readonly sum?: string;
}
/** A blocked tensor that is made when it is first asked for, so that its only reader may be fused into it. */
export type Maker = (fusion: Fusion) => string;
/** What a maker can fuse: nothing, a ReLU, or a sum and then a ReLU. */
export type Fuses = "nothing" | "relu" | "sum";
/** A tensor as its s x s phases: part [i][j] holds the rows s*a+i and columns s*b+j, a < rows, b < columns; null is zero. */
export interface Phases {
  readonly stride: readonly [number, number];
  readonly rows: number;
  readonly columns: number;
  readonly parts: readonly (readonly (Maker | null)[])[];
}
export type Image = readonly [n: number, c: number, h: number, w: number];

interface Entry {
  plain?: string;
  blocked?: string;
  maker?: Maker;
  fuses?: Fuses;
  phases?: Phases;
}

export class Layout {
  readonly graph: Draft;
  readonly g: Emitter;
  readonly #entries = new Map<string, Entry>();
  readonly #dims = new Map<string, readonly number[]>();
  readonly #uses = new Map<string, number>();
  readonly #cache = new Map<string, string>();

  constructor(
    readonly source: Graph,
    /** Channels per block: 8 or 16. */
    readonly block: number,
  ) {
    this.graph = draft(source);
    this.g = new Emitter(this.graph, "float32", "blocked/");
    this.graph.nodes = [];
    this.graph.opsets.set("com.microsoft.nchwc", 1);
    for (const v of [...source.values.values(), ...source.inputs, ...source.outputs]) {
      const dims = v.shape?.filter((d): d is number => typeof d === "number");
      if (v.type === "float32" && dims && dims.length === v.shape?.length) this.#dims.set(v.name, dims);
    }
    for (const [name, t] of source.initializers) if (t.type === "float32") this.#dims.set(name, t.dims);
    const count = (name: string) => this.#uses.set(name, (this.#uses.get(name) ?? 0) + 1);
    for (const node of source.nodes) for (const name of [...node.inputs, ...capturedNames(node)]) count(name);
    for (const v of source.outputs) count(v.name);
  }

  /** Fixed dims of a float32 value of the source graph; null where they are not known. */
  dims(name: string): readonly number[] | null {
    return this.#dims.get(name) ?? null;
  }
  /** The same, where it is a 4-axis tensor. */
  image(name: string | undefined): Image | null {
    const dims = name ? this.dims(name) : null;
    return dims?.length === 4 && dims.every((d) => d > 0) ? (dims as unknown as Image) : null;
  }
  /** The values of an int64 initialiser; null for anything else. */
  constantInts(name: string): number[] | null {
    return int64sOf(this.source, name);
  }
  /** `c` rounded up to whole blocks. */
  pad(c: number): number {
    return Math.ceil(c / this.block) * this.block;
  }
  /** How often a value is read, graph outputs and bodies of control flow included. */
  uses(name: string): number {
    return this.#uses.get(name) ?? 0;
  }
  /** Whether the value exists, or is about to, in blocked layout. */
  isBlocked(name: string): boolean {
    const e = this.#entries.get(name);
    return e !== undefined && (e.blocked !== undefined || e.maker !== undefined || e.phases !== undefined);
  }
  /** Whether the plain tensor exists already. */
  isPlain(name: string): boolean {
    const e = this.#entries.get(name);
    return e === undefined || e.plain !== undefined;
  }

  /** Says that `name` is made, blocked, by `maker` when somebody asks. */
  define(name: string, maker: Maker, fuses: Fuses = "nothing"): void {
    this.#entries.set(name, { maker, fuses });
  }
  /** Says that `name` is the blocked tensor `tensor`. */
  set(name: string, tensor: string): void {
    this.#entries.set(name, { blocked: tensor });
  }
  /** Says that `name` is the plain tensor `tensor`, made by the last node: the node is renamed. */
  setPlain(name: string, tensor: string): void {
    const last = this.graph.nodes.pop()!;
    if (!last.outputs.includes(tensor)) throw new Error(`${tensor} was not made by the last node`);
    this.g.push({ ...last, name, outputs: last.outputs.map((o) => (o === tensor ? name : o)) });
    this.#entry(name).plain = name;
  }
  setPhases(name: string, phases: Phases): void {
    this.#entries.set(name, { phases });
  }
  /** The maker of a value that is not made yet and has one reader only: the reader may fuse itself into it. */
  fusible(name: string, wanted: "relu" | "sum"): Maker | null {
    const e = this.#entries.get(name);
    const can = e?.fuses === "sum" || e?.fuses === wanted;
    return can && this.uses(name) === 1 ? (e.maker ?? null) : null;
  }
  phasesOf(name: string): Phases | null {
    return this.uses(name) === 1 ? (this.#entries.get(name)?.phases ?? null) : null;
  }

  /** The value in blocked layout, reordered from the plain tensor where need be. The value is a 4-axis one. */
  blocked(name: string): string {
    const e = this.#entry(name);
    if (e.blocked !== undefined) return e.blocked;
    if (e.maker) e.blocked = e.maker({});
    else if (e.phases) e.blocked = this.#interleave(name, e.phases);
    else e.blocked = this.#toBlocked(name, e.plain!);
    delete e.maker;
    delete e.phases;
    return e.blocked;
  }
  /** The value in plain layout under its own name, reordered from the blocked one where need be. */
  plain(name: string): string {
    const e = this.#entry(name);
    if (e.plain !== undefined) return e.plain;
    const [n, c, h, w] = this.image(name)!;
    const tensor = this.blocked(name);
    const C = this.pad(c);
    let made: string;
    if (h * w > 1) made = this.nchwc("ReorderOutput", [tensor], { channels: c });
    else if (C === c) made = this.g.reshape(tensor, [n, c, 1, 1]);
    else made = this.g.op("Slice", [tensor, this.g.ints([0]), this.g.ints([c]), this.g.ints([1])]);
    this.setPlain(name, made);
    return name;
  }
  /** Copies a node as it is; its inputs are made plain first. */
  keep(node: Node): void {
    for (const name of [...node.inputs, ...capturedNames(node)]) if (this.#entries.has(name)) this.plain(name);
    this.g.push(node);
  }

  /** An operator of the blocked domain. */
  nchwc(type: string, inputs: readonly string[], attributes: Parameters<Emitter["op"]>[2] = {}): string {
    return this.g.op(type, inputs, attributes, "com.microsoft.nchwc");
  }
  /** Computes once per key: for tensors that several nodes derive from the same value. */
  once(key: string, make: () => string): string {
    const known = this.#cache.get(key);
    if (known !== undefined) return known;
    const made = make();
    this.#cache.set(key, made);
    return made;
  }
  /** Zero columns (and rows) around a blocked [n,C,h,w]; negative counts cut. */
  padImage(t: string, [n, C, h, w]: Image, [top, left, bottom, right]: readonly number[]): string {
    if (!top && !left && !bottom && !right) return t;
    const { g, block: B } = this;
    return this.once(`pad ${t} ${[top, left, bottom, right]}`, () => {
      const flat = top || bottom ? [(n * C) / B, h, w * B] : [((n * C) / B) * h, w * B];
      const pads = top || bottom ? [0, top!, left! * B, 0, bottom!, right! * B] : [0, left! * B, 0, right! * B];
      const padded = g.op("Pad", [g.reshape(t, flat), g.ints(pads)]);
      return g.reshape(padded, [n, C, h + top! + bottom!, w + left! + right!]);
    });
  }

  #entry(name: string): Entry {
    let e = this.#entries.get(name);
    if (!e) this.#entries.set(name, (e = { plain: name }));
    return e;
  }
  #toBlocked(name: string, plain: string): string {
    const { g } = this;
    const [n, c, h, w] = this.image(name)!;
    const C = this.pad(c);
    const whole = h * w === 1 || c % 4 !== 0;
    const padded = whole && C !== c ? g.op("Pad", [plain, g.ints([0, 0, 0, 0, 0, C - c, 0, 0])]) : plain;
    if (h * w === 1) return g.reshape(padded, [n, C, 1, 1]);
    return this.nchwc("ReorderInput", [padded]);
  }
  #interleave(name: string, { stride, rows, columns, parts }: Phases): string {
    const { g, block: B } = this;
    const [n, c, h, w] = this.image(name)!;
    const C = this.pad(c);
    const [sh, sw] = stride;
    const lines = ((n * C) / B) * rows;
    const made = parts.map((row) => row.map((make) => make?.({}) ?? null));
    let whole: string;
    if (made.flat().every((t, i) => (t !== null) === (i === 0))) {
      const spread = g.reshape(made[0]![0]!, [lines, 1, columns, 1, B]);
      whole = g.op("Pad", [spread, g.ints([0, 0, 0, 0, 0, 0, sh - 1, 0, sw - 1, 0])]);
    } else {
      const zero = () => g.full(0, [lines, columns, 1, B]);
      const row = (part: readonly (string | null)[]): string => {
        if (part.every((t) => t === null)) return g.full(0, [lines, 1, columns * sw * B]);
        const cells = part.map((t) => (t === null ? zero() : g.reshape(t, [lines, columns, 1, B])));
        const joined = sw > 1 ? g.op("Concat", cells, { axis: 2 }) : cells[0]!;
        return g.reshape(joined, [lines, 1, columns * sw * B]);
      };
      whole = sh > 1 ? g.op("Concat", made.map(row), { axis: 1 }) : row(made[0]!);
    }
    const image = g.reshape(whole, [n, C, rows * sh, columns * sw]);
    return this.padImage(image, [n, C, rows * sh, columns * sw], [0, 0, h - rows * sh, w - columns * sw]);
  }
}
