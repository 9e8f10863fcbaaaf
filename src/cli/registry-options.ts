import { DecoderError } from "../errors.ts";
import type { RegistryAccess } from "../registry/open.ts";
import { printable } from "../text.ts";
import type { TransportSettings } from "../transport/transport.ts";
import type { Arguments } from "./arguments.ts";
import type { Options } from "./command.ts";
import { CLEAR_LINE } from "./progress.ts";
import { grouped, TLS_VERIFY } from "./shared-options.ts";
import { StandardStream } from "./standard-stream.ts";

/** How docker:// images are reached, in skopeo's words. */

const GROUP = "Registries";
const MOST_RETRIES = 100;
/** Options that each side may have for itself. */
const SIDED: Options = {
  creds: {
    value: "USER:PASSWORD",
    help: "credentials for docker://; other users see them in the process list: prefer --authfile",
  },
  authfile: { value: "FILE", help: "a file of credentials, as docker login and skopeo login write it" },
  "cert-dir": {
    value: "DIR",
    help: "certificates for docker://: *.crt of authorities, *.cert with *.key of this client",
  },
  "tls-verify": TLS_VERIFY,
};

/** For commands that read one image. */
export const REGISTRY_OPTIONS: Options = grouped(GROUP, {
  ...SIDED,
  "plain-http": { help: "use plain HTTP without trying TLS" },
  "retry-times": { value: "N", help: "how often to repeat a failed request; default 4" },
});

type Side = "src" | "dest";

/** For commands that read one image and write another. */
export const BOTH_REGISTRY_OPTIONS: Options = grouped(GROUP, {
  ...REGISTRY_OPTIONS,
  ...sided("src", "SOURCE"),
  ...sided("dest", "DEST"),
});

function sided(side: Side, operand: string): Options {
  return Object.fromEntries(
    Object.entries(SIDED).map(([name, option]) => [
      `${side}-${name}`,
      { ...option, help: `--${name} for ${operand} only` },
    ]),
  );
}

/** @param side of a command that has two. @throws DecoderError USAGE */
export function transportSettings(args: Arguments, side?: Side): TransportSettings {
  return { registry: registryAccess(args, side), onNote: noteOnce };
}

function registryAccess(args: Arguments, side: Side | undefined): RegistryAccess {
  const given = (name: string): { option: string; text: string } | undefined => {
    const options = side === undefined ? [name] : [`${side}-${name}`, name];
    const option = options.find((it) => args.text(it) !== undefined);
    const text = option === undefined ? undefined : args.text(option);
    return option === undefined || text === undefined ? undefined : { option, text };
  };
  const [creds, authFile, folder, verify] = [
    given("creds"),
    given("authfile"),
    given("cert-dir"),
    given("tls-verify"),
  ];
  const retries = args.integer("retry-times", 0, MOST_RETRIES);
  return {
    environment: process.env,
    ...(creds && { credentials: creds.text, credentialsOption: `--${creds.option}` }),
    ...(authFile && { authFile: authFile.text }),
    ...(folder && { certificateFolder: folder.text }),
    ...(verify && { tlsVerify: toBoolean(verify.text, verify.option) }),
    plainHttp: args.flag("plain-http"),
    ...(retries !== undefined && { retries }),
  };
}

function toBoolean(text: string, option: string): boolean {
  if (text === "true" || text === "false") return text === "true";
  throw new DecoderError("USAGE", `--${option} is true or false, not "${text}"`);
}

const noted = new Set<string>();

/** A registry may say the same to several clients of one command. */
export function noteOnce(text: string): void {
  if (noted.has(text)) return;
  noted.add(text);
  note(text);
}

/** A line beside the results, which may be an image on standard output. On a terminal, it replaces the bar. */
export function note(text: string): void {
  const stream = new StandardStream(2);
  stream.show(`${stream.isTTY ? CLEAR_LINE : ""}ctd-decoder: note: ${printable(text)}\n`);
}
