/** What report pages are made of: a title and sections come in; one self-contained page leaves: no scripts, no requests, light and dark. */
const escapes: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};
/** Escaped. */
export const text = (value: unknown): string => String(value).replace(/[&<>"']/g, (c) => escapes[c]!);
export const number = (n: number): string => n.toLocaleString("en-US");

export type Column<T> = readonly [title: string, cell: (row: T) => string, kind?: "number"];
/** A table that scrolls on its own where the page is narrow. */
export function table<T>(rows: readonly T[], columns: readonly Column<T>[]): string {
  const tag = (name: string, [, , kind]: Column<T>, body: string) =>
    `<${name}${kind ? ' class="number"' : ""}>${body}</${name}>`;
  const head = columns.map((c) => tag("th", c, text(c[0]))).join("");
  const body = rows.map((row) => `<tr>${columns.map((c) => tag("td", c, text(c[1](row)))).join("")}</tr>`).join("\n");
  return `<div class="scroll"><table><thead><tr>${head}</tr></thead><tbody>\n${body}\n</tbody></table></div>`;
}
/** Nothing where the body is empty. */
export const section = (title: string, body: string): string =>
  body ? `<section><h2>${text(title)}</h2>\n${body}</section>\n` : "";
export const figures = (items: readonly (readonly [caption: string, svg: string])[]): string =>
  items.length
    ? `<div class="grid">${items.map(([c, svg]) => `<figure><figcaption>${text(c)}</figcaption>${svg}</figure>`).join("\n")}</div>`
    : "";

const style = `
:root { color-scheme: light dark; --accent: #3457d5; --ghost: #d3d9ee; --cell-low: #eef1fb; --line: #d8dbe4; --soft: #f5f6fa; --ink: #1b1e28; --page: #fff; }
@media (prefers-color-scheme: dark) { :root { --accent: #8fa8ff; --ghost: #343b58; --cell-low: #1c2030; --line: #343948; --soft: #1e212c; --ink: #e6e8f0; --page: #14161d; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1040px; padding: 24px; font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--page); }
h1 { font-size: 26px; margin: 0 0 4px; } h2 { font-size: 18px; margin: 36px 0 12px; }
.lead { font-size: 17px; } .quiet { opacity: .75; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: 6px 8px; border-bottom: 1px solid var(--line); white-space: nowrap; } th { font-weight: 600; background: var(--soft); }
.number { text-align: right; } td.wrap { white-space: normal; }
.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(320px, 1fr)); gap: 18px; }
figure { margin: 0; } figcaption { font-size: 13px; font-weight: 600; margin-bottom: 4px; overflow-wrap: anywhere; } svg { max-width: 100%; height: auto; }
`;

/** `title` is plain text and the heading; `body` is HTML. */
export const page = (title: string, body: string): string => `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Pare: ${text(title)}</title>
<style>${style}</style>
</head>
<body>
<h1>${text(title)}</h1>
${body}</body>
</html>
`;
