// Turns a case of signature verification into a command of ctd-decoder. Parameter: exe, the executable.
import { copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";

export default function adapter(query) {
  const exe = resolve(query.get("exe") ?? process.env.CTD_DECODER ?? "dist/ctd-decoder");
  return {
    name: "ctd-decoder",
    supports: () => true,
    // Wrong usage says nothing about a signature.
    verdict: ({ status, stderr }) => {
      if (status === 0) return "accept";
      return /^ctd-decoder: hint: usage:|unknown option/m.test(stderr) ? "error" : "refuse";
    },
    command: (call, context) => COMMANDS[call.kind](call, { ...context, exe }),
  };
}

const COMMANDS = {
  image: (call, context) => {
    const env = {};
    const args = [...signer(call), ...demands(call), ...policy(call), ...registry(call, context, env)];
    return { argv: [context.exe, "trust", "check", ...args, call.ref], env };
  },
  attestation: (call, context) => {
    const env = {};
    const args = [...signer(call), ...demands(call), ...predicate(call), ...registry(call, context, env)];
    return { argv: [context.exe, "trust", "attest", ...args, call.ref], env };
  },
  blob: (call, { exe }) => ({
    argv: [exe, "trust", "blob", ...signer(call), ...demands(call), ...files(call), call.blob],
    env: {},
  }),
  "blob-attestation": (call, { exe }) => ({
    argv: [
      exe,
      "trust",
      "attest",
      ...signer(call),
      ...demands(call),
      ...predicate(call),
      ...files(call),
      call.blob,
    ],
    env: {},
  }),
  sums: ({ sums, algorithm, base }, { exe }) => ({
    argv: [exe, "trust", "sums", ...option("--algorithm", algorithm), "--base", base, sums],
    cwd: base,
    env: {},
  }),
};

function signer({ key, keys, identity = {}, trustedRoot }) {
  return [
    ...(keys ?? (key === undefined ? [] : [key])).flatMap((it) => ["--key", it]),
    ...option("--certificate-identity", identity.subject),
    ...option("--certificate-identity-regexp", identity.subjectRegexp),
    ...option("--certificate-oidc-issuer", identity.issuer),
    ...option("--certificate-oidc-issuer-regexp", identity.issuerRegexp),
    ...option("--trusted-root", trustedRoot),
  ];
}

function demands({ tlog, sct, timestamps, annotations = {} }) {
  return [
    ...(tlog === undefined ? [] : [`--insecure-ignore-tlog=${tlog === "ignore"}`]),
    ...(sct === "ignore" ? ["--insecure-ignore-sct"] : []),
    ...(timestamps === "require" ? ["--use-signed-timestamps"] : []),
    ...Object.entries(annotations).flatMap(([name, value]) => ["--annotations", `${name}=${value}`]),
  ];
}

function policy({ policyFile, registriesDir }) {
  return policyFile === undefined ? [] : ["--policy", policyFile, "--registries.d", registriesDir];
}

function predicate({ predicateType, anyPredicate }) {
  return anyPredicate ? ["--type", "any"] : option("--type", predicateType);
}

function files({ signature, certificate, bundle }) {
  return [
    ...option("--signature", signature),
    ...option("--certificate", certificate),
    ...option("--bundle", bundle),
  ];
}

function registry({ insecure, tls, auth, ref }, { tmp }, env) {
  const args = insecure ? ["--plain-http"] : [];
  if (tls?.ca !== undefined) {
    const folder = join(tmp, "certificates");
    mkdirSync(folder, { recursive: true });
    copyFileSync(tls.ca, join(folder, "ca.crt"));
    args.push("--cert-dir", folder);
  }
  if (auth !== undefined) {
    env.DOCKER_CONFIG = join(tmp, "docker");
    mkdirSync(env.DOCKER_CONFIG, { recursive: true });
    const pair = Buffer.from(`${auth.user}:${auth.password}`).toString("base64");
    const auths = { [ref.split("/")[0]]: { auth: pair } };
    writeFileSync(join(env.DOCKER_CONFIG, "config.json"), JSON.stringify({ auths }));
  }
  return args;
}

function option(name, value) {
  return value === undefined ? [] : [name, value];
}
