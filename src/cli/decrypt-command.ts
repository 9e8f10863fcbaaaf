import { parsePlace, parseTarget } from "../oci/reference.ts";
import type { Command } from "./command.ts";
import { checkOutput, printRewrite } from "./rewrite-result.ts";
import {
  KEY_OPTIONS,
  OUTPUT_OPTIONS,
  requiredKeys,
  SELECTION_OPTIONS,
  schemeSettings,
  selection,
  TARGET_OPTIONS,
} from "./shared-options.ts";
import { Ui } from "./ui.ts";

export const DECRYPT: Command = {
  name: "decrypt",
  summary: "decrypt an image's layers into another image",
  operands: [
    { name: "SOURCE", completes: "files" },
    { name: "DEST", completes: "files" },
  ],
  options: { ...KEY_OPTIONS, ...SELECTION_OPTIONS, ...TARGET_OPTIONS, ...OUTPUT_OPTIONS },
  notes: [
    "Every layer is authenticated; if one is not what was encrypted, DEST stays as it was. Where the encrypting tool kept the compressed bytes and the manifest's form, as this one does, the result has the very digests of the image that was encrypted.",
  ],
  examples: [
    {
      command: "ctd-decoder decrypt --key node.pem oci:app:1.0-enc oci:app:1.0",
      does: "decrypts an image with one key",
    },
    {
      command:
        "ctd-decoder decrypt --key node.pem:file=password.txt oci-archive:app.tar - | ctr images import -",
      does: "decrypts with a password-protected key, into a pipe",
    },
  ],
  async run(args) {
    const [source, target] = [parsePlace(args.operand(0)), parseTarget(args.operand(1))];
    const ui = new Ui(args, target.path === "-");
    checkOutput(target);
    const keys = await requiredKeys(args);
    const { decryptImage } = await import("../image/decrypt.ts");
    const options = {
      source,
      target,
      keys,
      replace: args.flag("force"),
      settings: schemeSettings(args),
      selection: selection(args),
    };
    const result = await ui.work("decrypting", (progress, signal) =>
      decryptImage({ ...options, progress, signal }),
    );
    printRewrite(ui, "decrypted", target, result);
  },
};
