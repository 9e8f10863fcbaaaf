import { isObject } from "../encoding/json.ts";
import { quote } from "./stream-processors.ts";

type Table = Readonly<Record<string, unknown>>;

/** containerd's plugin, since 2.0: it runs every program of a folder before it fetches an image (image-verification.md). */
export const VERIFIER_PLUGIN = "io.containerd.image-verifier.v1.bindir";

/** The plugin's settings, with containerd's defaults for omitted fields. */
export interface ImageVerifierConfig {
  readonly binDir: string;
  /** Programs after the first so many are passed over with a warning; negative: no limit. */
  readonly maxVerifiers: number;
  /** Milliseconds; NaN for what containerd can't read. */
  readonly timeoutMs: number;
  readonly isDisabled: boolean;
}

/** Settings of the plugin that an installation writes. */
export interface VerifierStanza {
  readonly binDir: string;
  /** A duration as Go writes it. */
  readonly timeout: string;
}

const DEFAULT_BIN_DIR = "/opt/containerd/image-verifier/bin";
const DEFAULT_MAX = 10;
const DEFAULT_TIMEOUT = "10s";
/** Slow registries have this long. The verifier's own deadline is a bit shorter, so that its reason is seen. */
const WANTED_TIMEOUT = "30s";

export function readImageVerifier({
  plugins,
  disabledPlugins,
}: {
  readonly plugins: Table;
  readonly disabledPlugins: readonly string[];
}): ImageVerifierConfig {
  const { bin_dir, max_verifiers, per_verifier_timeout } = sectionOf(plugins);
  return {
    binDir: typeof bin_dir === "string" ? bin_dir : DEFAULT_BIN_DIR,
    maxVerifiers: typeof max_verifiers === "number" ? max_verifiers : DEFAULT_MAX,
    timeoutMs: parseGoDuration(
      typeof per_verifier_timeout === "string" ? per_verifier_timeout : DEFAULT_TIMEOUT,
    ),
    isDisabled: disabledPlugins.includes(VERIFIER_PLUGIN),
  };
}

/** The stanza for a node: what an operator has configured stays. */
export function wantedStanza(plugins: Table): VerifierStanza {
  const { bin_dir, per_verifier_timeout } = sectionOf(plugins);
  return {
    binDir: typeof bin_dir === "string" && bin_dir !== "" ? bin_dir : DEFAULT_BIN_DIR,
    timeout: typeof per_verifier_timeout === "string" ? per_verifier_timeout : WANTED_TIMEOUT,
  };
}

/** The fields of a stanza by their names in TOML. */
export function stanzaFields({ binDir, timeout }: VerifierStanza): Table {
  return { bin_dir: binDir, per_verifier_timeout: timeout };
}

/** The plugin's section of a file or of a whole configuration. */
export function sectionOf(plugins: Table): Table {
  const section = plugins[VERIFIER_PLUGIN];
  return isObject(section) ? section : {};
}

/** The table of the plugin in TOML. */
export function renderVerifier(verifier: VerifierStanza): string {
  return [
    "# Before containerd pulls an image, it runs every program of this folder. An empty folder allows every pull.",
    `[plugins.${quote(VERIFIER_PLUGIN)}]`,
    ...Object.entries(stanzaFields(verifier)).map(([name, value]) => `  ${name} = ${quote(String(value))}`),
    "",
  ].join("\n");
}

const UNITS: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};

/** Go's time.ParseDuration, without signs. @returns milliseconds, or NaN */
function parseGoDuration(text: string): number {
  if (text === "0") return 0;
  const part = /(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)/y;
  let milliseconds = text === "" ? Number.NaN : 0;
  while (part.lastIndex < text.length) {
    const found = part.exec(text);
    if (found === null) return Number.NaN;
    milliseconds += Number(found[1]) * (UNITS[found[2] ?? ""] ?? Number.NaN);
  }
  return milliseconds;
}
