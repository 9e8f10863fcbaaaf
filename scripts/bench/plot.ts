/** Draws throughput by layer size and, below it, the time relative to Go's, as SVG. */
import type { RowResult, Samples } from "./row.ts";
import { ratios, spreadOf } from "./statistics.ts";
import { GiB, KiB, MiB } from "./units.ts";

interface Series {
  readonly name: string;
  readonly label: string;
  readonly style: string;
}

const SERIES: readonly Series[] = [
  { name: "sha256", label: "limit: openssl dgst -sha256", style: "stroke:#888;stroke-dasharray:2 4" },
  { name: "stream", label: "ctd-decoder --release=stream", style: "stroke:#1a6fd4;stroke-dasharray:7 4" },
  { name: "ours", label: "ctd-decoder", style: "stroke:#1a6fd4" },
  { name: "go", label: "Go's ctd-decoder", style: "stroke:#d9541e" },
];

const WIDTH = 800;
const HEIGHT = 660;
const LEFT = 76;
const RIGHT = WIDTH - 32;
/** Candidates for the step of the lower grid. The first that gives few enough lines is used. */
const STEPS: readonly number[] = [0.2, 0.5, 1, 2];
const LINES = 8;
const THROUGHPUT = { top: 104, bottom: 380 } as const;
const RELATIVE = { top: 430, bottom: 580 } as const;

const STYLE = `
text { font: 13px system-ui, sans-serif; fill: #222 }
.title { font-size: 17px; font-weight: 600 }
.note { font-size: 11px; fill: #666 }
.grid { stroke: #ddd }
.line { fill: none; stroke-width: 2.2 }
`;

/** A layer size, and the time of each contestant in each round, in milliseconds. */
interface Point {
  readonly bytes: number;
  readonly samples: Samples;
}

/** @param notes lines about the machine. @returns undefined if there are too few sizes for a line */
export function plot(rows: readonly RowResult[], notes: readonly string[]): string | undefined {
  const points = rows
    .flatMap(({ bytes, samples }) => (bytes === undefined ? [] : [{ bytes, samples }]))
    .sort((a, b) => a.bytes - b.bytes);
  const [first, last] = [points[0], points.at(-1)];
  if (first === undefined || last === undefined || first === last) return undefined;

  const scale = scaleOf([Math.log2(first.bytes), Math.log2(last.bytes)], [LEFT, RIGHT]);
  const x = (bytes: number) => scale(Math.log2(bytes));
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" width="${WIDTH}" height="${HEIGHT}" role="img">`,
    `<title>Throughput of ctd-decoder and of Go's decoder over layer size</title>`,
    `<style>${STYLE}</style>`,
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="#fff"/>`,
    text(LEFT, 28, "Throughput of whole processes over layer size", "start", "title"),
    ...legend(),
    ...sizes(points, x),
    ...throughput(points, x),
    ...relative(points, x),
    ...notes.map((note, i) => text(LEFT, RELATIVE.bottom + 46 + 15 * i, note, "start", "note")),
    "</svg>",
    "",
  ].join("\n");
}

type Scale = (value: number) => number;

function scaleOf(from: readonly [number, number], to: readonly [number, number]): Scale {
  return (value) => to[0] + ((value - from[0]) / (from[1] - from[0])) * (to[1] - to[0]);
}

function legend(): string[] {
  return SERIES.toReversed().flatMap(({ label, style }, index) => {
    const [x, y] = [LEFT + (index % 2) * 240, 48 + Math.floor(index / 2) * 19];
    return [`<path class="line" style="${style}" d="M${x} ${y}h28"/>`, text(x + 36, y + 4, label)];
  });
}

function sizes(points: readonly Point[], x: Scale): string[] {
  return points.flatMap(({ bytes }) => [
    `<path class="grid" d="M${round(x(bytes))} ${THROUGHPUT.top}V${THROUGHPUT.bottom}M${round(x(bytes))} ${RELATIVE.top}V${RELATIVE.bottom}"/>`,
    text(x(bytes), RELATIVE.bottom + 20, sizeName(bytes), "middle"),
  ]);
}

/** MiB/s, in powers of ten. */
function throughput(points: readonly Point[], x: Scale): string[] {
  const rate = ({ bytes, samples }: Point, name: string) => {
    const times = samples[name];
    return times && (bytes / MiB / spreadOf(times).median) * 1000;
  };
  const rates = SERIES.flatMap(({ name }) => points.map((point) => rate(point, name) ?? [])).flat();
  const [low, high] = [Math.floor(Math.log10(Math.min(...rates))), Math.ceil(Math.log10(Math.max(...rates)))];
  const scale = scaleOf([low, high], [THROUGHPUT.bottom, THROUGHPUT.top]);
  const grid = Array.from({ length: high - low + 1 }, (_, i) => low + i).flatMap((power) =>
    gridLine(scale(power), String(Number((10 ** power).toPrecision(1)))),
  );
  const lines = SERIES.map(({ name, style }) => {
    const places = points.flatMap((point) => {
      const value = rate(point, name);
      return value === undefined ? [] : [[x(point.bytes), scale(Math.log10(value))] as const];
    });
    return polyline(places, style);
  });
  return [...grid, axisTitle("MiB/s", THROUGHPUT), ...lines];
}

/** The ratio to Go's time: the median of the rounds, and a bar over the middle half. */
function relative(points: readonly Point[], x: Scale): string[] {
  const compared = SERIES.filter(({ name }) => name === "ours" || name === "stream").map((series) => ({
    style: series.style,
    spreads: points.flatMap(({ bytes, samples }) => {
      const [times, others] = [samples[series.name], samples["go"]];
      return times && others ? [{ at: x(bytes), ...spreadOf(ratios(times, others)) }] : [];
    }),
  }));
  const highest = Math.max(1, ...compared.flatMap(({ spreads }) => spreads.map(({ high }) => high)));
  const step = STEPS.find((it) => highest / it <= LINES) ?? highest;
  const top = Math.ceil(highest / step) * step;
  const scale = scaleOf([0, top], [RELATIVE.bottom, RELATIVE.top]);
  const grid = Array.from({ length: Math.round(top / step) + 1 }, (_, i) => i * step).flatMap((value) =>
    gridLine(scale(value), value.toFixed(1)),
  );
  const go = `<path class="line" style="stroke:#d9541e" d="M${LEFT} ${round(scale(1))}H${RIGHT}"/>`;
  const lines = compared.flatMap(({ style, spreads }) => [
    ...spreads.map(({ at, low, high }) => {
      return `<path class="line" style="${style};stroke-width:1;stroke-dasharray:none" d="M${round(at)} ${round(scale(low))}V${round(scale(high))}"/>`;
    }),
    polyline(
      spreads.map(({ at, median }) => [at, scale(median)]),
      style,
    ),
  ]);
  return [...grid, axisTitle("time relative to Go's (less is better)", RELATIVE), go, ...lines];
}

function gridLine(y: number, label: string): string[] {
  return [`<path class="grid" d="M${LEFT} ${round(y)}H${RIGHT}"/>`, text(LEFT - 10, y + 4, label, "end")];
}

function axisTitle(title: string, { top }: { readonly top: number }): string {
  return text(LEFT, top - 8, title);
}

function polyline(places: readonly (readonly [number, number])[], style: string): string {
  const path = places.map(([x, y]) => `${round(x)} ${round(y)}`).join("L");
  return `<path class="line" style="${style}" d="M${path}"/>`;
}

function text(x: number, y: number, content: string, anchor = "start", style = ""): string {
  const escaped = content.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
  const classes = style === "" ? "" : ` class="${style}"`;
  return `<text x="${round(x)}" y="${round(y)}" text-anchor="${anchor}"${classes}>${escaped}</text>`;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

function sizeName(bytes: number): string {
  if (bytes >= GiB) return `${bytes / GiB} GiB`;
  return bytes >= MiB ? `${bytes / MiB} MiB` : `${bytes / KiB} KiB`;
}
