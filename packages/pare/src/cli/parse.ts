/** Words of the command line -> numbers, ratios and shapes; each refusal names the option's value and what would do. */
import { InvalidArgumentError } from "commander";

export function whole(value: string): number {
  const n = Number(value);
  if (!/^\d+$/.test(value.trim()) || !Number.isSafeInteger(n))
    throw new InvalidArgumentError("expected a whole number, for example 10.");
  return n;
}
export function positive(value: string): number {
  const n = whole(value);
  if (n === 0) throw new InvalidArgumentError("expected a whole number above 0.");
  return n;
}
export function real(value: string): number {
  const n = Number(value);
  if (value.trim() === "" || !Number.isFinite(n))
    throw new InvalidArgumentError("expected a number, for example 0.01.");
  return n;
}
/** "0.5%" or "0.005", both half a percentage point. */
export function ratio(value: string): number {
  const percent = value.trim().endsWith("%");
  const n = Number(percent ? value.trim().slice(0, -1) : value) / (percent ? 100 : 1);
  if (!(n >= 0 && n <= 1)) throw new InvalidArgumentError("expected a ratio such as 0.5% or 0.005.");
  return n;
}
/** Collects `name=1,3,224,224` or `name=1x3x224x224` into a record of shapes. */
export function shape(value: string, before: Record<string, number[]> = {}): Record<string, number[]> {
  const match = /^(.+)=(\d+(?:[,x]\d+)*)$/.exec(value);
  if (!match) throw new InvalidArgumentError("expected name=1,3,224,224.");
  return { ...before, [match[1]!]: match[2]!.split(/[,x]/).map(Number) };
}
/** "macs=0.5", "bytes=50%", "latency=0.6" or several of them by comma. */
export function target(value: string): { macs?: number; bytes?: number; latency?: number } {
  const shares = value.split(",").map((part): [string, number] => {
    const match = /^(macs|bytes|latency)=(.+)$/.exec(part.trim());
    if (!match)
      throw new InvalidArgumentError("expected macs=0.5, bytes=0.5, latency=0.5, or several of them by comma.");
    return [match[1]!, ratio(match[2]!)];
  });
  return Object.fromEntries(shares);
}
