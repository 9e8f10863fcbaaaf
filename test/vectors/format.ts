/** The vector files: a text header, an empty line, and the bytes that the header counts. The README tells each field. */

export const FORMAT = "ctd-decoder test vector 1";

export interface Vector {
  /** What is wrong, or what is right although it looks wrong. */
  readonly about: string;
  /** "ok", or the code of the error. */
  readonly expect: string;
  /** Of all that is released: "sha256:<hex>". */
  readonly stdout: string;
  readonly mediaType: string;
  readonly args: readonly string[];
  /** Files of the keys directory by their path in it; a name in data/keys/, or bytes. */
  readonly keys: ReadonlyMap<string, string | Buffer>;
  /** Symbolic links of the keys directory: path → target. */
  readonly links: ReadonlyMap<string, string>;
  /** null: file descriptor 3 is not open. */
  readonly payload: Buffer | null;
  readonly layer: Buffer;
}

export function writeVector(vector: Vector): Buffer {
  const keys = [...vector.keys].map(([path, from]) =>
    typeof from === "string" ? `key: ${path} = ${from}` : `key: ${path} ${from.length}`,
  );
  const header = [
    FORMAT,
    `about: ${vector.about}`,
    `expect: ${vector.expect}`,
    `stdout: ${vector.stdout}`,
    `media-type: ${vector.mediaType}`,
    ...vector.args.map((arg) => `arg: ${arg}`),
    ...keys,
    ...[...vector.links].map(([path, target]) => `link: ${path} -> ${target}`),
    `payload: ${vector.payload?.length ?? "none"}`,
    `layer: ${vector.layer.length}`,
  ];
  if (header.some((line) => line.includes("\n"))) throw new Error("a header line may not hold a line break");
  const inline = [...vector.keys.values()].filter((from) => typeof from !== "string");
  return Buffer.concat([
    Buffer.from(`${header.join("\n")}\n\n`),
    vector.payload ?? Buffer.alloc(0),
    vector.layer,
    ...inline,
  ]);
}

export function readVector(file: Buffer): Vector {
  const end = file.indexOf("\n\n");
  const [format, ...lines] = file.toString("utf8", 0, end).split("\n");
  if (format !== FORMAT) throw new Error(`not "${FORMAT}"`);
  const fields = lines.map(
    (line) => [line.slice(0, line.indexOf(": ")), line.slice(line.indexOf(": ") + 2)] as const,
  );
  const all = (name: string) => fields.flatMap(([field, value]) => (field === name ? value : []));
  const one = (name: string) => {
    const [value, ...more] = all(name);
    if (value === undefined || more.length > 0) throw new Error(`not one "${name}"`);
    return value;
  };
  let at = end + 2;
  const take = (length: number) => {
    at += length;
    return file.subarray(at - length, at);
  };
  const payload = one("payload") === "none" ? null : take(Number(one("payload")));
  const layer = take(Number(one("layer")));
  const keys = new Map<string, string | Buffer>();
  for (const key of all("key")) {
    const [, path = "", name, length] = /^(.*?)(?: = (.+)| (\d+))$/.exec(key) ?? [];
    keys.set(path, name ?? take(Number(length)));
  }
  if (at !== file.length) throw new Error("more or fewer bytes than the header counts");
  const links = new Map(all("link").map((link) => link.split(" -> ") as [string, string]));
  const [about, expect, stdout, mediaType] = [one("about"), one("expect"), one("stdout"), one("media-type")];
  return { about, expect, stdout, mediaType, args: all("arg"), keys, links, payload, layer };
}
