/** Milliseconds that this process computed for: what others do on the machine meanwhile does not count. */

/** From any point on; in a browser, which does not tell it, of the time that passed. */
export function cpuMs(): number {
  if (typeof globalThis.process?.cpuUsage !== "function") return performance.now();
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}
