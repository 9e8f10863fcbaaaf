/** Longer ones exist in no registry, and the conversion below takes the square of the length. */
const OCTETS_MAX = 32;

/**
 * Object identifiers are known here by their content octets in hex (X.690 §8.19); this is the form people know.
 * @returns "1.2.840.113549.3.7", or "an unreadable identifier"
 */
export function dotted(hex: string): string {
  const octets = Buffer.from(hex, "hex");
  const numbers: bigint[] = [];
  let number = 0n;
  for (const octet of octets.subarray(0, OCTETS_MAX)) {
    number = number * 128n + BigInt(octet & 0x7f);
    if ((octet & 0x80) !== 0) continue;
    numbers.push(number);
    number = 0n;
  }
  const [first, ...rest] = numbers;
  if (first === undefined || number !== 0n || octets.length > OCTETS_MAX) return "an unreadable identifier";
  const root = first < 40n ? 0n : first < 80n ? 1n : 2n;
  return [root, first - root * 40n, ...rest].join(".");
}
