import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { DecoderError } from "../../errors.ts";
import { printable } from "../../text.ts";
import type { AuditedImage } from "../../trust/audit-images.ts";
import type { Command } from "../command.ts";
import { OUTPUT_OPTIONS } from "../shared-options.ts";
import type { Style } from "../style.ts";
import { REGISTRY_OPTIONS, registryAccess, SETTINGS } from "../trust-options.ts";
import { count } from "../units.ts";

const STORE = "/var/lib/containerd/io.containerd.content.v1.content";
const MILLISECONDS = 1000;
const DEFAULT_SECONDS = 60;

export const TRUST_FETCH: Command = {
  name: "trust fetch",
  summary: "copy an image's signatures to a folder, for nodes without a registry",
  operands: [
    { name: "IMAGE", completes: "images" },
    { name: "DIR", completes: "files" },
  ],
  options: { ...REGISTRY_OPTIONS, ...OUTPUT_OPTIONS },
  notes: [
    "This command does not check the signatures. To use them, set DIR as signature_store in trust.toml or as --signature-store.",
  ],
  examples: [
    {
      command: "ctd-decoder trust fetch registry.example.com/app:1.0 signatures",
      does: "fills signatures/sha256-HEX",
    },
  ],
  async run(args, ui) {
    const { fetchSignatures } = await import("../../trust/fetch.ts");
    const { withDeadline } = await import("../../trust/deadline.ts");
    const report = await withDeadline(DEFAULT_SECONDS * MILLISECONDS, (signal) =>
      fetchSignatures(args.operand(0), args.operand(1), registryAccess(args), signal),
    );
    ui.result(report, () =>
      [
        ...report.files.map((path) => `${printable(path)}\n`),
        ...report.ignored.map((it) => `ignored: ${printable(`${it.where}: ${it.reason}`)}\n`),
      ].join(""),
    );
  },
};

export const TRUST_AUDIT: Command = {
  name: "trust audit",
  summary: "check every image in containerd's store against the node's policy",
  operands: [],
  options: {
    settings: { value: "FILE", help: `a trust.toml, or a policy (default ${SETTINGS})` },
    "content-store": { value: "DIR", help: `containerd's content store (default ${STORE})` },
    ...OUTPUT_OPTIONS,
  },
  notes: [
    "containerd does not call a verifier for an image that is already on the node. This command checks the images of all namespaces, and fails if one is not accepted. An image that can't be judged, for example because its registry does not answer, is not accepted.",
  ],
  examples: [
    {
      command: "ctd-decoder trust audit",
      does: "finds images that were pulled before the node had a policy",
    },
  ],
  async run(args, ui) {
    const { auditImages } = await import("../../trust/audit-images.ts");
    const { readGateSettings } = await import("../../trust/settings.ts");
    const named = args.text("settings");
    if (named === undefined && !existsSync(SETTINGS)) {
      throw new DecoderError("CONFIG", `no policy is installed on this node: ${SETTINGS} does not exist`, {
        hint: "ctd-decoder install --trust POLICY installs one; --settings names a policy that is elsewhere",
      });
    }
    const settings = readGateSettings(resolve(named ?? SETTINGS));
    const images: AuditedImage[] = [];
    for await (const it of auditImages(args.text("content-store") ?? STORE, settings, process.env))
      images.push(it);
    const failure = images.every(({ accepted }) => accepted)
      ? undefined
      : new DecoderError("UNTRUSTED", auditFailure(images));
    ui.result(
      { images },
      () =>
        images
          .map((it) => `${auditVerdict(it, ui.style)}  ${printable(it.name)}: ${printable(it.reason)}\n`)
          .join(""),
      failure,
    );
  },
};

function auditVerdict({ accepted, judged }: AuditedImage, style: Style): string {
  if (accepted) return style.good("accepted");
  return style.bad(judged ? "refused" : "not judged");
}

function auditFailure(images: readonly AuditedImage[]): string {
  const refused = images.filter(({ accepted }) => !accepted);
  const unjudged = refused.filter(({ judged }) => !judged).length;
  const also = unjudged === 0 ? "" : `, of which ${unjudged} could not be judged`;
  return `${refused.length} of ${count(images.length, "image")} not accepted${also}`;
}
