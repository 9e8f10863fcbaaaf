const UNITS = ["bytes", "KiB", "MiB", "GiB", "TiB"] as const;
const STEP = 1024;

/** "17 bytes", "1.2 KiB", "412 MiB" */
export function formatBytes(bytes: number): string {
  let [value, unit] = [bytes, 0];
  // 1023.95 KiB would be rounded to "1024 KiB".
  while (value >= STEP - 0.05 && unit < UNITS.length - 1) {
    value /= STEP;
    unit += 1;
  }
  const digits = unit > 0 && value < 99.95 ? 1 : 0;
  return `${value.toFixed(digits)} ${bytes === 1 ? "byte" : UNITS[unit]}`;
}
