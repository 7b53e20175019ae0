/** The one error of the runtime: a packed file that breaks its format. */
export class FormatError extends Error {
  override name = "FormatError";
  constructor(
    message: string,
    /** Where in the file: a byte offset, or what was being read. */
    readonly where: string,
  ) {
    super(`${where}: ${message}`);
  }
}
