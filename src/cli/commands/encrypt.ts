import { DecoderError } from "../../errors.ts";
import type { LayerCompression } from "../../image/build.ts";
import type { EncryptOptions } from "../../image/encrypt.ts";
import type { Platform } from "../../spec/manifest.ts";
import { parseMaterial, parseSource } from "../../transport/reference.ts";
import type { FilesReference, SourceReference } from "../../transport/transport.ts";
import type { Arguments } from "../arguments.ts";
import type { Command } from "../command.ts";
import { transportSettings } from "../registry-options.ts";
import { type CommonOptions, FROM_TO, REWRITE_OPTIONS, runRewrite } from "../rewrite.ts";
import { namedKeys, RECIPIENT_OPTION, WRAP_OPTIONS } from "../shared-options.ts";
import { readSigner, signedPlace, signPlace } from "../signing.ts";

const USUAL_LEVEL = 6;

export const ENCRYPT: Command = {
  name: "encrypt",
  summary: "encrypt an image's layers",
  operands: FROM_TO,
  options: {
    recipient: RECIPIENT_OPTION,
    "add-recipient": {
      ...RECIPIENT_OPTION,
      help: "add a recipient to layers that are already encrypted, without changing their data; needs --key",
      alias: "a",
    },
    base: {
      value: "IMAGE",
      help: "leave the layers of this public base image plain",
    },
    "all-platforms": { help: "all platforms of an index (the default)" },
    compression: {
      value: "KIND",
      help: "compression of the layers before encryption; default keep, but gzip for docker-archive:, rootfs: and tar:",
      choices: ["keep", "gzip", "none"],
    },
    "compression-level": { value: "N", help: "gzip level from 1 (fast) to 9 (small); default 6" },
    entrypoint: {
      value: "COMMAND",
      help: "entry point of an image made from rootfs: or tar:, as a program or a JSON list",
    },
    "sign-by": {
      value: "FILE",
      help: "sign the encrypted image with this private key, as ctd-decoder sign does",
    },
    "sign-container-identity": {
      value: "NAME",
      help: "the name that the signature is for (default DEST's, if it is docker://)",
    },
    ...WRAP_OPTIONS,
    ...REWRITE_OPTIONS,
  },
  notes: [
    "SOURCE is docker://HOST/NAME[:TAG], oci:DIR[:TAG], oci-archive:FILE[:TAG], docker-archive:FILE[:NAME], or - for an archive on standard input. The first three may also end in @DIGEST. rootfs:DIR and tar:FILE make an image with one layer. DEST is docker://HOST/NAME[:TAG], oci:DIR[:TAG], oci-archive:FILE[:TAG], or - for an archive on standard output.",
    "If a chosen layer cannot be encrypted, the command fails and does not change DEST. Attestations and signatures in an index are not encrypted. If they name an image by its digest, they get the new digest. zstd layers keep their compression.",
    "Encryption does not show who made an image: sign the new digest, and verify that signature. Include a recipient of your own: to rewrap the image later, you need a private key that opens it.",
    "Leave the layers of a public base plain with --base or --except-base. Encrypting them hides nothing, and on a node of several tenants it can keep other tenants' images on the same base from starting (docs/tenants.md).",
  ],
  examples: [
    {
      command: "ctd-decoder encrypt --recipient jwe:node.pem.pub oci:app:1.0 oci:app:1.0-enc",
      does: "encrypts all layers of all platforms for one key",
    },
    {
      command:
        "ctd-decoder encrypt -r jwe:node.pem.pub docker://registry.example/app:1.0 docker://registry.example/app:1.0-enc",
      does: "encrypts an image from one tag of a registry to another",
    },
    {
      command:
        "ctd-decoder encrypt -r jwe:a.pem.pub -r pgp:ops@example.com -l -1 oci:app oci-archive:app.tar:enc",
      does: "encrypts only the last layer, for two recipients, into an archive",
    },
    {
      command:
        "ctd-decoder encrypt --recipient jwe:node.pem.pub --entrypoint /hello rootfs:./files oci:hello:enc",
      does: "makes an encrypted image from a folder",
    },
    {
      command:
        "ctd-decoder encrypt -r jwe:node.pem.pub --base docker://docker.io/library/debian:13 oci:app oci:app:enc",
      does: "encrypts only the layers above a public base image",
    },
    {
      command: "ctd-decoder encrypt --add-recipient jwe:new.pem.pub --key old.key oci:app:enc oci:app:enc2",
      does: "lets one more key open an encrypted image",
    },
  ],
  pipes: "to -",
  run: runRewrite({
    verbs: ["encrypting", "encrypted"],
    parseSource: parseMaterial,
    async prepare(args, common) {
      const options = { ...common, ...encryptOptions(args, common) };
      const keys = await namedKeys(args);
      const sign = await signer(args);
      const { encryptImage } = await import("../../image/encrypt.ts");
      return async (running) => {
        const result = await encryptImage({ ...options, ...(keys && { keys }), running });
        return sign === undefined ? result : { ...result, ...(await sign(result.digest, running.signal)) };
      };
    },
  }),
};

/**
 * Prepares the signing of the encrypted image, if requested. Every error is found before anything is encrypted.
 * @throws DecoderError USAGE, BAD_KEY
 */
async function signer(args: Arguments) {
  const spec = args.text("sign-by");
  if (spec === undefined) return undefined;
  const access = transportSettings(args, "dest").registry;
  const placeOf = (digest?: string) =>
    signedPlace(args.operand(1), access, args.text("sign-container-identity"), digest);
  placeOf();
  const key = await readSigner(spec);
  return async (digest: string, signal?: AbortSignal) => {
    const request = { key, annotations: {}, isRecursive: false, digest };
    const signed = await signPlace(placeOf(digest), request, signal);
    return { signedAs: signed.name, signedBy: signed.key };
  };
}

type OwnOptions = Pick<
  EncryptOptions,
  "recipients" | "addRecipients" | "selection" | "base" | "compression" | "build"
>;

function encryptOptions(
  args: Arguments,
  { source, selection }: CommonOptions<SourceReference | FilesReference>,
): OwnOptions {
  const isBuilt = source.kind === "files";
  const [recipients, addRecipients] = [args.texts("recipient"), args.texts("add-recipient")];
  if (recipients.length + addRecipients.length === 0) {
    throw new DecoderError("USAGE", "no recipient is named", {
      hint: "name one: --recipient jwe:FILE",
    });
  }
  if (args.flag("all-platforms") && selection.platforms.length > 0) {
    throw new DecoderError("USAGE", "--all-platforms and --platform contradict each other");
  }
  const base = args.text("base");
  if (base !== undefined && (selection.layers.length > 0 || selection.exceptBase > 0))
    throw new DecoderError("USAGE", "--base, --layer and --except-base exclude each other");
  return {
    recipients,
    addRecipients,
    ...(base !== undefined && { base: parseSource(base, transportSettings(args, "src")) }),
    selection: isBuilt ? { ...selection, platforms: [] } : selection,
    compression: {
      kind: args.text("compression") as LayerCompression | undefined,
      level: args.integer("compression-level", 1, 9) ?? USUAL_LEVEL,
    },
    build: {
      entrypoint: entrypoint(args.text("entrypoint")),
      platform: builtPlatform(isBuilt ? selection.platforms : []),
    },
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
    // Not JSON: same error as for JSON of another type.
  }
  throw new DecoderError("USAGE", "--entrypoint takes a program or a JSON list of strings", {
    hint: `for example --entrypoint '["/bin/app", "--serve"]'`,
  });
}

/** Node's name of a processor → Go's, which images use. */
const ARCHITECTURES: ReadonlyMap<string, string> = new Map([
  ["x64", "amd64"],
  ["ia32", "386"],
]);

/** The platform of an image made from files: --platform, else Linux on the processor of this machine. */
function builtPlatform(platforms: readonly string[]): Platform {
  const [platform = `linux/${ARCHITECTURES.get(process.arch) ?? process.arch}`, ...more] = platforms;
  const [os, architecture, variant, ...rest] = platform.split("/");
  if (!os || !architecture || rest.length > 0 || more.length > 0) {
    throw new DecoderError(
      "USAGE",
      "an image made from rootfs: or tar: is for one platform, such as --platform linux/arm64",
    );
  }
  return { os, architecture, ...(variant && { variant }) };
}
