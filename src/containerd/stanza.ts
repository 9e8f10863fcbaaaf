import {
  type StreamProcessor,
  singleProcessor,
  type WantedCommand,
  wantedProcessors,
} from "./stream-processors.ts";

export type Series = "1.x" | "2.x";

export interface StanzaOptions extends WantedCommand {
  /** Which containerd is to read it. */
  readonly containerd: Series;
  /** One processor that decompresses too, in place of two. */
  readonly returnsTar: boolean;
}

/** containerd 2.x reads version 2 too, but converts it; 1.x reads nothing newer. */
const CONFIG_VERSION: Readonly<Record<Series, number>> = { "1.x": 2, "2.x": 3 };

/** A configuration file for containerd, TOML, to be imported by its config.toml or merged into it. */
export function renderStanza(options: StanzaOptions): string {
  const processors = options.returnsTar ? singleProcessor(options) : wantedProcessors(options);
  return [
    `# Encrypted image layers are decrypted by ctd-decoder. For containerd ${options.containerd}.`,
    "# The IDs are those that containerd passes a layer's descriptor to: they must stay as they are.",
    "# Flags for the decoder go to the end of args. This is what ctd-decoder config printed: scripts/install-node, when run",
    "# again, keeps what was added to the end of args and env, and replaces what else was changed (with a backup).",
    `version = ${CONFIG_VERSION[options.containerd]}`,
    ...[...processors].flatMap(([id, processor]) => ["", ...renderProcessor(id, processor)]),
    "",
  ].join("\n");
}

function renderProcessor(id: string, { accepts, returns, path, args, env }: StreamProcessor): string[] {
  return [
    ...(accepts.length === 0
      ? ["# Left with nothing, in place of containerd's own, which would take layers from the other."]
      : []),
    `[stream_processors.${quote(id)}]`,
    ...(accepts.length === 0
      ? ["  accepts = []"]
      : ["  accepts = [", ...accepts.map((type) => `    ${quote(type)},`), "  ]"]),
    `  returns = ${quote(returns)}`,
    `  path = ${quote(path)}`,
    `  args = [${args.map(quote).join(", ")}]`,
    `  env = [${env.map(quote).join(", ")}]`,
  ];
}

/** TOML's basic string: JSON's, but for DEL, which must be escaped too. */
function quote(text: string): string {
  return JSON.stringify(text).replaceAll("\u007f", "\\u007f");
}
