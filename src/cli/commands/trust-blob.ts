import { printable } from "../../text.ts";
import type { FileReport, SignatureFiles } from "../../trust/file/verify-file.ts";
import type { Arguments } from "../arguments.ts";
import type { Command, Options } from "../command.ts";
import { grouped, OUTPUT_OPTIONS } from "../shared-options.ts";
import { CHECK_OPTIONS, IDENTITY_OPTIONS, namedDemand } from "../trust-options.ts";
import type { Ui } from "../ui.ts";

/** The files that hold a signature, as cosign's verify-blob names them. */
export const SIGNATURE_FILE_OPTIONS: Options = grouped("The signature", {
  bundle: { value: "FILE", help: "a Sigstore bundle, or the bundle of cosign 2", alias: "b" },
  signature: { value: "FILE", help: "a signature, base64 or binary", alias: "s" },
  certificate: { value: "FILE", help: "the signer's certificate, PEM or base64 of PEM", alias: "c" },
  "certificate-chain": { value: "FILE", help: "intermediate certificates, PEM" },
  "rfc3161-timestamp": { value: "FILE", help: "an RFC 3161 timestamp as cosign writes it" },
});

/** Options of files: they carry no annotations. */
export const { annotations: _annotations, ...FILE_CHECK_OPTIONS } = CHECK_OPTIONS;

export function signatureFiles(args: Arguments): SignatureFiles {
  const files = {
    bundle: args.text("bundle"),
    signature: args.text("signature"),
    certificate: args.text("certificate"),
    certificateChain: args.text("certificate-chain"),
    timestamp: args.text("rfc3161-timestamp"),
  };
  return Object.fromEntries(Object.entries(files).filter(([, path]) => path !== undefined));
}

export const TRUST_BLOB: Command = {
  name: "trust blob",
  summary: "check that a key or identity has signed a file",
  operands: [{ name: "FILE", completes: "files" }],
  options: {
    ...IDENTITY_OPTIONS,
    ...SIGNATURE_FILE_OPTIONS,
    ...FILE_CHECK_OPTIONS,
    offline: { help: "accepted as in cosign, without effect: no server is contacted" },
    ...OUTPUT_OPTIONS,
  },
  notes: [
    "The signature is in a bundle or in a separate file. A certificate is valid only for minutes. The log entry or timestamp in its bundle shows that it was valid when it signed.",
    "verify-blob is another name of this command, as in cosign.",
  ],
  examples: [
    {
      command: "ctd-decoder trust blob --key cosign.pub --signature app.tar.sig app.tar",
      does: "checks a signature by a key",
    },
    {
      command:
        "ctd-decoder trust blob --bundle kubectl.sigstore.json --certificate-identity krel-trust@k8s-releng-prod.iam.gserviceaccount.com --certificate-oidc-issuer https://accounts.google.com kubectl",
      does: "checks a keyless signature, without Sigstore's servers",
    },
  ],
  async run(args, ui) {
    const { verifyFile } = await import("../../trust/file/verify-file.ts");
    const leaf = await namedDemand(args, { kind: "signature" });
    showReport(ui, await verifyFile(args.operand(0), signatureFiles(args), leaf));
  },
};

function showReport(ui: Ui, report: FileReport): void {
  const { digest, signer, file } = report;
  ui.result(report, () =>
    [digest, `${ui.style.good("trusted")}: ${printable(file)} is signed by ${printable(signer)}`, ""].join(
      "\n",
    ),
  );
  ui.printIfQuiet(digest);
}

/** cosign's name of the same. */
export const VERIFY_BLOB: Command = {
  ...TRUST_BLOB,
  name: "verify-blob",
  summary: "the same as trust blob",
  examples: TRUST_BLOB.examples.map(({ command, does }) => ({
    command: command.replace("trust blob", "verify-blob"),
    does,
  })),
};
