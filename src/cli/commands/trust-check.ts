import { statSync } from "node:fs";
import { resolve } from "node:path";
import { DecoderError } from "../../errors.ts";
import * as LIMITS from "../../system-limits.ts";
import { printable } from "../../text.ts";
import type { CheckReport } from "../../trust/check-image.ts";
import type { FileReader } from "../../trust/policy/policy.ts";
import type { Arguments } from "../arguments.ts";
import type { Command } from "../command.ts";
import { noteOnce } from "../registry-options.ts";
import { OUTPUT_OPTIONS } from "../shared-options.ts";
import type { Style } from "../style.ts";
import {
  CHECK_OPTIONS,
  type NamedPolicy,
  namedDemand,
  namedPolicy,
  namesSigner,
  PLACE_OPTIONS,
  POLICY_OPTIONS,
  REGISTRY_OPTIONS,
  registryAccess,
  SIGNER_OPTIONS,
} from "../trust-options.ts";
import type { Ui } from "../ui.ts";

const MILLISECONDS = 1000;

export const TRUST_CHECK: Command = {
  name: "trust check",
  summary: "check that an image's signature satisfies a policy, key or identity",
  operands: [{ name: "IMAGE", completes: "images" }],
  options: {
    ...SIGNER_OPTIONS,
    ...CHECK_OPTIONS,
    ...POLICY_OPTIONS,
    ...PLACE_OPTIONS,
    ...REGISTRY_OPTIONS,
    timeout: { value: "SECONDS", help: "longest wait for the whole check (default 60)" },
    ...OUTPUT_OPTIONS,
  },
  notes: [
    "IMAGE is docker://NAME, NAME or oci:DIR[:TAG]. The command reads signatures of cosign 2 and 3, skopeo, podman and buildah, and GPG signatures in a lookaside folder. It does not contact Sigstore's servers.",
    "With a key or an identity, no image name is compared, as with cosign. With a policy, its rules decide.",
    "The first line of the output is the verified digest: use it instead of a tag.",
  ],
  examples: [
    {
      command: "ctd-decoder trust check --key cosign.pub registry.example.com/app:1.0",
      does: "checks a signature by a key",
    },
    {
      command: "ctd-decoder trust check --policy /etc/containers/policy.json registry.example.com/app:1.0",
      does: "reports whether a node with this policy would accept the image, and why",
    },
  ],
  async run(args, ui) {
    const { checkImage } = await import("../../trust/check-image.ts");
    const { withDeadline } = await import("../../trust/deadline.ts");
    const seconds = args.integer("timeout", 1, LIMITS.trustCheckMs / MILLISECONDS) ?? DEFAULT_SECONDS;
    const wanted = await choose(args);
    const settings = "policy" in wanted ? wanted.settings : undefined;
    const read = "policy" in wanted ? await readerFor(wanted, ui) : undefined;
    const { readRegistriesD, readUsersRegistriesD } = await import("../../trust/find/lookaside.ts");
    const folder = args.text("registries.d");
    // A node's verifier runs as root, so this user's own folders do not count.
    const registries =
      settings === undefined
        ? await readUsersRegistriesD(folder, process.env)
        : await readRegistriesD(folder ?? settings.registriesDir);
    const report = await withDeadline(seconds * MILLISECONDS, (signal) =>
      checkImage(args.operand(0), wanted, {
        access: registryAccess(args),
        folders: [...args.texts("signature-store").map(existing), ...(settings?.signatureStores ?? [])],
        registries,
        signal,
        breakGlass: settings?.breakGlass,
        read,
      }),
    );
    const failure = report.accepted ? undefined : new DecoderError("UNTRUSTED", refusal(report));
    ui.result(report, () => render(report, ui.style), failure);
    ui.printIfQuiet(report.digest);
  },
};

/** A trust.toml is a node's own: its verifier would not find a key beside the policy. */
async function readerFor({ path, settings }: NamedPolicy, ui: Ui): Promise<FileReader> {
  const { readerBeside, readNamed } = await import("../../trust/lint.ts");
  if (settings !== undefined) return readNamed;
  return readerBeside(resolve(path), (file, beside) => {
    if (!ui.isQuiet) noteOnce(`${file} does not exist yet, and ${beside} was used instead`);
  });
}

/** On a command line, a missing folder is a mistake. A node's folder may be filled later. @throws DecoderError CONFIG */
function existing(folder: string): string {
  if (statSync(folder, { throwIfNoEntry: false })?.isDirectory()) return folder;
  throw new DecoderError("CONFIG", `the folder of signatures ${folder} does not exist`, {
    hint: "`ctd-decoder trust fetch IMAGE DIR` makes one",
  });
}

const DEFAULT_SECONDS = 60;
/** Options that have no effect with a policy. Ignoring them would accept what they are meant to refuse. */
const DEMANDS = ["annotations", "insecure-ignore-tlog", "insecure-ignore-sct", "use-signed-timestamps"];

/** The policy, or the one demand that the command line makes. */
async function choose(args: Arguments) {
  const policy = args.text("policy");
  if (policy === undefined && !namesSigner(args))
    throw new DecoderError("USAGE", "no policy, no key and no identity is named", {
      hint: "name a policy with --policy, or a signer with --key, or with --certificate-identity and --certificate-oidc-issuer",
    });
  if (policy === undefined) return await namedDemand(args, { kind: "signature" });
  if (namesSigner(args))
    throw new DecoderError("USAGE", "--policy excludes --key and --certificate-identity");
  const beside = DEMANDS.find((name) => args.texts(name).length > 0);
  if (beside !== undefined)
    throw new DecoderError("USAGE", `--policy excludes --${beside}: the policy has all demands`);
  return await namedPolicy(args, policy);
}

function refusal({ image, scope, reason }: CheckReport): string {
  const where = scope === undefined ? "" : ` (${scope})`;
  return `${image} is not trusted: ${reason}${where}`;
}

function render({ accepted, digest, reason, scope, signatures, ignored }: CheckReport, style: Style): string {
  const lines = signatures.map(({ where, verdict }) =>
    verdict.counts
      ? `  ${style.good("counts")}  ${printable(where)}: ${printable(verdict.signer)}`
      : `  ${style.bad("does not count")}  ${printable(where)}: ${printable(verdict.reason)}`,
  );
  const others = ignored.map(
    (it) => `  ${style.dim("ignored")}  ${printable(it.where)}: ${printable(it.reason)}`,
  );
  const by = scope === undefined ? "" : ` (${printable(scope)})`;
  const head = accepted
    ? [digest, `${style.good("trusted")}: ${printable(reason)}${by}`]
    : [`${style.bad("not trusted")}${by}`];
  return `${[...head, ...lines, ...others].join("\n")}\n`;
}
