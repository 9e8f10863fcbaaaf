/** The width assumed for a terminal that reports none. */
export const USUAL_COLUMNS = 80;

/** Ways to set words apart; each returns plain text where colours are not wanted. */
export interface Style {
  bold(text: string): string;
  dim(text: string): string;
  good(text: string): string;
  bad(text: string): string;
}

/** ECMA-48 §8.3.117, "select graphic rendition": on and off. */
const CODES = { bold: [1, 22], dim: [2, 22], good: [32, 39], bad: [31, 39] } as const;

/** Colours on a terminal only, and not where NO_COLOR (no-color.org) or TERM=dumb asks for none. */
export function styleFor(
  stream: { readonly isTTY?: boolean },
  environment: Readonly<Record<string, string | undefined>>,
): Style {
  const wanted = stream.isTTY === true && !environment["NO_COLOR"] && environment["TERM"] !== "dumb";
  const paint = (name: keyof typeof CODES) => (text: string) => {
    const [on, off] = CODES[name];
    return wanted ? `\u001b[${on}m${text}\u001b[${off}m` : text;
  };
  return { bold: paint("bold"), dim: paint("dim"), good: paint("good"), bad: paint("bad") };
}
