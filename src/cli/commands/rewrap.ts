import { DecoderError } from "../../errors.ts";
import { parseSource } from "../../transport/reference.ts";
import type { Command } from "../command.ts";
import { FROM_TO, REWRITE_OPTIONS, runRewrite } from "../rewrite.ts";
import { RECIPIENT_OPTION, requiredKeys, WRAP_OPTIONS } from "../shared-options.ts";

export const REWRAP: Command = {
  name: "rewrap",
  summary: "change for whom an image is encrypted, without encrypting it anew",
  operands: FROM_TO,
  options: {
    recipient: RECIPIENT_OPTION,
    keep: { help: "keep the recipients that there are, and add the new ones" },
    ...WRAP_OPTIONS,
    ...REWRITE_OPTIONS,
  },
  notes: [
    "Without --keep the recipients named take the place of all others: to remove one, name those that are to stay.",
    "What removal does: whoever gets only the new image can't open it with a removed key. What it does not: the layers keep their data and their keys, so a removed recipient who has the old image, its manifest, or a layer key from it can read the new image's layers too. To lock somebody out of data, decrypt and encrypt it anew, and remove the old image from every registry and node.",
  ],
  examples: [
    {
      command: "ctd-decoder rewrap --key old.pem --recipient jwe:new.pem.pub oci:app:enc oci:app:enc2",
      does: "replaces a key that is to be retired",
    },
    {
      command: "ctd-decoder rewrap --keep --key old.pem --recipient pgp:ops.asc oci:app:enc oci:app:enc2",
      does: "lets one more recipient in",
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
      return async (running) => await rewrapImage({ ...options, ...running });
    },
  }),
};
