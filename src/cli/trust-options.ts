import { DecoderError } from "../errors.ts";
import type { RegistryAccess } from "../registry/open.ts";
import type { LoadedPolicy } from "../trust/policy/read-policy.ts";
import type { SignedBy, StatementDemand, TrustFile, WorkflowClaim } from "../trust/requirement.ts";
import type { TrustSettings } from "../trust/settings.ts";
import type { Arguments } from "./arguments.ts";
import type { Options } from "./command.ts";
import { grouped, TLS_VERIFY } from "./shared-options.ts";

/** Options of the trust commands, with cosign's and skopeo's names where these have one. */

/** The settings that an installation writes. The constant of trust/settings.ts is loaded only when needed. */
export const SETTINGS = "/etc/containerd/ctd-decoder/trust.toml";

const WORKFLOW_CLAIMS: readonly WorkflowClaim[] = ["repository", "ref", "sha", "name", "trigger"];

/** One signer, as cosign's flags name one. */
export const IDENTITY_OPTIONS: Options = grouped("Whose signature", {
  key: { value: "FILE", help: "a public key, PEM; any of several is enough", alias: "k", repeats: true },
  "certificate-identity": { value: "NAME", help: "the subject of the signer's certificate" },
  "certificate-identity-regexp": { value: "REGEXP", help: "a pattern that must match the whole subject" },
  "certificate-oidc-issuer": { value: "URL", help: "the issuer of the subject" },
  "certificate-oidc-issuer-regexp": { value: "REGEXP", help: "a pattern that must match the whole issuer" },
  ...Object.fromEntries(
    WORKFLOW_CLAIMS.map((claim) => [
      `certificate-github-workflow-${claim}`,
      { value: "TEXT", help: `the ${claim} of the GitHub workflow that signed` },
    ]),
  ),
});

export const SIGNER_OPTIONS: Options = {
  ...grouped("Whose signature", {
    policy: {
      value: "FILE",
      help: "a policy: containers-policy.json, Kubewarden settings, ClusterImagePolicy; or a trust.toml",
    },
  }),
  ...IDENTITY_OPTIONS,
};

export const CHECK_OPTIONS: Options = grouped("What is required", {
  "trusted-root": {
    value: "FILE",
    help: "Sigstore's trusted root, JSON (default that of its public instance)",
  },
  annotations: {
    value: "NAME=VALUE",
    help: "an annotation that the signature must have",
    alias: "a",
    repeats: true,
  },
  "insecure-ignore-tlog": {
    help: "do not require a transparency log entry (default for keys); =false requires one for keys, too",
  },
  "insecure-ignore-sct": { help: "do not require certificate transparency" },
  "use-signed-timestamps": { help: "require an RFC 3161 timestamp" },
});

export const PLACE_OPTIONS: Options = grouped("Where signatures are", {
  "signature-store": { value: "DIR", help: "a folder of signatures, searched first", repeats: true },
  "registries.d": {
    value: "DIR",
    help: "lookaside folders of GPG signatures (default ~/.config/containers/registries.d, or else /etc/containers/registries.d)",
  },
});

export const POLICY_OPTIONS: Options = grouped("What is required", {
  unmatched: {
    value: "WHAT",
    help: "result for images that no entry of Kubewarden's settings or ClusterImagePolicy matches (default reject)",
    choices: ["accept", "reject"],
  },
  "bundle-identity": {
    value: "WHAT",
    help: "what replaces the image name, which bundles lack (default name: nothing)",
    choices: ["name", "scope"],
  },
});

export const REGISTRY_OPTIONS: Options = grouped("Registry", {
  creds: { value: "USER:PASSWORD", help: "credentials; --authfile hides them from other users" },
  authfile: { value: "FILE", help: "a file of credentials" },
  "cert-dir": { value: "DIR", help: "authorities (*.crt) and client certificates (*.cert, *.key)" },
  "tls-verify": TLS_VERIFY,
  "plain-http": { help: "use plain HTTP without trying TLS" },
});

export function registryAccess(args: Arguments): RegistryAccess {
  const [creds, authFile, certificateFolder] = [
    args.text("creds"),
    args.text("authfile"),
    args.text("cert-dir"),
  ];
  const tlsVerify = args.text("tls-verify");
  return {
    environment: process.env,
    plainHttp: args.flag("plain-http"),
    ...(creds !== undefined && { credentials: creds, credentialsOption: "--creds" }),
    ...(authFile !== undefined && { authFile }),
    ...(certificateFolder !== undefined && { certificateFolder }),
    ...(tlsVerify !== undefined && { tlsVerify: tlsVerify === "true" }),
  };
}

/** @throws DecoderError USAGE for what is not NAME=VALUE */
export function annotations(args: Arguments): ReadonlyMap<string, string> {
  return new Map(
    args.texts("annotations").map((text) => {
      const sign = text.indexOf("=");
      if (sign > 0) return [text.slice(0, sign), text.slice(sign + 1)];
      throw new DecoderError("USAGE", `--annotations takes NAME=VALUE, not "${text}"`);
    }),
  );
}

/** @throws DecoderError BAD_KEY */
export async function trustedRoot(args: Arguments): Promise<TrustFile | undefined> {
  const path = args.text("trusted-root");
  if (path === undefined) return undefined;
  const { readTrustFile } = await import("../trust/policy/trust-file.ts");
  return readTrustFile(path);
}

/** A policy in a file. */
export interface NamedPolicy extends LoadedPolicy {
  readonly path: string;
  /** What the trust.toml that names the policy sets; undefined if the command line names the policy itself. */
  readonly settings: TrustSettings | undefined;
}

/**
 * Reads a policy, or the one that a trust.toml names. An option replaces the setting of the trust.toml.
 * @throws DecoderError CONFIG, LIMIT, BAD_KEY
 */
export async function namedPolicy(args: Arguments, path: string): Promise<NamedPolicy> {
  const { loadPolicy } = await import("../trust/policy/read-policy.ts");
  const { readTrustSettings } = await import("../trust/settings.ts");
  const settings = path.endsWith(".toml") ? readTrustSettings(path) : undefined;
  const file = settings?.policy ?? path;
  const unmatched = args.text("unmatched") ?? settings?.unmatched;
  const identity = args.text("bundle-identity");
  const loaded = await loadPolicy(file, {
    trustedRoot: (await trustedRoot(args)) ?? settings?.trustedRoot,
    unmatched: unmatched === "accept" ? "accept" : "reject",
    scopeIsIdentity: identity === undefined ? settings?.scopeIsIdentity === true : identity === "scope",
  });
  return { ...loaded, path: file, settings };
}

/** Whether the command line names a signer. */
export function namesSigner(args: Arguments): boolean {
  return Object.keys(IDENTITY_OPTIONS).some((name) => args.text(name) !== undefined);
}

/**
 * The one demand that the command line makes.
 * @throws DecoderError USAGE when no signer is named, BAD_KEY, CONFIG
 */
export async function namedDemand(args: Arguments, statement: StatementDemand): Promise<SignedBy> {
  const { signerDemand } = await import("../trust/policy/signer-demand.ts");
  const ignoresLog = args.text("insecure-ignore-tlog");
  const choice = {
    keys: args.texts("key"),
    subject: args.text("certificate-identity"),
    subjectRegexp: args.text("certificate-identity-regexp"),
    issuer: args.text("certificate-oidc-issuer"),
    issuerRegexp: args.text("certificate-oidc-issuer-regexp"),
    workflow: new Map(
      WORKFLOW_CLAIMS.flatMap((claim) => {
        const value = args.text(`certificate-github-workflow-${claim}`);
        return value === undefined ? [] : [[claim, value] as const];
      }),
    ),
  };
  return signerDemand(choice, {
    trustedRoot: await trustedRoot(args),
    annotations: annotations(args),
    isLogRequired: ignoresLog === undefined ? undefined : ignoresLog !== "true",
    isSctRequired: !args.flag("insecure-ignore-sct"),
    isTimestampRequired: args.flag("use-signed-timestamps"),
    statement,
  });
}
