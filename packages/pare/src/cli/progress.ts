/** Progress on stderr: one line that is rewritten on a terminal, a line now and then elsewhere. */

const terminal = process.stderr.isTTY === true;
let shown = false;
let lastPrinted = 0;

export function clock(seconds: number): string {
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${String(s % 60).padStart(2, "0")} s`;
  return `${Math.floor(s / 3600)} h ${String(Math.floor((s % 3600) / 60)).padStart(2, "0")} min`;
}

/** Shows where a long piece of work stands. `secondsLeft` NaN: not known yet. */
export function progress(line: string, secondsLeft = Number.NaN): void {
  const text = Number.isFinite(secondsLeft) ? `${line}, ${clock(secondsLeft)} left` : line;
  const now = performance.now();
  if (terminal) {
    if (shown && now - lastPrinted < 100) return;
    process.stderr.write(`\r\u001b[K${text.slice(0, (process.stderr.columns ?? 100) - 1)}`);
    shown = true;
  } else {
    if (lastPrinted !== 0 && now - lastPrinted < 10_000) return;
    process.stderr.write(`${text}\n`);
  }
  lastPrinted = now;
}

/** Takes the progress line away before something else is written. */
export function clearProgress(): void {
  if (terminal && shown) process.stderr.write("\r\u001b[K");
  shown = false;
}

/** A line that stays, on stderr. */
export function say(line: string): void {
  clearProgress();
  process.stderr.write(`${line}\n`);
}

/** One JSON object, or text, on stdout. */
export function result(json: boolean | undefined, facts: unknown, text: () => string): void {
  clearProgress();
  process.stdout.write(json ? `${JSON.stringify(facts)}\n` : `${text()}\n`);
}

/** Aborts on the first Ctrl-C so that work can be saved; the second ends the process. */
export function interruptible(): AbortSignal {
  const controller = new AbortController();
  process.once("SIGINT", () => {
    say("stopping; press Ctrl-C again to end at once");
    process.once("SIGINT", () => process.exit(130));
    controller.abort();
  });
  process.once("SIGTERM", () => controller.abort());
  return controller.signal;
}
