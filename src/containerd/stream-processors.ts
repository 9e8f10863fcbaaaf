import { encryptedTypes, parseLayerType } from "../spec/media-types.ts";

/** One `stream_processors` entry of containerd's configuration, with containerd's defaults for what is left out. */
export interface StreamProcessor {
  readonly accepts: readonly string[];
  readonly returns: string;
  /** A path, or a name to be found on containerd's PATH. */
  readonly path: string;
  readonly args: readonly string[];
  readonly env: readonly string[];
}

export const TAR_ID = "io.containerd.ocicrypt.decoder.v1.tar";
export const GZIP_ID = "io.containerd.ocicrypt.decoder.v1.tar.gzip";
/** The only processors that any containerd passes a payload to. */
export const PAYLOAD_IDS: readonly string[] = [TAR_ID, GZIP_ID];

export const TAR_TYPE = "application/vnd.oci.image.layer.v1.tar";
export const GZIP_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip";

export const KEYS_PATH = "/etc/containerd/ocicrypt/keys";
export const PROVIDER_CONFIG = "/etc/containerd/ocicrypt/ocicrypt_keyprovider.conf";
export const PROVIDER_VARIABLE = "OCICRYPT_KEYPROVIDER_CONFIG";

const BUILT_IN_COMMAND = {
  path: "ctd-decoder",
  args: ["--decryption-keys-path", KEYS_PATH],
  env: [`${PROVIDER_VARIABLE}=${PROVIDER_CONFIG}`],
};

/** What containerd 1.4 and later has without any configuration; an entry of the same ID in a file replaces it whole. */
export const BUILT_IN: ReadonlyMap<string, StreamProcessor> = new Map([
  [TAR_ID, { accepts: [`${TAR_TYPE}+encrypted`], returns: TAR_TYPE, ...BUILT_IN_COMMAND }],
  [GZIP_ID, { accepts: [`${GZIP_TYPE}+encrypted`], returns: GZIP_TYPE, ...BUILT_IN_COMMAND }],
]);

export interface WantedCommand {
  readonly path: string;
  readonly keysPath: string;
  readonly providerConfig: string;
}

/**
 * The processors to configure: all encrypted layer types, under the IDs that get a payload. zstd goes with gzip, since an
 * ID of its own gets none; containerd's decompressor looks at the data.
 */
export function wantedProcessors(command: WantedCommand): Map<string, StreamProcessor> {
  const types = encryptedTypes();
  const plain = types.filter((type) => parseLayerType(type)?.compression === "none");
  const compressed = types.filter((type) => parseLayerType(type)?.compression !== "none");
  return new Map([
    [TAR_ID, processor(plain, TAR_TYPE, command)],
    [GZIP_ID, processor(compressed, GZIP_TYPE, command)],
  ]);
}

/** One processor for all, which decompresses as well; containerd's own one for gzip is left with nothing. */
export function singleProcessor(command: WantedCommand): Map<string, StreamProcessor> {
  const single = processor(encryptedTypes(), TAR_TYPE, command);
  return new Map([
    [TAR_ID, { ...single, args: [...single.args, "--returns", "tar"] }],
    [GZIP_ID, processor([], GZIP_TYPE, command)],
  ]);
}

function processor(
  accepts: readonly string[],
  returns: string,
  { path, keysPath, providerConfig }: WantedCommand,
): StreamProcessor {
  return {
    accepts,
    returns,
    path,
    args: ["--decryption-keys-path", keysPath],
    env: [`${PROVIDER_VARIABLE}=${providerConfig}`],
  };
}

/** The value of a flag among arguments, in either of its forms; the last one counts. */
export function flagValue(args: readonly string[], name: string): string | undefined {
  let value: string | undefined;
  for (const [i, arg] of args.entries()) {
    if (arg === `-${name}` || arg === `--${name}`) value = args[i + 1];
    else if (arg.startsWith(`-${name}=`) || arg.startsWith(`--${name}=`))
      value = arg.slice(arg.indexOf("=") + 1);
  }
  return value;
}

/** The value of an environment variable in containerd's list of NAME=VALUE; the last one counts. */
export function variableValue(env: readonly string[], name: string): string | undefined {
  return env.findLast((it) => it.startsWith(`${name}=`))?.slice(name.length + 1);
}
