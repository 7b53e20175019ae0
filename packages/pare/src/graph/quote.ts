/** Names from files, made fit for a line of text: quoted, control characters escaped, long ones cut. */
const longest = 120;

export function quote(name: string): string {
  const cut = name.length > longest ? `${name.slice(0, longest)}…` : name;
  // JSON leaves C1 controls and direction marks as they are.
  return JSON.stringify(cut).replace(
    /[\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/** A short name without its quotes where it needs none. */
export const plain = (name: string): string => (/^[\w./:$@+-]{1,120}$/.test(name) ? name : quote(name));

/** Where something stands, for the head of a message; made only when there is something to say. */
export type Where = string | (() => string);
export const say = (where: Where): string => (typeof where === "string" ? where : where());
