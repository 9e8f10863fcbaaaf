import { DecoderError } from "../../errors.ts";
import type { RecipientChanges } from "../../image/rewrap.ts";
import { recipientForms } from "../../keywrap/wrap.ts";
import { parseSource } from "../../transport/reference.ts";
import type { Arguments } from "../arguments.ts";
import type { Command } from "../command.ts";
import { FROM_TO, REWRITE_OPTIONS, runRewrite } from "../rewrite.ts";
import { namedKeys, RECIPIENT_OPTION, requiredKeys, WRAP_OPTIONS } from "../shared-options.ts";

export const REWRAP: Command = {
  name: "rewrap",
  summary: "change who can decrypt an image, without encrypting it again",
  operands: FROM_TO,
  options: {
    recipient: { ...RECIPIENT_OPTION, help: `add a recipient: ${recipientForms()}` },
    replace: { value: "OLD=NEW", help: "put the recipient NEW in the place of OLD", repeats: true },
    remove: {
      value: "RECIPIENT",
      help: "remove a recipient: as for --recipient, or SCHEME:ID, or as inspect prints it; needs no key",
      repeats: true,
    },
    only: { help: "remove all recipients except those of --recipient" },
    keep: { help: "keep the present recipients (default)" },
    ...WRAP_OPTIONS,
    ...REWRITE_OPTIONS,
  },
  notes: [
    "The present recipients are kept unless --replace, --remove or --only says otherwise. The result lists who was added, kept and removed. A present recipient is not added twice. It is present if the image has its kid, or its certificate's issuer and serial number: replace an old key by a new one of the same name with --replace.",
    "A removed key does not open the new image by itself. The layers keep their data and their keys, however: anyone who has the old image and a removed key can still read the new image's layers. To revoke access, decrypt the image, encrypt it again, and remove the old image from every registry and node.",
  ],
  examples: [
    {
      command:
        "ctd-decoder rewrap --key old.pem --replace jwe:old.pem.pub=jwe:new.pem.pub oci:app:enc oci:app:enc2",
      does: "replaces one recipient by a new key",
    },
    {
      command: "ctd-decoder rewrap --key old.pem --recipient pgp:ops.asc oci:app:enc oci:app:enc2",
      does: "adds one recipient",
    },
    {
      command: "ctd-decoder rewrap --key old.pem --only --recipient jwe:new.pem.pub oci:app:enc oci:app:enc2",
      does: "makes the new key the only recipient",
    },
  ],
  pipes: "to -",
  run: runRewrite({
    verbs: ["rewrapping", "rewrapped"],
    parseSource,
    async prepare(args, common) {
      const recipients = recipientChanges(args);
      const keys = recipients.added.length > 0 ? await requiredKeys(args) : await namedKeys(args);
      const { rewrapImage } = await import("../../image/rewrap.ts");
      const options = { ...common, ...(keys && { keys }), recipients };
      return async (running) => await rewrapImage({ ...options, running });
    },
  }),
};

/** @throws DecoderError USAGE */
function recipientChanges(args: Arguments): RecipientChanges {
  const pairs = args.texts("replace").map(parseReplacement);
  const added = [...args.texts("recipient"), ...pairs.map(({ by }) => by)];
  const removed = [...args.texts("remove"), ...pairs.map(({ old }) => old)];
  const isOnly = args.flag("only");
  if (isOnly && (removed.length > 0 || args.flag("keep")))
    throw new DecoderError(
      "USAGE",
      "--only removes all other recipients, so it excludes --keep, --remove and --replace",
    );
  if (isOnly && added.length === 0)
    throw new DecoderError("USAGE", "--only needs the recipients that remain: --recipient jwe:FILE");
  if (added.length + removed.length === 0) {
    throw new DecoderError("USAGE", "no change of recipients is named", {
      hint: "add one: --recipient jwe:FILE; --replace and --remove change the others",
    });
  }
  return { added, removed, isOnly };
}

/** Splits OLD=NEW where NEW begins like a recipient: either may contain "=". */
function parseReplacement(text: string): { readonly old: string; readonly by: string } {
  const match = /^(?<old>[a-z0-9]+:.+?)=(?<by>[a-z0-9]+:.+)$/s.exec(text)?.groups;
  if (match !== undefined) return { old: match["old"] ?? "", by: match["by"] ?? "" };
  throw new DecoderError("USAGE", `--replace ${text} is not OLD=NEW`, {
    hint: "both are recipients: --replace jwe:old.pem.pub=jwe:new.pem.pub",
  });
}
