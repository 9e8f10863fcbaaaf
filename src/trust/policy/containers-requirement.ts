import type {
  CertificateAuthority,
  CertificateIdentity,
  LogDemand,
  Requirement,
  SignedBy,
  SignedIdentity,
  Signer,
  SubjectDemand,
  TrustFile,
} from "../requirement.ts";
import { Fields } from "./fields.ts";
import { load, loadKeys, type MaterialSource, materialsOf, readSource } from "./material-source.ts";
import type { FileReader, Material } from "./policy.ts";
import { readSignedIdentity } from "./signed-identity.ts";

/** One requirement of containers-policy.json(5), checked; the files it names are read when it applies. */
export interface ContainersRule {
  /** `sigstoreSigned, keyPath /etc/keys/a.pub, matchRepository` */
  readonly description: string;
  readonly materials: readonly Material[];
  /** @throws DecoderError BAD_KEY */
  compile(use: RuleUse): Requirement;
}

interface RuleUse {
  /** Whether the scope, a repository or one image of it, stands for the identity that bundles lack. */
  readonly scopeIsIdentity: boolean;
  readonly read: FileReader;
}

const KEY_FIELDS = ["keyPath", "keyPaths", "keyData", "keyDatas"];
const REKOR_FIELDS = [
  "rekorPublicKeyPath",
  "rekorPublicKeyPaths",
  "rekorPublicKeyData",
  "rekorPublicKeyDatas",
];
/** Only the first is implemented by containers/image; a policy with another is valid, and rejects. */
const GPG_KEY_TYPES = ["GPGKeys", "signedByGPGKeys", "X509Certificates", "signedByX509CAs"];

/** @throws DecoderError CONFIG */
export function readRequirement(value: unknown, where: string): ContainersRule {
  const { type } = Object(value) as { type?: unknown };
  switch (type) {
    case "insecureAcceptAnything":
      new Fields(value, where, ["type"]);
      return plainRule(type, { kind: "accept" });
    case "reject":
      new Fields(value, where, ["type"]);
      return plainRule(type, { kind: "reject" });
    case "signedBaseLayer": {
      const fields = new Fields(value, where, ["type", "baseLayerIdentity"]);
      readSignedIdentity(fields.value("baseLayerIdentity") ?? null, `${where}: baseLayerIdentity`);
      return plainRule(type, { kind: "reject" });
    }
    case "signedBy":
      return readSignedBy(value, where);
    case "sigstoreSigned":
      return readSigstoreSigned(value, where);
    default:
      throw new Fields(value, where, Object.keys(Object(value))).problem(
        `unknown requirement type ${JSON.stringify(type)}`,
      );
  }
}

function plainRule(description: string, requirement: Requirement): ContainersRule {
  return { description, materials: [], compile: () => requirement };
}

function readSignedBy(value: unknown, where: string): ContainersRule {
  const names = ["keyPath", "keyPaths", "keyData"];
  const fields = new Fields(value, where, ["type", "keyType", "signedIdentity", ...names]);
  const keyType = fields.requiredText("keyType");
  if (!GPG_KEY_TYPES.includes(keyType)) throw fields.problem(`unknown keyType ${JSON.stringify(keyType)}`);
  // Unlike sigstoreSigned, containers/image counts a field here that is empty.
  const given = names.filter((name) => fields.has(name));
  const keys = given.length === 1 ? readSource(fields, names) : undefined;
  if (keys === undefined) throw fields.problem(`exactly one of ${names.join(", ")} is needed`);
  const identity = readSignedIdentity(fields.value("signedIdentity"), `${where}: signedIdentity`);
  if (keyType !== GPG_KEY_TYPES[0]) return plainRule(`signedBy, keyType ${keyType}`, { kind: "reject" });
  const description = describe("signedBy", keys, identity);
  return {
    description,
    materials: materialsOf("keyring", keys),
    compile: ({ read }) => leaf(description, { kind: "gpg", keyrings: load(keys, read) }, identity, {}),
  };
}

function readSigstoreSigned(value: unknown, where: string): ContainersRule {
  const names = ["type", "fulcio", "pki", "signedIdentity", ...KEY_FIELDS, ...REKOR_FIELDS];
  const fields = new Fields(value, where, names);
  refuseEmptyLists(fields, ["keyPaths", "keyDatas", "rekorPublicKeyPaths", "rekorPublicKeyDatas"]);
  const keys = readSource(fields, KEY_FIELDS);
  const rekor = readSource(fields, REKOR_FIELDS);
  const certificate = fields.has("fulcio")
    ? readFulcio(fields.value("fulcio"), `${where}: fulcio`)
    : fields.has("pki")
      ? readPki(fields.value("pki"), `${where}: pki`)
      : undefined;
  const kinds = [keys !== undefined, fields.has("fulcio"), fields.has("pki")].filter((it) => it).length;
  if (kinds !== 1) throw fields.problem(`exactly one of ${KEY_FIELDS.join(", ")}, fulcio and pki is needed`);
  if (fields.has("fulcio") && rekor === undefined)
    throw fields.problem("fulcio needs a rekorPublicKey field");
  if (fields.has("pki") && rekor !== undefined) throw fields.problem("pki takes no rekorPublicKey field");
  const identity = readSignedIdentity(fields.value("signedIdentity"), `${where}: signedIdentity`);
  const description = describe("sigstoreSigned", keys ?? certificate?.source, identity);
  return {
    description,
    materials: [
      ...materialsOf("keys", keys),
      ...(certificate?.materials ?? []),
      ...materialsOf("keys", rekor),
    ],
    compile: ({ scopeIsIdentity, read }) =>
      leaf(
        description,
        keys ? { kind: "keys", keys: loadKeys(keys, read) } : required(certificate).signer(read),
        identity,
        {
          scopeIsIdentity,
          ...(rekor && { log: { need: "required", keys: loadKeys(rekor, read) } }),
        },
      ),
  };
}

interface CertificateRule {
  readonly source: MaterialSource;
  readonly materials: readonly Material[];
  signer(read: FileReader): Signer;
}

function readFulcio(value: unknown, where: string): CertificateRule {
  const names = ["caPath", "caData"];
  const fields = new Fields(value, where, [...names, "oidcIssuer", "subjectEmail"]);
  const roots = readSource(fields, names);
  if (roots === undefined) throw fields.problem("caPath or caData is needed");
  const identity: CertificateIdentity = {
    subjects: [exact("email", fields.requiredText("subjectEmail"))],
    issuer: { kind: "exact", text: fields.requiredText("oidcIssuer") },
  };
  return certificateRule(roots, undefined, identity, (files) => ({ kind: "fulcio", roots: files }));
}

function readPki(value: unknown, where: string): CertificateRule {
  const [rootNames, middleNames] = [
    ["caRootsPath", "caRootsData"],
    ["caIntermediatesPath", "caIntermediatesData"],
  ];
  const fields = new Fields(value, where, [...rootNames, ...middleNames, "subjectEmail", "subjectHostname"]);
  const roots = readSource(fields, rootNames);
  if (roots === undefined) throw fields.problem("caRootsPath or caRootsData is needed");
  const [email, hostname] = [fields.text("subjectEmail"), fields.text("subjectHostname")];
  const subjects = [...(email ? [exact("email", email)] : []), ...(hostname ? [exact("dns", hostname)] : [])];
  if (subjects.length === 0) throw fields.problem("subjectEmail or subjectHostname is needed");
  const middle = readSource(fields, middleNames);
  return certificateRule(roots, middle, { subjects }, (files, intermediates) => ({
    kind: "pki",
    roots: files,
    ...(intermediates && { intermediates }),
  }));
}

function certificateRule(
  roots: MaterialSource,
  intermediates: MaterialSource | undefined,
  identity: CertificateIdentity,
  authority: (roots: TrustFile, intermediates: TrustFile | undefined) => CertificateAuthority,
): CertificateRule {
  return {
    source: roots,
    materials: [...materialsOf("certificates", roots), ...materialsOf("certificates", intermediates)],
    signer: (read) => ({
      kind: "certificate",
      identity,
      authority: authority(required(load(roots, read)[0]), intermediates && load(intermediates, read)[0]),
    }),
  };
}

function exact(name: SubjectDemand["name"], text: string): SubjectDemand {
  return { name, is: { kind: "exact", text } };
}

function refuseEmptyLists(fields: Fields, names: readonly string[]): void {
  // Go distinguishes null from an absent field here, and treats null as an empty list.
  const empty = names.find((name) => fields.has(name) && (fields.list(name) ?? []).length === 0);
  if (empty !== undefined) throw fields.problem(`${empty} is empty`);
}

function leaf(
  label: string,
  signer: Signer,
  identity: SignedIdentity,
  { log, scopeIsIdentity = false }: { log?: LogDemand; scopeIsIdentity?: boolean },
): SignedBy {
  const takesScope = identity.kind === "matchRepository" || identity.kind === "matchRepoDigestOrExact";
  return {
    kind: "signed-by",
    label,
    signer,
    log: log ?? { need: "ignored", keys: [] },
    // containers/image checks no certificate transparency and no timestamps.
    sct: "ignored",
    timestamps: "accepted",
    annotations: new Map(),
    statement: { kind: "signature" },
    identity,
    acceptsNamelessBundle: scopeIsIdentity && takesScope,
  };
}

function describe(type: string, source: MaterialSource | undefined, identity: SignedIdentity): string {
  const from = source === undefined ? "" : `, ${source.field} ${source.paths.join(" ")}`.trimEnd();
  return `${type}${from}, ${identity.kind}`;
}

function required<T>(value: T | undefined): T {
  if (value === undefined) throw new Error("bug: a checked field is missing");
  return value;
}
