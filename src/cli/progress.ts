import type { LayerReport, Progress } from "../image/progress.ts";
import { printable } from "../text.ts";
import type { Phase, PhaseKind } from "../transport/progress.ts";
import { type Style, USUAL_COLUMNS } from "./style.ts";
import { formatBytes, formatSeconds, shortDigest, shortHex } from "./units.ts";

interface Stream {
  readonly columns: number | undefined;
  show(text: string): void;
}

const REDRAW_MS = 100;
export const CLEAR_LINE = "\r\u001b[K";
const BAR_COLUMNS = 32;
/** A shorter bar shows nothing. */
const LEAST_BAR_COLUMNS = 5;
/** A log names the size and rate of a phase that had so many bytes. */
const LOGGED_BYTES = 16 * 1024 * 1024;

export interface ShownProgress extends Progress {
  /** Ends the last phase, and removes the bar. */
  end(): void;
}

/** A line for each layer and each long phase, for logs. @param verb "encrypting" */
export function lineProgress(verb: string, stream: Stream): ShownProgress {
  let meter: Meter | undefined;
  const endPhase = () => {
    if (meter !== undefined && meter.done >= LOGGED_BYTES) stream.show(`${meter.total(verb)}\n`);
    meter = undefined;
  };
  return {
    begin: (phase) => {
      endPhase();
      meter = new Meter(phase);
    },
    advance: (bytes) => meter?.advance(bytes),
    finish: (layer) => stream.show(`${describe(layer)}\n`),
    end: endPhase,
  };
}

/** One line that is redrawn: phase, bar, bytes, rate. The lines of finished layers go above it. */
export function terminalProgress(verb: string, stream: Stream, style: Style): ShownProgress {
  const bar = new Bar(verb, stream, style);
  return {
    begin: (phase) => bar.begin(phase),
    advance: (bytes) => bar.advance(bytes),
    finish: (layer) => bar.finish(layer),
    end: () => bar.end(),
  };
}

const PHASE_VERBS: Readonly<Record<PhaseKind, string | undefined>> = {
  reading: "reading",
  packing: "packing",
  layers: undefined,
  writing: "writing",
};

/** Bytes and time of one phase. */
class Meter {
  readonly bytes: number | undefined;
  readonly #kind: PhaseKind;
  readonly #start = performance.now();
  #done = 0;

  constructor({ kind, bytes }: Phase) {
    this.#kind = kind;
    this.bytes = bytes;
  }

  get done(): number {
    return this.#done;
  }

  advance(bytes: number): void {
    this.#done += bytes;
  }

  /** "reading"; for the phase that is the command's own work, its verb. */
  verb(own: string): string {
    return PHASE_VERBS[this.#kind] ?? own;
  }

  /** "encrypting: 1.2 GiB in 0:07, 175 MiB/s" */
  total(own: string): string {
    return `${this.verb(own)}: ${formatBytes(this.#done)} in ${formatSeconds(this.#seconds)}, ${this.rate}`;
  }

  get rate(): string {
    return `${formatBytes(this.#bytesPerSecond)}/s`;
  }

  /** "0:07 left", where it can be estimated. */
  get left(): string | undefined {
    if (this.bytes === undefined || this.#bytesPerSecond === 0) return undefined;
    return `${formatSeconds(Math.max(0, this.bytes - this.#done) / this.#bytesPerSecond)} left`;
  }

  get #seconds(): number {
    return (performance.now() - this.#start) / 1000;
  }

  get #bytesPerSecond(): number {
    return this.#seconds > 0 ? this.#done / this.#seconds : 0;
  }
}

class Bar {
  readonly #verb: string;
  readonly #stream: Stream;
  readonly #style: Style;
  #meter: Meter | undefined;
  #drawn = 0;

  constructor(verb: string, stream: Stream, style: Style) {
    this.#verb = verb;
    this.#stream = stream;
    this.#style = style;
  }

  begin(phase: Phase): void {
    this.#meter = new Meter(phase);
    this.#draw();
  }

  advance(bytes: number): void {
    this.#meter?.advance(bytes);
    if (performance.now() - this.#drawn >= REDRAW_MS) this.#draw();
  }

  finish(layer: LayerReport): void {
    const text = shorten(describe(layer), this.#columns() - 2);
    this.#stream.show(`${CLEAR_LINE}${this.#style.good("✓")} ${text}\n`);
    this.#draw();
  }

  end(): void {
    this.#stream.show(CLEAR_LINE);
  }

  #draw(): void {
    if (this.#meter === undefined) return;
    this.#drawn = performance.now();
    this.#stream.show(CLEAR_LINE + shorten(this.#line(this.#meter), this.#columns()));
  }

  #line(meter: Meter): string {
    const { done, bytes, rate, left } = meter;
    const before = `${meter.verb(this.#verb)}  `;
    const amount = bytes === undefined ? formatBytes(done) : `${formatBytes(done)} of ${formatBytes(bytes)}`;
    const after = `${amount}  ${rate}${left === undefined ? "" : `, ${left}`}`;
    if (bytes === undefined) return before + after;
    const room = this.#columns() - before.length - after.length - "[]  ".length;
    return before + bar(bytes === 0 ? 1 : Math.min(1, done / bytes), Math.min(room, BAR_COLUMNS)) + after;
  }

  /** One column stays free: some terminals wrap a line that fills the last one. */
  #columns(): number {
    return (this.#stream.columns ?? USUAL_COLUMNS) - 1;
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
  const where = platform.includes("/") ? platform : shortDigest(platform);
  return `${printable(where)} layer ${position} ${action}, ${formatBytes(size)}: ${change}`;
}

function shorten(text: string, columns: number): string {
  return text.length <= columns ? text : `${text.slice(0, Math.max(0, columns - 1))}…`;
}
