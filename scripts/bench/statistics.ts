/** Numbers of repeated measurements. */

export interface Spread {
  readonly median: number;
  /** The lower and upper quartile: half of the measurements are between them. */
  readonly low: number;
  readonly high: number;
}

/** @throws Error if there are no numbers */
export function spreadOf(numbers: readonly number[]): Spread {
  const sorted = [...numbers].sort((a, b) => a - b);
  return { median: quantile(sorted, 0.5), low: quantile(sorted, 0.25), high: quantile(sorted, 0.75) };
}

/** The quantile, linearly interpolated between two numbers. */
function quantile(sorted: readonly number[], part: number): number {
  const place = (sorted.length - 1) * part;
  const [below, above] = [sorted[Math.floor(place)], sorted[Math.ceil(place)]];
  if (below === undefined || above === undefined) throw new Error("there is nothing to take a median of");
  return below + (above - below) * (place - Math.floor(place));
}

/**
 * The ratio of two numbers of the same round. Whatever slows the machine down affects both and cancels out.
 */
export function ratios(over: readonly number[], under: readonly number[]): number[] {
  if (over.length !== under.length) throw new Error("these are not the same rounds");
  return over.map((value, round) => value / (under[round] ?? Number.NaN));
}

export function differences(of: readonly number[], less: readonly number[]): number[] {
  if (of.length !== less.length) throw new Error("these are not the same rounds");
  return of.map((value, round) => value - (less[round] ?? Number.NaN));
}
