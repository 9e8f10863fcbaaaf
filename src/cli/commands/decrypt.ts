import { parseSource } from "../../transport/reference.ts";
import type { Command } from "../command.ts";
import { FROM_TO, REWRITE_OPTIONS, runRewrite } from "../rewrite.ts";
import { requiredKeys } from "../shared-options.ts";

export const DECRYPT: Command = {
  name: "decrypt",
  summary: "decrypt an image's layers into another image",
  operands: FROM_TO,
  options: REWRITE_OPTIONS,
  notes: [
    "Every layer is authenticated. If a layer was forged or cut, the command fails and does not change DEST. ctd-decoder encrypt keeps compressed bytes and the form of compact or indented manifests, so decrypting restores the digests of the original image. Other tools may change them.",
    "SOURCE and DEST are as for ctd-decoder encrypt. DEST may also be docker-archive:FILE[:NAME] if no layer stays encrypted.",
  ],
  examples: [
    {
      command: "ctd-decoder decrypt --key node.pem oci:app:1.0-enc oci:app:1.0",
      does: "decrypts an image with one key",
    },
    {
      command:
        "ctd-decoder decrypt -k node.pem:file=password.txt oci-archive:app.tar - | ctr images import -",
      does: "decrypts with a password-protected key into a pipe",
    },
  ],
  pipes: "to -",
  run: runRewrite({
    verbs: ["decrypting", "decrypted"],
    parseSource,
    async prepare(args, common) {
      const keys = await requiredKeys(args);
      const { decryptImage } = await import("../../image/decrypt.ts");
      return async (running) => await decryptImage({ ...common, keys, running });
    },
  }),
};
