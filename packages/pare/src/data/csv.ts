/** CSV files: text enters, a table of numbers and labels leaves, row by row. */
import { type CsvError, parse } from "csv-parse/sync";
import { PareError } from "../graph/error.js";
import type { Table } from "./columns.js";

export interface CsvOptions {
  /** Column of the labels: a header's name, or a number from 0 (negative: from the end). */
  readonly label?: string | number;
  /** Labels are real numbers to be predicted. */
  readonly regression?: boolean;
}

/**
 * A table from CSV bytes (separated by comma, semicolon or tab). With a header, the label column is the one called label, class or target, else the
 * last; without, the last. Labels that are words become indices of the sorted words. A first line of scikit-learn's form
 * ("150,4,setosa,…": rows, columns, classes) is understood. Throws at the first cell that is no number.
 */
export function readCsv(bytes: Uint8Array, name: string, options: CsvOptions = {}): Table {
  const reader = new Rows(name, options);
  const firstLine = new TextDecoder().decode(bytes.subarray(0, 1 << 16)).split("\n", 1)[0]!;
  const delimiter = [",", ";", "\t"].reduce((best, d) => (count(firstLine, d) > count(firstLine, best) ? d : best));
  try {
    parse(bytes as Buffer, {
      bom: true,
      delimiter,
      trim: true,
      skip_empty_lines: true,
      relax_column_count: true,
      max_record_size: 1 << 24,
      on_record: (row: string[]) => {
        reader.add(row);
        return null;
      },
    });
  } catch (e) {
    if (e instanceof PareError) throw e;
    throw new PareError(`${name}: cannot be read as CSV (${(e as CsvError).message})`, "input", { cause: e });
  }
  return reader.table();
}

const count = (text: string, d: string): number => text.split(d).length - 1;
const isNumber = (cell: string): boolean => cell !== "" && Number.isFinite(Number(cell));

/** Takes rows one at a time and keeps numbers only: a hundred million cells must not become a hundred million strings. */
class Rows {
  readonly #name: string;
  readonly #options: CsvOptions;
  #pending: string[] | null = null;
  #header: readonly string[] | null = null;
  #width = 0;
  #label = 0;
  #row = 0;
  #values = new Float32Array(1 << 12);
  #used = 0;
  readonly #labels: string[] = [];
  #sklearn: { rows: number; classes: number } | null = null;

  constructor(name: string, options: CsvOptions) {
    this.#name = name;
    this.#options = options;
  }
  add(row: string[]): void {
    this.#row++;
    if (this.#row === 1) this.#pending = row;
    else if (this.#row === 2) this.#start(this.#pending!, row);
    if (this.#row > 1) this.#take(row, this.#row);
  }
  /** Decides from the first two rows what the first one is. */
  #start(first: string[], second: string[]): void {
    const [rows, columns] = [Number(first[0]), Number(first[1])];
    const sklearn =
      Number.isInteger(rows) &&
      columns === second.length - 1 &&
      first.length > 2 &&
      first.slice(2).every((c) => !isNumber(c));
    const header =
      first.length === second.length && first.some((c, i) => !isNumber(c) && (isNumber(second[i]!) || isLabelName(c)));
    this.#width = second.length;
    if (sklearn) this.#sklearn = { rows, classes: first.length - 2 };
    else if (header || first.every((c) => c !== "" && !isNumber(c))) this.#header = first;
    this.#label = this.#labelColumn();
    if (this.#width < 2)
      throw new PareError(`${this.#name}: rows of one column: needs at least one number and a label`);
    if (!sklearn && !this.#header) this.#take(first, 1);
  }
  #labelColumn(): number {
    const { label } = this.#options;
    const names = this.#header ?? [];
    if (label === undefined) {
      const at = names.findIndex(isLabelName);
      return at < 0 ? this.#width - 1 : at;
    }
    const byName = names.indexOf(String(label));
    if (byName >= 0) return byName;
    const at = Number(label) < 0 ? this.#width + Number(label) : Number(label);
    if (!Number.isInteger(at) || at < 0 || at >= this.#width)
      throw new PareError(
        `${this.#name}: no column "${label}" for the labels: there are ${names.join(", ") || `${this.#width} without a header`}`,
        "usage",
      );
    return at;
  }
  #take(row: string[], line: number): void {
    if (row.length !== this.#width)
      throw new PareError(`${this.#name}: row ${line} has ${row.length} columns, the ones before have ${this.#width}`);
    if (this.#used + this.#width > this.#values.length) {
      const grown = new Float32Array(2 * this.#values.length + this.#width);
      grown.set(this.#values);
      this.#values = grown;
    }
    for (const [i, cell] of row.entries()) {
      if (i === this.#label) continue;
      if (!isNumber(cell)) {
        const column = this.#header?.[i] ?? String(i);
        throw new PareError(
          `${this.#name}: row ${line}, column "${column}" holds ${cell === "" ? "nothing" : `"${cell}"`}, not a number: remove the column or the row, or say with --label which column is the label`,
        );
      }
      this.#values[this.#used++] = Number(cell);
    }
    const label = row[this.#label]!;
    if (label === "") throw new PareError(`${this.#name}: row ${line} has no label`);
    this.#labels.push(label);
  }
  table(): Table {
    if (this.#row === 1) this.#start(this.#pending!, this.#pending!);
    const name = this.#name;
    const samples = this.#labels.length;
    if (!samples) throw new PareError(`${name}: no rows`);
    if (this.#sklearn && this.#sklearn.rows !== samples)
      throw new PareError(
        `${name}: its first line declares ${this.#sklearn.rows} rows, there are ${samples}: it is truncated`,
      );
    const columns = [{ name: null, dims: [this.#width - 1], data: this.#values.slice(0, this.#used) }];
    const numbers = this.#labels.map(Number);
    if (this.#options.regression || (numbers.every(Number.isFinite) && !numbers.every(Number.isInteger))) {
      const bad = numbers.findIndex((v) => !Number.isFinite(v));
      if (bad >= 0) throw new PareError(`${name}: "${this.#labels[bad]}" is not a number to be predicted`);
      return { name, columns, targets: { name: "targets", dims: [1], data: Float32Array.from(numbers) } };
    }
    if (numbers.every((v) => Number.isInteger(v) && v >= 0 && v < 1 << 20)) {
      const labels = Int32Array.from(numbers);
      return { name, columns, labels, ...(this.#sklearn ? { classes: this.#sklearn.classes } : {}) };
    }
    const whole = numbers.every(Number.isInteger);
    const words = [...new Set(this.#labels)].sort(whole ? (a, b) => Number(a) - Number(b) : (a, b) => (a < b ? -1 : 1));
    const index = new Map(words.map((word, i) => [word, i]));
    return {
      name,
      columns,
      labels: Int32Array.from(this.#labels, (w) => index.get(w)!),
      classes: words.length,
      classNames: words,
    };
  }
}

const isLabelName = (cell: string): boolean => /^(label|class|target)$/i.test(cell);
