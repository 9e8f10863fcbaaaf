import { DecoderError } from "../../errors.ts";
import { parseSource } from "../../transport/reference.ts";
import type { Command } from "../command.ts";
import { FROM_TO, REWRITE_OPTIONS, runRewrite } from "../rewrite.ts";
import { RECIPIENT_OPTION, requiredKeys, WRAP_OPTIONS } from "../shared-options.ts";

export const REWRAP: Command = {
  name: "rewrap",
  summary: "change who can decrypt an image, without encrypting it again",
  operands: FROM_TO,
  options: {
    recipient: RECIPIENT_OPTION,
    keep: { help: "keep the present recipients and add the new ones" },
    ...WRAP_OPTIONS,
    ...REWRITE_OPTIONS,
  },
  notes: [
    "Without --keep, the named recipients replace all others. To remove a recipient, name the ones that stay.",
    "A removed key does not open the new image by itself. The layers keep their data and their keys, however: whoever has the old image and a removed key can still read the new image's layers. To revoke access, decrypt the image, encrypt it again, and remove the old image from every registry and node.",
  ],
  examples: [
    {
      command: "ctd-decoder rewrap --key old.pem --recipient jwe:new.pem.pub oci:app:enc oci:app:enc2",
      does: "replaces all recipients by a new key",
    },
    {
      command: "ctd-decoder rewrap --keep --key old.pem --recipient pgp:ops.asc oci:app:enc oci:app:enc2",
      does: "adds one recipient",
    },
  ],
  run: runRewrite({
    verbs: ["rewrapping", "rewrapped"],
    parseSource,
    async prepare(args, common) {
      const recipients = args.texts("recipient");
      if (recipients.length === 0) {
        throw new DecoderError("USAGE", "no recipient is named", { hint: "name one: --recipient jwe:FILE" });
      }
      const keys = await requiredKeys(args);
      const { rewrapImage } = await import("../../image/rewrap.ts");
      const options = { ...common, keys, recipients, keep: args.flag("keep") };
      return async (running) => await rewrapImage({ ...options, running });
    },
  }),
};
