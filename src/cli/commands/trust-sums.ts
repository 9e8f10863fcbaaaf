import { dirname } from "node:path";
import { DecoderError } from "../../errors.ts";
import * as LIMITS from "../../system-limits.ts";
import { printable } from "../../text.ts";
import type { SumAlgorithm, SumResult } from "../../trust/file/sums.ts";
import type { Arguments } from "../arguments.ts";
import type { Command } from "../command.ts";
import { OUTPUT_OPTIONS } from "../shared-options.ts";
import { IDENTITY_OPTIONS, namedDemand, namesSigner } from "../trust-options.ts";
import { count } from "../units.ts";
import { FILE_CHECK_OPTIONS, SIGNATURE_FILE_OPTIONS, signatureFiles } from "./trust-blob.ts";

const WORDS: Readonly<Record<SumResult["result"], string>> = {
  matches: "OK",
  differs: "the sum does not match",
  missing: "no such file",
  unreadable: "can't be read",
};

export const TRUST_SUMS: Command = {
  name: "trust sums",
  summary: "compare files with a checksum file, and check its signature if demanded",
  operands: [{ name: "FILE", completes: "files" }],
  options: {
    algorithm: {
      value: "HASH",
      help: "hash of the checksums (default sha256)",
      choices: ["sha256", "sha512"],
    },
    base: { value: "DIR", help: "the folder of the files (default that of FILE)" },
    "ignore-missing": { help: "skip missing files; at least one file must exist" },
    ...IDENTITY_OPTIONS,
    ...SIGNATURE_FILE_OPTIONS,
    ...FILE_CHECK_OPTIONS,
    ...OUTPUT_OPTIONS,
  },
  notes: [
    "Reads the format of sha256sum and sha512sum, and the format of the BSDs. Every line must be a checksum, empty or a comment (#), so that no file is silently unchecked. A name that points outside the folder is refused.",
    "With a key or an identity, FILE itself must be signed. Unsigned checksums show damage, but not who made the files.",
  ],
  examples: [
    { command: "ctd-decoder trust sums SHA256SUMS", does: "compares the files in the folder of SHA256SUMS" },
    {
      command: "ctd-decoder trust sums --key release.pub --signature SHA256SUMS.sig SHA256SUMS",
      does: "first checks the signature of the checksums",
    },
  ],
  async run(args, ui) {
    const file = args.operand(0);
    const { readWhole } = await import("../../trust/file/file.ts");
    const { compareSums, readSums } = await import("../../trust/file/sums.ts");
    const algorithm: SumAlgorithm = args.text("algorithm") === "sha512" ? "sha512" : "sha256";
    // Read once: what is compared is what was signed.
    const bytes = readWhole(file, LIMITS.sumsBytes);
    const signer = await signerOf(args, { name: file, bytes });
    const sums = readSums(bytes, algorithm, file);
    const all = compareSums(sums, algorithm, args.text("base") ?? dirname(file));
    const results = args.flag("ignore-missing") ? all.filter(({ result }) => result !== "missing") : all;
    const report = { file, algorithm, ...(signer !== undefined && { signer }), results };
    ui.result(
      report,
      () =>
        [
          ...results.map(({ name, result }) => {
            const { good, bad } = ui.style;
            return `${printable(name)}: ${(result === "matches" ? good : bad)(WORDS[result])}\n`;
          }),
          ...(signer === undefined ? [] : [`${printable(file)} is signed by ${printable(signer)}\n`]),
        ].join(""),
      failureOf(results, file),
    );
  },
};

/** @throws DecoderError UNTRUSTED when the sums are not signed as the command line demands */
async function signerOf(
  args: Arguments,
  sums: { readonly name: string; readonly bytes: Uint8Array },
): Promise<string | undefined> {
  const files = signatureFiles(args);
  if (!namesSigner(args) && Object.keys(files).length === 0) return undefined;
  const { verifyBytes } = await import("../../trust/file/verify-file.ts");
  return (await verifyBytes(sums, files, await namedDemand(args, { kind: "signature" }))).signer;
}

function failureOf(results: readonly SumResult[], file: string): DecoderError | undefined {
  const [first, ...others] = results.filter(({ result }) => result !== "matches");
  if (results.length === 0)
    return new DecoderError("UNTRUSTED", `no file of ${file} was found: nothing was checked`);
  if (first === undefined) return undefined;
  const more = others.length === 0 ? "" : `, and ${count(others.length, "more file")} failed`;
  return new DecoderError("UNTRUSTED", `${first.name}: ${WORDS[first.result]}${more}`);
}
