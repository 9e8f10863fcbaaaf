export type Series = "1.x" | "2.x";

/** A release such as 2.1.9. An unknown part is infinite: the latest release is assumed. */
export interface ContainerdVersion {
  readonly major: number;
  readonly minor: number;
  readonly patch: number;
}

/** Finds the version in the output of `containerd --version`, or in a bare number such as "2.1.9" or "2.x". */
export function parseContainerdVersion(text: string): ContainerdVersion | undefined {
  const [, major, minor, patch] = /(?:^|\s)v?(\d{1,3})\.(\d{1,3}|x)(?:\.(\d{1,4}))?/.exec(text) ?? [];
  if (major === undefined) return undefined;
  return { major: Number(major), minor: number(minor), patch: number(patch) };
}

function number(text: string | undefined): number {
  return text === undefined || text === "x" ? Number.POSITIVE_INFINITY : Number(text);
}

export function seriesOf({ major }: ContainerdVersion): Series {
  return major < 2 ? "1.x" : "2.x";
}

/** "2.1.9", or "2.x" if only the major version is known. */
export function formatVersion({ major, minor, patch }: ContainerdVersion): string {
  if (!Number.isFinite(minor)) return `${major}.x`;
  return Number.isFinite(patch) ? `${major}.${minor}.${patch}` : `${major}.${minor}`;
}
