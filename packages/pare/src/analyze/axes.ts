/**
 * The algebra of axes: signatures and the axes of a node's inputs come in, the axes of its outputs go out, and what must live together is tied.
 * An axis is an array that holds, for each index, the channels that must all be alive for that index to exist:
 * [[a], [b], ..] for a convolution's output, [[a,h0], [a,h1], ..] for its flattened form, [[]] for length 1.
 * So a product joins lists, a concatenation joins arrays, slicing and shuffling are indexing, and cutting is one mask per axis.
 */
import type { AxesPick, AxesSpec } from "../ops/record.js";
import { isNumber, type Letter, lengthsOf, type Signature, signature } from "./signature.js";

/** Why channels may not go. */
export interface Reason {
  readonly by: "input" | "output" | "operator" | "position" | "statistic" | "composition";
  /** The node, or the graph's input or output. */
  readonly at: string;
  readonly why: string;
}
/** Where a channel was first seen; ties unite the two origins. */
interface Origin {
  readonly name: string;
  parent: Origin | null;
}
/** One removable index. It may turn out to be another channel, or several: its axis is a product then. */
export class Channel {
  to: readonly Channel[] | null = null;
  held: Reason | null = null;
  constructor(
    readonly origin: Origin,
    /** More than 1: stands for that many indices of which none may go. */
    readonly width = 1,
  ) {}
}
type List = readonly Channel[];
export type Axis = readonly List[];

const nothing: List = [];
/** Longer axes are not followed index by index: one held channel stands for all of them. */
const longest = 1 << 16;
/** Longer axes are not followed at all. */
export const unfollowed = 1 << 22;

/** An axis of its own. Held ones are a single channel, since none of it may go. */
export function freshAxis(length: number, name: string, held: Reason | null = null): Axis {
  if (length === 1) return [nothing];
  const origin: Origin = { name, parent: null };
  const reason = held ?? (length > longest ? ({ by: "position", at: name, why: `${length} long` } as const) : null);
  if (!reason) return Array.from({ length }, () => [new Channel(origin)]);
  const one = new Channel(origin, length);
  one.held = reason;
  return Array<List>(length).fill([one]);
}
export function rootOf(c: Channel): object & { readonly name: string } {
  let o = c.origin;
  while (o.parent) o = o.parent;
  return o;
}
/** The channels that a list stands for today. */
export function resolve(list: List): List {
  if (list.every((c) => !c.to)) return list;
  const out = new Set<Channel>();
  for (const c of list) {
    if (c.to) c.to = resolve(c.to);
    for (const r of c.to ?? [c]) out.add(r);
  }
  return [...out];
}
export const hold = (list: List, reason: Reason): void => {
  for (const c of resolve(list)) c.held ??= reason;
};
export const holdAxis = (axis: Axis, reason: Reason): void => {
  for (const list of new Set(axis)) hold(list, reason);
};

function become(c: Channel, to: List): void {
  if (c.held) hold(to, c.held);
  if (to.length === 1) unite(c, to[0]!);
  c.to = to;
}
function unite(a: Channel, b: Channel): void {
  const [p, q] = [rootOf(a) as Origin, rootOf(b) as Origin];
  if (p !== q) p.parent = q;
}
/** From here on both indices exist or neither does. What cannot be said in lists is held: tied too much, never too little. */
export function tie(one: List, two: List, at: string): void {
  const [a, b] = [resolve(one), resolve(two)];
  if (a === b) return;
  const left = a.filter((c) => !b.includes(c));
  const right = b.filter((c) => !a.includes(c));
  if (left.length === 0 && right.length === 0) return;
  // One channel each, whatever else is always there: they are the same, held or not.
  const [p, q] = [left.filter((c) => c.width === 1), right.filter((c) => c.width === 1)];
  if (p.length === 1 && q.length === 1) {
    become(q[0]!, p);
    return;
  }
  // Held channels are always alive: only the others decide.
  const [l, r] = [left.filter((c) => !c.held), right.filter((c) => !c.held)];
  if (l.length === 0 || r.length === 0) keepAll([...l, ...r], [...left, ...right], at);
  else if (l.length === 1) become(l[0]!, r);
  else if (r.length === 1) become(r[0]!, l);
  else if (l.length === r.length)
    l.forEach((c, i) => {
      const [one, other] = [resolve([c]), resolve([r[i]!])];
      if (one[0] !== other[0]) become(one[0]!, other);
    });
  else hold([...l, ...r], { by: "composition", at, why: "two axes are composed of different factors" });
}
function keepAll(open: List, all: List, at: string): void {
  const held = all.find((c) => c.held && c.width === 1) ?? all.find((c) => c.held);
  hold(open, held?.held ?? { by: "composition", at, why: "two axes are composed of different factors" });
  if (held && held.width === 1) for (const c of open) unite(c, held);
}
function tieAxes(a: Axis, b: Axis, at: string): void {
  if (a === b) return;
  a.forEach((list, i) => {
    if (list !== b[i]) tie(list, b[i]!, at);
  });
}

const product = (axes: readonly Axis[]): Axis => {
  if (axes.length === 1) return axes[0]!;
  const length = axes.reduce((n, axis) => n * axis.length, 1);
  if (length > longest) {
    const reason: Reason = { by: "position", at: "a product of axes", why: `${length} long` };
    for (const axis of axes) holdAxis(axis, reason);
    return freshAxis(length, "product", reason);
  }
  return axes.reduce<Axis>(
    (done, axis) => done.flatMap((d) => axis.map((c) => (d.length ? (c.length ? [...d, ...c] : d) : c))),
    [nothing],
  );
};

/** Reads an axis as a product: index (k0, k1 ..) exists where k0 exists in the first factor and k1 in the second. */
export function factor(axis: Axis, lengths: readonly number[], names: readonly string[], at: string): Axis[] {
  if (axis.length > longest) {
    const reason: Reason = { by: "position", at, why: `an axis of ${axis.length} is taken apart` };
    holdAxis(axis, reason);
    return lengths.map((n, f) => freshAxis(n, `${at}.${names[f]}`, reason));
  }
  const flat = axis.map(resolve);
  const strides = lengths.map((_, f) => lengths.slice(f + 1).reduce((p, n) => p * n, 1));
  const digit = (i: number, f: number) => Math.floor(i / strides[f]!) % lengths[f]!;
  // What all indices with digit k of factor f have in common.
  const single = (f: number) => lengths[f] === 1 && flat.length > 1;
  const common = lengths.map((n, f) => {
    if (single(f)) return [nothing];
    const parts: (List | null)[] = Array(n).fill(null);
    flat.forEach((list, i) => {
      const k = digit(i, f);
      const part = parts[k];
      parts[k] = part ? (part === list ? list : part.filter((c) => list.includes(c))) : list;
    });
    return parts as List[];
  });
  const explained = (i: number): Set<Channel> => new Set(common.flatMap((parts, f) => [...parts[digit(i, f)]!]));
  const left = flat.map((list, i) => {
    const known = explained(i);
    return list.filter((c) => !c.held && !known.has(c)).length;
  });
  if (left.every((n) => n === 0)) return common;
  // Not a product yet: make it one. Where an index already is a product, only the widest factor stays free.
  const nested = left.some((n) => n > 1);
  const widest = lengths.indexOf(Math.max(...lengths));
  const split = common.map((parts, f): Axis => {
    if (nested && f !== widest) return parts;
    const fresh = freshAxis(lengths[f]!, `${at}.${names[f]}`);
    return parts.map((part, k) => [...part, ...fresh[k]!]);
  });
  product(split).forEach((list, i) => {
    tie(flat[i]!, list, at);
  });
  return split;
}

/** The axes of a tensor, and for each whether an index that is gone is zero there when its weights are only set to zero. */
export interface Followed {
  readonly axes: readonly Axis[];
  readonly zero: readonly boolean[];
}
export interface Bound {
  readonly spec: AxesSpec;
  /** null where absent. */
  readonly inputs: readonly (Followed | null)[];
  /** The operator's rule of zeros along one axis. */
  readonly zero: (z: readonly (boolean | null | undefined)[]) => boolean;
  readonly outputs: readonly (readonly number[] | null)[];
  /** The node, for reasons and names. */
  readonly at: string;
}
/** Which inputs have a letter, and whether they are zero along it. */
interface Meeting {
  axis: Axis;
  readonly zero: (boolean | null | undefined)[];
}

/** Applies a signature: ties the inputs' axes and returns the outputs'. Throws PareError where the text does not fit the shapes. */
export function bind({ spec, inputs, outputs, zero, at }: Bound): (Followed | null)[] {
  const shapes = inputs.map((x) => x?.axes.map((a) => a.length) ?? null);
  const ranks = (list: readonly (readonly number[] | null)[]) => list.map((s) => s?.length ?? null);
  const s = signature(spec.text, ranks(shapes), ranks(outputs));
  const lengths = lengthsOf(s, shapes, outputs, spec.sizes ?? {});
  const letters = new Map<string, Meeting>();
  const position = (l: Letter): Reason => ({ by: "position", at, why: `position or count of "${l.name}" matters` });
  const meeting = (axis: Axis): Meeting => ({ axis, zero: inputs.map((x) => (x ? null : undefined)) });
  const meet = (l: Letter, axis: Axis, input: number, isZero: boolean): void => {
    if (l.fixed) holdAxis(axis, position(l));
    if (l.measured) holdAxis(axis, { by: "statistic", at, why: `a statistic is taken over "${l.name}"` });
    // A broadcast axis of length 1 ties nothing.
    if (isNumber(l) || axis.length !== lengths.get(l.name)) return;
    const known = letters.get(l.name) ?? meeting(axis);
    if (letters.has(l.name)) tieAxes(known.axis, axis, at);
    letters.set(l.name, known);
    known.zero[input] = isZero && known.zero[input] !== false;
  };
  s.inputs.forEach((term, i) => {
    term?.forEach((p, d) => {
      const { axes, zero: isZero } = inputs[i]!;
      const parts = partsOf(axes[d]!, p.letters, p.sum, lengths, at);
      p.letters.forEach((l, k) => {
        meet(l, parts[k]!, i, isZero[d]!);
      });
    });
  });
  holdSums(s, letters, at);
  const outputOf = (l: Letter): { axis: Axis; zero: boolean } => {
    if (isNumber(l)) return { axis: freshAxis(Number(l.name), `${at}.${l.name}`, position(l)), zero: true };
    const known =
      letters.get(l.name) ?? meeting(freshAxis(lengths.get(l.name)!, `${at}.${l.name}`, l.fixed ? position(l) : null));
    letters.set(l.name, known);
    return { axis: known.axis, zero: l.fixed || zero(known.zero) };
  };
  return s.outputs.map((term) => {
    const axes = term?.map((p) => {
      const parts = p.letters.map(outputOf);
      const list = parts.map((q) => q.axis);
      return { axis: p.sum ? list.flat() : product(list), zero: parts.every((q) => q.zero || isHeld(q.axis)) };
    });
    return axes ? { axes: axes.map((a) => a.axis), zero: axes.map((a) => a.zero) } : null;
  });
}
const isHeld = (axis: Axis): boolean => [...new Set(axis)].every((list) => resolve(list).every((c) => c.held));

/** A sum over an axis counts what is there of a channel that is only set to zero: a sigmoid of it, say. Unless one factor is zero, none may go. */
function holdSums(s: Signature, letters: ReadonlyMap<string, Meeting>, at: string): void {
  const seen = new Set(s.outputs.flatMap((term) => term ?? []).flatMap((p) => p.letters.map((l) => l.name)));
  for (const [name, { axis, zero }] of letters)
    if (!seen.has(name) && !zero.includes(true))
      holdAxis(axis, {
        by: "statistic",
        at,
        why: `a sum is taken over "${name}", and what is set to zero is not zero there`,
      });
}
function partsOf(
  axis: Axis,
  letters: readonly Letter[],
  sum: boolean,
  lengths: ReadonlyMap<string, number>,
  at: string,
): readonly Axis[] {
  if (letters.length === 1) return [axis];
  const sizes = letters.map((l) => lengths.get(l.name)!);
  if (!sum)
    return factor(
      axis,
      sizes,
      letters.map((l) => l.name),
      at,
    );
  let from = 0;
  return sizes.map((n) => axis.slice(from, (from += n)));
}

/** Slice, Gather by constants: the output's axes are picked indices of input 0's. */
export function pick({ picks }: AxesPick, x: Followed, at: string): Followed {
  const out = picks.flatMap(({ from, indices, dropped }) => {
    const axis = x.axes[from]!;
    const rows = indices?.map((i) => axis[i]!) ?? axis;
    if (!dropped) return [{ axis: rows, zero: x.zero[from]! }];
    hold(rows[0]!, { by: "position", at, why: "this index is picked by number" });
    return [];
  });
  return { axes: out.map((o) => o.axis), zero: out.map((o) => o.zero) };
}
