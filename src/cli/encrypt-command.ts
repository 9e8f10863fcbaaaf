import { DecoderError } from "../errors.ts";
import type { EncryptOptions, TargetCompression } from "../image/encrypt.ts";
import { type Place, parsePlace, parseTarget } from "../oci/reference.ts";
import type { Platform } from "../spec/manifest.ts";
import type { Arguments } from "./arguments.ts";
import type { Command } from "./command.ts";
import { checkOutput, printRewrite } from "./rewrite-result.ts";
import {
  KEY_OPTIONS,
  namedKeys,
  OUTPUT_OPTIONS,
  RECIPIENT_OPTION,
  SELECTION_OPTIONS,
  schemeSettings,
  selection,
  TARGET_OPTIONS,
  WRAP_OPTIONS,
} from "./shared-options.ts";
import { Ui } from "./ui.ts";

const USUAL_LEVEL = 6;

export const ENCRYPT: Command = {
  name: "encrypt",
  summary: "encrypt an image's layers",
  operands: [
    { name: "SOURCE", completes: "files" },
    { name: "DEST", completes: "files" },
  ],
  options: {
    recipient: RECIPIENT_OPTION,
    "add-recipient": {
      ...RECIPIENT_OPTION,
      help: "one more recipient for layers that are encrypted already (needs --key); their data stays",
    },
    ...SELECTION_OPTIONS,
    "all-platforms": { help: "every platform of an index (default)" },
    compression: {
      value: "KIND",
      help: "of the layers before encryption; default keep, and gzip for docker-archive:, rootfs: and tar:",
      choices: ["keep", "gzip", "none"],
    },
    "compression-level": { value: "N", help: "of gzip, from 1 (fast) to 9 (small); default 6" },
    entrypoint: { value: "COMMAND", help: "of an image made from rootfs: or tar:, a program or a JSON list" },
    ...TARGET_OPTIONS,
    ...KEY_OPTIONS,
    ...WRAP_OPTIONS,
    ...OUTPUT_OPTIONS,
  },
  notes: [
    "SOURCE is oci:DIR[:TAG], oci-archive:FILE[:TAG], docker-archive:FILE[:NAME], or - for an archive on standard input; rootfs:DIR and tar:FILE make a one-layer image. DEST is oci:DIR[:TAG], oci-archive:FILE[:TAG], or - for standard output.",
    "Afterwards every chosen layer is encrypted, or the command has failed and DEST is as it was. Attestations and signatures of an index stay readable; those that name an image by its digest follow it to the new one. zstd layers keep their compression.",
  ],
  examples: [
    {
      command: "ctd-decoder encrypt --recipient jwe:node.pub.pem oci:app:1.0 oci:app:1.0-enc",
      does: "encrypts all layers of all platforms for the holder of one key",
    },
    {
      command:
        "ctd-decoder encrypt --recipient jwe:a.pem --recipient pgp:ops@example.com --layer -1 oci:app oci-archive:app.tar:enc",
      does: "encrypts the last layer only, for two recipients, into an archive",
    },
    {
      command:
        "ctd-decoder encrypt --recipient jwe:node.pub.pem --entrypoint /hello rootfs:./files oci:hello:enc",
      does: "makes an encrypted image of a folder",
    },
    {
      command: "ctd-decoder encrypt --add-recipient jwe:new.pem --key old.key oci:app:enc oci:app:enc2",
      does: "lets one more key open an encrypted image",
    },
  ],
  async run(args) {
    const [source, target] = [parsePlace(args.operand(0)), parseTarget(args.operand(1))];
    const ui = new Ui(args, target.path === "-");
    checkOutput(target);
    const keys = await namedKeys(args);
    const { encryptImage } = await import("../image/encrypt.ts");
    const options = {
      ...encryptOptions(args, source),
      target,
      ...(keys && { keys }),
    };
    const result = await ui.work("encrypting", (progress, signal) =>
      encryptImage({ ...options, progress, signal }),
    );
    printRewrite(ui, "encrypted", target, result);
  },
};

type FromArguments = Omit<EncryptOptions, "target" | "progress" | "keys">;

function encryptOptions(args: Arguments, source: Place): FromArguments {
  const isBuilt = source.kind === "rootfs" || source.kind === "tar";
  // Docker saves layers uncompressed, and what is encrypted can't be compressed any more.
  const compression = isBuilt || source.kind === "docker-archive" ? "gzip" : "keep";
  const [recipients, addRecipients] = [args.texts("recipient"), args.texts("add-recipient")];
  if (recipients.length + addRecipients.length === 0) {
    throw new DecoderError("USAGE", "no recipient is named to encrypt for", {
      hint: "name one: --recipient jwe:FILE",
    });
  }
  const chosen = selection(args);
  return {
    source,
    recipients,
    addRecipients,
    replace: args.flag("force"),
    settings: schemeSettings(args),
    selection: isBuilt ? { ...chosen, platforms: [] } : chosen,
    compression: (args.text("compression") ?? compression) as TargetCompression,
    compressionLevel: args.integer("compression-level", 1, 9) ?? USUAL_LEVEL,
    build: { entrypoint: entrypoint(args.text("entrypoint")), platform: builtPlatform(chosen.platforms) },
  };
}

/** A JSON list, or a program alone, as in a Dockerfile. @throws DecoderError USAGE */
function entrypoint(text: string | undefined): string[] {
  if (text === undefined) return [];
  if (!text.startsWith("[")) return [text];
  try {
    const list: unknown = JSON.parse(text);
    if (Array.isArray(list) && list.every((part) => typeof part === "string")) return list;
  } catch {
    // The same as for a list of something else.
  }
  throw new DecoderError("USAGE", "--entrypoint takes a program, or a JSON list of texts", {
    hint: `for example --entrypoint '["/bin/app", "--serve"]'`,
  });
}

/** Node's names of processors → Go's, which images use. */
const ARCHITECTURES: ReadonlyMap<string, string> = new Map([
  ["x64", "amd64"],
  ["ia32", "386"],
]);

/** The platform of an image that is made here: linux, and the processor of this machine, unless told otherwise. */
function builtPlatform(platforms: readonly string[]): Platform {
  const [platform = `linux/${ARCHITECTURES.get(process.arch) ?? process.arch}`, ...more] = platforms;
  const [os, architecture, variant, ...rest] = platform.split("/");
  if (!os || !architecture || rest.length > 0 || more.length > 0) {
    throw new DecoderError(
      "USAGE",
      "an image made from rootfs: or tar: has one platform, such as --platform linux/arm64",
    );
  }
  return { os, architecture, ...(variant && { variant }) };
}
