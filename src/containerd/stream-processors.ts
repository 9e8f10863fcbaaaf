import { encryptedTypes, parseLayerType } from "../spec/media-types.ts";
import type { Series } from "./version.ts";

/** One `stream_processors` entry of containerd's configuration, with containerd's defaults for omitted fields. */
export interface StreamProcessor {
  readonly accepts: readonly string[];
  readonly returns: string;
  /** A path, or a name that containerd finds on its PATH. */
  readonly path: string;
  readonly args: readonly string[];
  readonly env: readonly string[];
}

export const TAR_ID = "io.containerd.ocicrypt.decoder.v1.tar";
export const GZIP_ID = "io.containerd.ocicrypt.decoder.v1.tar.gzip";
/** The only IDs that containerd passes a payload to, in all versions. */
export const PAYLOAD_IDS: readonly string[] = [TAR_ID, GZIP_ID];

export const TAR_TYPE = "application/vnd.oci.image.layer.v1.tar";
export const GZIP_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip";

/** Where `ctd-decoder install` copies the executable. */
export const PROGRAM_PATH = "/usr/local/bin/ctd-decoder";
export const KEYS_PATH = "/etc/containerd/ocicrypt/keys";
export const PROVIDER_CONFIG = "/etc/containerd/ocicrypt/ocicrypt_keyprovider.conf";
/** Flag of the decoder's gate. */
export const GATE_FLAG = "trust-policy";
export const PROVIDER_VARIABLE = "OCICRYPT_KEYPROVIDER_CONFIG";

const BUILT_IN_COMMAND = {
  path: "ctd-decoder",
  args: ["--decryption-keys-path", KEYS_PATH],
  env: [`${PROVIDER_VARIABLE}=${PROVIDER_CONFIG}`],
};

/** The processors of containerd 1.4 and later without a configuration. An entry with the same ID replaces one entirely. */
export const BUILT_IN: ReadonlyMap<string, StreamProcessor> = new Map([
  [TAR_ID, { accepts: [`${TAR_TYPE}+encrypted`], returns: TAR_TYPE, ...BUILT_IN_COMMAND }],
  [GZIP_ID, { accepts: [`${GZIP_TYPE}+encrypted`], returns: GZIP_TYPE, ...BUILT_IN_COMMAND }],
]);

/** The command line of a stream processor. */
interface DecoderCommand {
  readonly path: string;
  readonly keysPath: string;
  /** Value of OCICRYPT_KEYPROVIDER_CONFIG. */
  readonly providerConfig: string;
  /** Policy or trust.toml of the decoder's gate; undefined: none. */
  readonly trustPolicy?: string;
}

/**
 * The processors to configure: all encrypted layer types, under the IDs that get a payload. zstd layers go to the gzip
 * processor, because an ID of their own gets no payload; containerd's decompressor detects the format from the data.
 */
export function decoderProcessors(
  command: DecoderCommand,
  returnsTar: boolean,
): Map<string, StreamProcessor> {
  if (returnsTar) return singleProcessor(command);
  const types = encryptedTypes();
  const plain = types.filter((type) => parseLayerType(type)?.compression === "none");
  const compressed = types.filter((type) => parseLayerType(type)?.compression !== "none");
  return new Map([
    [TAR_ID, processor(plain, TAR_TYPE, command)],
    [GZIP_ID, processor(compressed, GZIP_TYPE, command)],
  ]);
}

/** One processor that accepts and decompresses all types. containerd's built-in gzip processor accepts nothing. */
function singleProcessor(command: DecoderCommand): Map<string, StreamProcessor> {
  const single = processor(encryptedTypes(), TAR_TYPE, command);
  return new Map([
    [TAR_ID, { ...single, args: [...single.args, "--returns", "tar"] }],
    [GZIP_ID, processor([], GZIP_TYPE, command)],
  ]);
}

function processor(
  accepts: readonly string[],
  returns: string,
  { path, keysPath, providerConfig, trustPolicy }: DecoderCommand,
): StreamProcessor {
  const gate = trustPolicy === undefined ? [] : [`--${GATE_FLAG}`, trustPolicy];
  return {
    accepts,
    returns,
    path,
    args: ["--decryption-keys-path", keysPath, ...gate],
    env: [`${PROVIDER_VARIABLE}=${providerConfig}`],
  };
}

interface StanzaOptions extends DecoderCommand {
  /** The containerd that reads the file. */
  readonly containerd: Series;
  /** One processor that also decompresses, instead of two. */
  readonly returnsTar: boolean;
  /** More tables in TOML, each with a line break at its end. */
  readonly tables?: readonly string[];
}

interface StanzaFile {
  readonly containerd: Series;
  /** undefined: a file without a version. */
  readonly version: number | undefined;
  readonly processors: ReadonlyMap<string, StreamProcessor>;
  /** More tables in TOML, each with a line break at its end. */
  readonly tables?: readonly string[];
}

/** containerd 2.x converts version 2 on each start; 1.x reads nothing newer. */
export const CONFIG_VERSION: Readonly<Record<Series, number>> = { "1.x": 2, "2.x": 3 };

/** A configuration file for containerd in TOML: its config.toml can import it. */
export function renderStanza(options: StanzaOptions): string {
  const processors = decoderProcessors(options, options.returnsTar);
  return renderStanzaFile({ ...options, version: CONFIG_VERSION[options.containerd], processors });
}

export function renderStanzaFile({ containerd, version, processors, tables = [] }: StanzaFile): string {
  return [
    `# ctd-decoder decrypts encrypted image layers. This file is for containerd ${containerd}.`,
    "# containerd passes a layer's descriptor only to processors with these IDs: do not rename them.",
    "# Append flags for the decoder to args, and variables to env: `ctd-decoder install` keeps both when it runs again.",
    ...(version === undefined ? [] : [`version = ${version}`]),
    "",
    renderProcessors(processors),
    ...tables,
  ].join("\n");
}

/** The `stream_processors` tables in TOML. */
export function renderProcessors(processors: ReadonlyMap<string, StreamProcessor>): string {
  return `${[...processors].map(([id, it]) => renderProcessor(id, it).join("\n")).join("\n\n")}\n`;
}

function renderProcessor(id: string, { accepts, returns, path, args, env }: StreamProcessor): string[] {
  const types = ["  accepts = [", ...accepts.map((type) => `    ${quote(type)},`), "  ]"];
  return [
    ...(accepts.length === 0 ? ["# Accepts nothing, so that another processor gets its layers."] : []),
    `[stream_processors.${quote(id)}]`,
    ...(accepts.length === 0 ? ["  accepts = []"] : types),
    `  returns = ${quote(returns)}`,
    `  path = ${quote(path)}`,
    `  args = [${args.map(quote).join(", ")}]`,
    `  env = [${env.map(quote).join(", ")}]`,
  ];
}

/** A basic string of TOML: as in JSON, except that DEL is escaped too. */
export function quote(text: string): string {
  return JSON.stringify(text).replaceAll("\u007f", "\\u007f");
}

/** The value of a flag in its Go forms, `-name value` and `--name=value`. The last one counts. */
export function flagValue(args: readonly string[], name: string): string | undefined {
  let value: string | undefined;
  for (const [i, arg] of args.entries()) {
    if (isFlag(arg, name)) value = args[i + 1];
    else if (isAssignment(arg, name)) value = arg.slice(arg.indexOf("=") + 1);
  }
  return value;
}

/** The args without a flag that takes a value, in both of its forms. */
export function withoutFlag(args: readonly string[], name: string): string[] {
  return args.filter(
    (arg, i) => !isFlag(arg, name) && !isFlag(args[i - 1], name) && !isAssignment(arg, name),
  );
}

function isFlag(arg: string | undefined, name: string): boolean {
  return arg === `-${name}` || arg === `--${name}`;
}

function isAssignment(arg: string, name: string): boolean {
  return arg.startsWith(`-${name}=`) || arg.startsWith(`--${name}=`);
}

/** The value of a variable in a NAME=VALUE list. The last one counts. */
export function variableValue(env: readonly string[], name: string): string | undefined {
  return env.findLast((it) => it.startsWith(`${name}=`))?.slice(name.length + 1);
}
