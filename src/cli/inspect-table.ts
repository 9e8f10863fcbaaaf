import type { EncryptionInfo, ImageInfo, LayerInfo, PlatformInfo } from "../image/inspect.ts";
import { UNNAMED } from "../keywrap/describe.ts";
import { printable } from "../text.ts";
import type { Style } from "./style.ts";
import { count, formatBytes, shortDigest } from "./units.ts";

const GAP = "  ";
/** Prefixes that all layer types share; a reader needs only what follows. */
const COMMON_TYPES =
  /^application\/vnd\.(?:oci\.image\.layer\.v1\.|oci\.image\.layer\.|docker\.image\.rootfs\.)/;

/** `inspect` as text: a table of layers for each platform, with the recipients of each layer below it. */
export function renderImage(info: ImageInfo, style: Style, columns: number): string {
  const parts = info.platforms.map((platform) => renderPlatform(platform, style, columns));
  const others = info.others.map(
    ({ digest, mediaType, platform, kind }) =>
      `${shortDigest(digest)}${GAP}${printable([platform, kind ?? mediaType].filter((it) => it !== undefined).join(GAP))}`,
  );
  const encrypted = info.platforms
    .flatMap(({ layers }) => layers)
    .filter((layer) => layer.encryption !== undefined).length;
  const all = info.platforms.reduce((sum, { layers }) => sum + layers.length, 0);
  const head = `${style.bold(info.digest)}\n${printable(info.mediaType)}, ${count(info.platforms.length, "platform")}, ${encrypted} of ${count(all, "layer")} encrypted\n`;
  const tail =
    others.length === 0
      ? []
      : [`${style.bold("others")}\n${others.map((line) => `${GAP}${line}\n`).join("")}`];
  return [head, ...parts, ...tail].join("\n");
}

function renderPlatform({ platform, digest, layers }: PlatformInfo, style: Style, columns: number): string {
  const rows = layers.map(({ position, digest, size, mediaType }) => [
    String(position),
    columns >= WIDE_COLUMNS ? digest : shortDigest(digest),
    formatBytes(size),
    printable(mediaType.replace(COMMON_TYPES, "")),
  ]);
  const lines = table([["#", "digest", "size", "type"], ...rows]);
  const [header = "", ...body] = lines;
  const text = layers.flatMap((layer, i) => [body[i] ?? "", ...renderEncryption(layer, style)]);
  return [
    `${style.bold(printable(platform))}${GAP}${style.dim(columns >= WIDE_COLUMNS ? digest : shortDigest(digest))}`,
    style.dim(GAP + header),
    ...text.map((line) => GAP + line),
    "",
  ].join("\n");
}

/** At this width digests are shown in full. */
const WIDE_COLUMNS = 140;

function renderEncryption({ encryption }: LayerInfo, style: Style): string[] {
  if (encryption === undefined) return [];
  const lines = encryption.packets.flatMap(({ scheme, recipients, problem }) => {
    if (problem !== undefined) return [`${printable(scheme)}: ${style.bad(printable(problem))}`];
    if (recipients.length === 0) return [`${printable(scheme)}: recipients not named in the image`];
    return recipients.map(
      ({ algorithm, id, files = [] }) =>
        `${printable(scheme)}: ${printable([algorithm, id || UNNAMED].filter((it) => it).join(" "))}${files.length === 0 ? "" : style.good(`, which is ${printable(files.join(", "))}`)}`,
    );
  });
  return [...lines, ...trouble(encryption, style), ...openers(encryption, style)].map(
    (line) => `${GAP}${GAP}${line}`,
  );
}

function trouble({ problem, packets }: EncryptionInfo, style: Style): string[] {
  if (problem !== undefined) return [style.bad(printable(problem))];
  return packets.length === 0 ? [style.bad("no wrapped key, so no key can open it")] : [];
}

function openers({ opens }: EncryptionInfo, style: Style): string[] {
  if (opens === undefined) return [];
  if (opens === null) return [style.bad("none of the keys opens it")];
  return opens.map(({ key = "a key", kid, scheme }) => {
    const words = [key, ...(kid === undefined ? [] : [`kid=${kid}`]), `(${scheme})`];
    return style.good(`opens with ${printable(words.join(" "))}`);
  });
}

/** Pads every column but the last to its widest cell. */
function table(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows.map((row) =>
    row
      .map((cell, column) => (column === row.length - 1 ? cell : cell.padEnd(widths[column] ?? 0)))
      .join(GAP),
  );
}
