import { isObject } from "../../encoding/json.ts";
import { parseJson, writeJson } from "../../encoding/json-document.ts";
import { DecoderError } from "../../errors.ts";
import * as LIMITS from "../../system-limits.ts";
import type { SignedBy } from "../../trust/requirement.ts";
import type { Arguments } from "../arguments.ts";
import type { Command } from "../command.ts";
import { OUTPUT_OPTIONS } from "../shared-options.ts";
import {
  CHECK_OPTIONS,
  IDENTITY_OPTIONS,
  namedDemand,
  PLACE_OPTIONS,
  REGISTRY_OPTIONS,
  registryAccess,
} from "../trust-options.ts";
import { SIGNATURE_FILE_OPTIONS, signatureFiles } from "./trust-blob.ts";

const MILLISECONDS = 1000;
const DEFAULT_SECONDS = 60;
const ANY = "any";
const PUBLIC_MODE = 0o644;

/** A verified attestation. */
interface Attestation {
  readonly digest: string;
  readonly signer: string;
  readonly statement: Uint8Array;
}

export const TRUST_ATTEST: Command = {
  name: "trust attest",
  summary: "check an attestation of an image or file, and print its predicate",
  operands: [{ name: "IMAGE|FILE", completes: "images" }],
  options: {
    type: {
      value: "TYPE",
      help: "predicate type: spdx, cyclonedx, slsaprovenance, slsaprovenance1, vuln, openvex, custom, a URI, or any",
    },
    output: { value: "FILE", help: "write the predicate to a file", alias: "o" },
    ...IDENTITY_OPTIONS,
    ...SIGNATURE_FILE_OPTIONS,
    ...CHECK_OPTIONS,
    ...PLACE_OPTIONS,
    ...REGISTRY_OPTIONS,
    timeout: { value: "SECONDS", help: "longest wait for the whole check (default 60)" },
    ...OUTPUT_OPTIONS,
  },
  notes: [
    "With --bundle or --signature the attestation is of a FILE. Otherwise it is of an IMAGE in a registry or layout, with attestations by cosign 2 or 3. At least one must have the demanded signer and type. If there are several, each predicate is printed.",
    "Types have cosign's names: slsaprovenance is version 0.2, slsaprovenance1 version 1. An attestation does not count as a signature, nor a signature as an attestation.",
  ],
  examples: [
    {
      command: "ctd-decoder trust attest --type spdx --key cosign.pub registry.example.com/app:1.0",
      does: "prints the image's SBOM",
    },
    {
      command:
        "ctd-decoder trust attest --type slsaprovenance1 --key cosign.pub --bundle app.intoto.json app.tar",
      does: "prints how a file was built",
    },
  ],
  async run(args, ui) {
    const type = args.text("type");
    if (type === undefined) {
      throw new DecoderError("USAGE", "no predicate type is named", {
        hint: "name it with --type spdx, cyclonedx, slsaprovenance1 or a URI; --type any takes all",
      });
    }
    const { predicateTypeUri } = await import("../../trust/policy/predicate-types.ts");
    const predicateType = type === ANY ? undefined : predicateTypeUri(type);
    const leaf = await namedDemand(args, { kind: "attestation", predicateType });
    const isFile = args.text("bundle") !== undefined || args.text("signature") !== undefined;
    const found = isFile ? [await ofFile(args, leaf)] : await ofImage(args, leaf);
    const attestations = found.map(({ statement, ...rest }) => ({ ...rest, ...readPredicate(statement) }));
    const text = Buffer.concat(attestations.map(({ predicate }) => predicateText(predicate)));
    const output = args.text("output");
    if (output !== undefined) {
      const { writeDurably } = await import("../../io/staging.ts");
      await writeDurably(output, [text], { mode: PUBLIC_MODE });
    }
    if (ui.isJson) ui.result({ attestations }, () => "");
    else if (output === undefined) ui.print(text.toString());
  },
};

async function ofFile(args: Arguments, leaf: SignedBy): Promise<Attestation> {
  const { verifyFile } = await import("../../trust/file/verify-file.ts");
  const { digest, signer, statement } = await verifyFile(args.operand(0), signatureFiles(args), leaf);
  if (statement === undefined) throw new Error("bug: an attestation without a statement counts");
  return { digest, signer, statement };
}

async function ofImage(args: Arguments, leaf: SignedBy): Promise<Attestation[]> {
  const { checkImage } = await import("../../trust/check-image.ts");
  const { withDeadline } = await import("../../trust/deadline.ts");
  const seconds = args.integer("timeout", 1, LIMITS.trustCheckMs / MILLISECONDS) ?? DEFAULT_SECONDS;
  const { readUsersRegistriesD } = await import("../../trust/find/lookaside.ts");
  const registries = await readUsersRegistriesD(args.text("registries.d"), process.env);
  const report = await withDeadline(seconds * MILLISECONDS, (signal) =>
    checkImage(args.operand(0), leaf, {
      access: registryAccess(args),
      folders: args.texts("signature-store"),
      registries,
      signal,
    }),
  );
  const { accepted, image, digest, reason, signatures } = report;
  if (!accepted) throw new DecoderError("UNTRUSTED", `${image} is not attested as demanded: ${reason}`);
  return signatures.flatMap(({ verdict }) =>
    verdict.counts && verdict.statement !== undefined
      ? [{ digest, signer: verdict.signer, statement: verdict.statement }]
      : [],
  );
}

/** The verified statement has been parsed before; this reading keeps the digits of its numbers. */
function readPredicate(statement: Uint8Array): { predicateType: unknown; predicate: unknown } {
  const { value } = parseJson(statement);
  const { predicateType, predicate } = isObject(value) ? value : {};
  return { predicateType, predicate: predicate ?? null };
}

/** cosign keeps SPDX's tag-value form, which is not JSON, as a text. */
function predicateText(predicate: unknown): Uint8Array {
  if (typeof predicate === "string") return Buffer.from(predicate);
  return writeJson(predicate, { indent: "  ", tail: "\n", escapesHtml: false });
}
