/** The one error class: says where, what, and how to mend it. The CLI prints its message alone and exits 1 (usage: 2). */
export class PareError extends Error {
  override name = "PareError";
  constructor(
    message: string,
    /** "usage": the caller asked for something that makes no sense; "input": a file, model or dataset is at fault. */
    readonly kind: "input" | "usage" = "input",
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}
