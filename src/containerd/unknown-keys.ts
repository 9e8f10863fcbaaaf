/** A key of containerd's configuration that containerd ignores, although an author meant it for the decoder. */
export interface UnknownKey {
  /** "acepts", "stream_processor", `plugins."io.containerd.ocicrypt.v1"` */
  readonly key: string;
  /** Line of the key, from 1; undefined if the key is written in an unusual form. */
  readonly line?: number;
  /** What containerd reads instead. */
  readonly hint: string;
}

type Table = Readonly<Record<string, unknown>>;

const PROCESSOR_KEYS = ["accepts", "returns", "path", "args", "env"];
/** Tutorials configure this plugin, which no containerd has. */
const INVENTED_PLUGIN = /ocicrypt|imgcrypt/i;
const MISNAMED_TABLE = /^stream[-_ ]?proc/i;

/** @param text the file, to find the keys' lines in */
export function findUnknownKeys(table: Table, text: string): UnknownKey[] {
  const lines = text.split("\n");
  const found: UnknownKey[] = [];
  const add = (key: string, line: number, hint: string) =>
    found.push({ key, ...(line > 0 && { line }), hint });
  for (const name of Object.keys(table)) {
    if (name === "stream_processors" || !MISNAMED_TABLE.test(name)) continue;
    add(name, lineOf(lines, name), "name the table stream_processors");
  }
  for (const [id, entry] of Object.entries(tableOf(table["stream_processors"]))) {
    const header = lineOf(lines, id);
    for (const key of Object.keys(tableOf(entry))) {
      if (PROCESSOR_KEYS.includes(key)) continue;
      add(key, lineOf(lines, key, header), `the keys of a stream processor are ${PROCESSOR_KEYS.join(", ")}`);
    }
  }
  for (const id of Object.keys(tableOf(table["plugins"]))) {
    if (INVENTED_PLUGIN.test(id))
      add(
        `plugins.${JSON.stringify(id)}`,
        lineOf(lines, id),
        "decoders are configured by stream_processors only",
      );
  }
  return found;
}

function tableOf(value: unknown): Table {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Table) : {};
}

/** The first line at or after `from` that has a key outside a comment, from 1; 0 if no line has. */
function lineOf(lines: readonly string[], key: string, from = 1): number {
  const literal = key.replace(/[.+*?^${}()|[\]\\]/g, "\\$&");
  // A key with dots is quoted.
  const quotes = key.includes(".") ? `["']` : "";
  const pattern = new RegExp(`^[^#]*(?<![\\w-])${quotes}${literal}${quotes}(?![\\w-])`);
  return lines.findIndex((line, i) => i + 1 >= from && pattern.test(line)) + 1;
}
