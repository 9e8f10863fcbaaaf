import { DecoderError } from "../../errors.ts";
import { printable } from "../../text.ts";
import type { Command } from "../command.ts";
import { note } from "../registry-options.ts";
import { OUTPUT_OPTIONS } from "../shared-options.ts";
import { readSigner, signedPlace, signPlace } from "../signing.ts";
import { annotations, REGISTRY_OPTIONS, registryAccess } from "../trust-options.ts";

const DIGEST_ONLY =
  "by default, a policy accepts this signature only for pulls by digest; to sign for a tag as well, write NAME:TAG@DIGEST";

export const SIGN: Command = {
  name: "sign",
  summary: "sign an image with a key",
  operands: [{ name: "IMAGE", completes: "images" }],
  options: {
    key: {
      value: "FILE",
      help: "a private key, cosign's or PEM; its password from COSIGN_PASSWORD, or appended as :file=FILE, :fd=NUMBER or :pass=TEXT",
      alias: "k",
    },
    "sign-container-identity": {
      value: "NAME",
      help: "the name that the signature is for (default IMAGE's)",
    },
    annotations: {
      value: "NAME=VALUE",
      help: "add an annotation to the signature",
      alias: "a",
      repeats: true,
    },
    recursive: { help: "also sign the platforms of an index", alias: "r" },
    ...REGISTRY_OPTIONS,
    ...OUTPUT_OPTIONS,
  },
  notes: [
    "IMAGE is docker://NAME, NAME or oci:DIR[:TAG]. It gets two signatures: the older form under the tag sha256-HEX.sig, for cosign 2, skopeo, podman and CRI-O, and a Sigstore bundle that refers to it, for cosign 3. Both hold the image's full name, which a policy compares: sign NAME:TAG, or NAME:TAG@DIGEST if the tag may have moved. A signature that the key has already made is not made again.",
    "Encryption changes an image's digest: encrypt first, then sign. Nothing is written to a transparency log. To sign without a key, use cosign.",
  ],
  examples: [
    {
      command: "ctd-decoder sign --key cosign.key registry.example.com/app:1.0",
      does: "signs an image where it is",
    },
    {
      command:
        "ctd-decoder sign --key cosign.key --sign-container-identity registry.example.com/app:1.0 oci:app:1.0",
      does: "signs an image in a layout, under the name that nodes will pull",
    },
  ],
  async run(args, ui) {
    const spec = args.text("key");
    if (spec === undefined) {
      throw new DecoderError("USAGE", "no key is named to sign with", {
        hint: "name one with --key FILE; ctd-decoder keygen --for signing makes one",
      });
    }
    const place = signedPlace(args.operand(0), registryAccess(args), args.text("sign-container-identity"));
    const key = await readSigner(spec);
    const request = {
      key,
      annotations: Object.fromEntries(annotations(args)),
      isRecursive: args.flag("recursive"),
    };
    const result = await ui.work(
      "signing",
      (_progress, signal) => signPlace(place, request, signal),
      "signatures may have been stored: run the command again to complete them",
    );
    ui.result(result, () => {
      const lines = result.signed.map(({ digest, added }) =>
        added.length === 0 ? `${digest} was signed already` : `${digest} signed`,
      );
      return `${lines.join("\n")}\nas ${ui.style.bold(printable(result.name))} with key ${result.key}\n`;
    });
    if (!ui.isQuiet && result.name.includes("@")) note(DIGEST_ONLY);
    ui.printIfQuiet(result.digest);
  },
};
