export { formatBytes } from "../encoding/units.ts";

/** "0:07", "1:02:03" */
export function formatSeconds(seconds: number): string {
  const whole = Math.round(seconds);
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const padded = (number: number) => String(number).padStart(2, "0");
  return hours > 0 ? `${hours}:${padded(minutes)}:${padded(rest)}` : `${minutes}:${padded(rest)}`;
}

/** "1 layer", "7 layers" */
export function count(number: number, noun: string, nouns = `${noun}s`): string {
  return `${number} ${number === 1 ? noun : nouns}`;
}

/** "sha256:0123456789ab", enough for a person to compare. */
export function shortDigest(digest: string): string {
  const colon = digest.indexOf(":");
  return digest.slice(0, colon + 1 + 12);
}

/** Like shortDigest, without the algorithm: "0123456789ab". */
export function shortHex(digest: string): string {
  return shortDigest(digest).slice(digest.indexOf(":") + 1);
}
