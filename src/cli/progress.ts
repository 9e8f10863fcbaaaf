import type { LayerReport, Progress } from "../image/progress.ts";
import { printable } from "../text.ts";
import { type Style, USUAL_COLUMNS } from "./style.ts";
import { formatBytes, formatSeconds, shortHex } from "./units.ts";

type Stream = Pick<NodeJS.WriteStream, "write" | "columns">;

const REDRAW_MS = 100;
const CLEAR_LINE = "\r\u001b[K";
const BAR_COLUMNS = 32;
/** A shorter bar shows nothing. */
const LEAST_BAR_COLUMNS = 5;

export interface ShownProgress extends Progress {
  /** Removes the bar. */
  end(): void;
}

/** One line for each finished layer, for logs. */
export function lineProgress(stream: Stream): ShownProgress {
  let [total, done] = [0, 0];
  return {
    begin: ({ layers }) => {
      total = layers;
    },
    read: () => undefined,
    finish: (layer) => {
      done += 1;
      stream.write(`layer ${done}/${total}: ${describe(layer)}\n`);
    },
    end: () => undefined,
  };
}

/** One line, redrawn: bar, bytes, rate, layers. The lines of finished layers go above it. */
export function terminalProgress(verb: string, stream: Stream, style: Style): ShownProgress {
  const bar = new Bar(verb, stream, style);
  return {
    begin: (total) => bar.begin(total),
    read: (count) => bar.read(count),
    finish: (layer) => bar.finish(layer),
    end: () => bar.end(),
  };
}

class Bar {
  readonly #verb: string;
  readonly #stream: Stream;
  readonly #style: Style;
  readonly #start = performance.now();
  #drawn = 0;
  #layers = { total: 0, done: 0 };
  #bytes = { total: 0, done: 0 };

  constructor(verb: string, stream: Stream, style: Style) {
    this.#verb = verb;
    this.#stream = stream;
    this.#style = style;
  }

  begin({ layers, bytes }: { layers: number; bytes: number }): void {
    this.#layers.total = layers;
    this.#bytes.total = bytes;
    this.#draw();
  }

  read(count: number): void {
    this.#bytes.done += count;
    if (performance.now() - this.#drawn >= REDRAW_MS) this.#draw();
  }

  finish(layer: LayerReport): void {
    this.#layers.done += 1;
    this.#stream.write(
      `${CLEAR_LINE}${this.#style.good("✓")} ${shorten(describe(layer), this.#columns() - 2)}\n`,
    );
    if (this.#layers.done < this.#layers.total) this.#draw();
  }

  end(): void {
    this.#stream.write(CLEAR_LINE);
  }

  #draw(): void {
    this.#drawn = performance.now();
    this.#stream.write(CLEAR_LINE + shorten(this.#line(), this.#columns()));
  }

  #line(): string {
    const { done, total } = this.#bytes;
    const seconds = (performance.now() - this.#start) / 1000;
    const rate = seconds > 0 ? done / seconds : 0;
    const left = rate > 0 ? `, ${formatSeconds((total - done) / rate)} left` : "";
    const layer = Math.min(this.#layers.done + 1, this.#layers.total);
    const before = `${this.#verb} layer ${layer} of ${this.#layers.total}  `;
    const after = `${formatBytes(done)} of ${formatBytes(total)}  ${formatBytes(rate)}/s${left}`;
    const room = this.#columns() - before.length - after.length - "[]  ".length;
    return before + bar(total === 0 ? 1 : Math.min(1, done / total), Math.min(room, BAR_COLUMNS)) + after;
  }

  /** One column stays free: some terminals wrap a line that fills the last one. */
  #columns(): number {
    return (this.#stream.columns || USUAL_COLUMNS) - 1;
  }
}

function bar(share: number, columns: number): string {
  if (columns < LEAST_BAR_COLUMNS) return "";
  const full = Math.round(share * columns);
  return `[${"#".repeat(full)}${".".repeat(columns - full)}]  `;
}

/** Fits in 80 columns. */
function describe({ platform, position, action, from, digest, size }: LayerReport): string {
  const change = from === digest ? shortHex(digest) : `${shortHex(from)} -> ${shortHex(digest)}`;
  return `${printable(platform)} layer ${position} ${action}, ${formatBytes(size)}: ${change}`;
}

function shorten(text: string, columns: number): string {
  return text.length <= columns ? text : `${text.slice(0, Math.max(0, columns - 1))}…`;
}
