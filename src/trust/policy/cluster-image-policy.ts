import { isObject } from "../../encoding/json.ts";
import type { LogDemand, Requirement, Signer, TextDemand, TrustFile } from "../requirement.ts";
import { decidedWithoutSignatures, leavesOf } from "../requirement-tree.ts";
import { Fields } from "./fields.ts";
import { allOf, anyOf, exactly, materialsOf, unnamedLeaf } from "./keyless.ts";
import type { AdmissionSettings } from "./kubewarden.ts";
import {
  CLUSTER_IMAGE_POLICY,
  type Decision,
  type ImagePlace,
  type Policy,
  type PolicyRule,
} from "./policy.ts";
import { predicateTypeUri } from "./predicate-types.ts";
import { wholeMatch } from "./regexp.ts";
import { ANY_TAG, anyTagForms, matchesWildcard, registriesIn, taggedForms } from "./wildcard.ts";

interface ClusterRule {
  readonly name: string;
  readonly globs: readonly string[];
  readonly requirement: Requirement;
  readonly demands: readonly string[];
}

/**
 * A part of policy-controller's ClusterImagePolicy: globs, keys, keyless identities, static authorities and predicate
 * types. One authority of each matching policy is enough, and every matching policy must hold. A policy with CUE, Rego or
 * anything else is refused.
 * @throws DecoderError CONFIG
 */
export function readClusterImagePolicies(
  values: readonly unknown[],
  where: string,
  settings: AdmissionSettings,
): Policy {
  return new ClusterImagePolicies(
    values.map((it, position) => readOne(it, `${where}: document ${position}`, settings)),
    settings,
  );
}

class ClusterImagePolicies implements Policy {
  readonly format = CLUSTER_IMAGE_POLICY;
  readonly #rules: readonly ClusterRule[];
  readonly #settings: AdmissionSettings;

  constructor(rules: readonly ClusterRule[], settings: AdmissionSettings) {
    this.#rules = rules;
    this.#settings = settings;
  }

  get registries(): readonly string[] {
    return registriesIn(this.#rules.flatMap(({ globs }) => globs));
  }

  tagsOf(): readonly string[] {
    return [ANY_TAG];
  }

  get rules(): readonly PolicyRule[] {
    return this.#rules.map(({ name, globs, demands, requirement }) => ({
      scope: `${name} (${globs.join(", ")})`,
      demands,
      materials: [...leavesOf(requirement)].flatMap(materialsOf),
    }));
  }

  requirementFor(place: ImagePlace): Decision {
    const forms = place.transport === "docker" ? taggedForms(place.name) : [];
    const tagged = place.transport === "docker" ? anyTagForms(place.name) : [];
    const matching = this.#rules.filter((rule) => isFor(rule, [...forms, ...tagged]));
    const requirement = allOf(matching.map((rule) => rule.requirement));
    // A tag that may have been there makes no image acceptable that has no signature.
    const isCertain = matching.some((rule) => isFor(rule, forms));
    if (matching.length === 0 || (!isCertain && decidedWithoutSignatures(requirement) === true))
      return { scope: "no policy", requirement: { kind: this.#settings.unmatched } };
    return { scope: matching.map(({ name }) => name).join(" and "), requirement };
  }
}

function isFor({ globs }: ClusterRule, forms: readonly string[]): boolean {
  return globs.some((glob) => forms.some((form) => matchesWildcard(glob, form, "one path component")));
}

function readOne(value: unknown, where: string, settings: AdmissionSettings): ClusterRule {
  const fields = new Fields(value, where, ["apiVersion", "kind", "metadata", "spec"]);
  const spec = new Fields(fields.value("spec"), `${where}: spec`, ["images", "authorities", "mode"]);
  const mode = spec.text("mode") ?? "enforce";
  if (mode !== "enforce") throw spec.problem(`mode ${JSON.stringify(mode)} would accept what it warns about`);
  const globs = items(spec, "images", ["glob"]).map(readGlob);
  const authorities = items(spec, "authorities", AUTHORITY).map((it) => readAuthority(it, settings));
  if (globs.length === 0 || authorities.length === 0) throw spec.problem("images and authorities are needed");
  return {
    name: nameOf(fields.value("metadata")) ?? where,
    globs,
    requirement: anyOf(authorities),
    demands: authorities.map(describe),
  };
}

/** policy-controller's pkg/apis/glob: it accepts no other character. */
const GLOB = /^[\w\-:/*.@]+$/;
/** Globs that it reads as patterns of Docker Hub. */
const HUB_GLOBS: ReadonlyMap<string, string> = new Map([
  ["*", "index.docker.io/library/*"],
  ["*/*", "index.docker.io/*/*"],
]);

function readGlob(fields: Fields): string {
  const glob = fields.requiredText("glob");
  if (!GLOB.test(glob))
    throw fields.problem(`glob ${JSON.stringify(glob)} has a character that is not supported`);
  return HUB_GLOBS.get(glob) ?? glob;
}

const AUTHORITY = ["name", "key", "keyless", "static", "attestations", "ctlog", "signatureFormat"];

function readAuthority(fields: Fields, settings: AdmissionSettings): Requirement {
  if (fields.has("static")) {
    // policy-controller refuses these fields beside it, because they would demand nothing.
    const beside = AUTHORITY.find((name) => !["name", "static"].includes(name) && fields.has(name));
    if (beside !== undefined) throw fields.problem(`static and ${beside} exclude each other`);
    const it = new Fields(fields.value("static"), `${fields.where}: static`, ["action", "message"]);
    const action = it.requiredText("action");
    if (action !== "pass" && action !== "fail") throw it.problem("action is neither pass nor fail");
    return { kind: action === "pass" ? "accept" : "reject" };
  }
  if (fields.has("key") === fields.has("keyless"))
    throw fields.problem("one of key, keyless and static is needed");
  const ctlog = fields.has("ctlog");
  if (ctlog) new Fields(fields.value("ctlog"), `${fields.where}: ctlog`, ["url"]);
  const signers = fields.has("key") ? [readKey(fields)] : readKeyless(fields);
  const log: LogDemand = { need: fields.has("key") && !ctlog ? "ignored" : "required", keys: [] };
  const predicates = items(fields, "attestations", ["name", "predicateType"]).map((it) =>
    predicateTypeUri(it.requiredText("predicateType")),
  );
  const leaf = (signer: Signer, predicateType: string | undefined) =>
    unnamedLeaf(fields.where, signer, {
      log,
      trustedRoot: settings.trustedRoot,
      statement: predicateType === undefined ? { kind: "signature" } : { kind: "attestation", predicateType },
    });
  const wanted = predicates.length === 0 ? [undefined] : predicates;
  return anyOf(signers.map((signer) => allOf(wanted.map((predicate) => leaf(signer, predicate)))));
}

function readKey(fields: Fields): Signer {
  const key = new Fields(fields.value("key"), `${fields.where}: key`, ["data", "hashAlgorithm"]);
  const hash = key.text("hashAlgorithm") ?? "sha256";
  if (hash !== "sha256") throw key.problem(`hashAlgorithm ${JSON.stringify(hash)} is not supported`);
  return { kind: "keys", keys: [{ ...pem(key, "data"), hasOneKey: true }] };
}

function readKeyless(fields: Fields): readonly Signer[] {
  const where = `${fields.where}: keyless`;
  const keyless = new Fields(fields.value("keyless"), where, ["url", "identities", "ca-cert"]);
  const names = ["issuer", "issuerRegExp", "subject", "subjectRegExp"];
  const identities = items(keyless, "identities", names);
  if (identities.length === 0) throw keyless.problem("identities is needed");
  const authority = keyless.has("ca-cert")
    ? ({ kind: "fulcio", roots: pem(new Fields(keyless.value("ca-cert"), where, ["data"]), "data") } as const)
    : ({ kind: "trusted-root" } as const);
  return identities.map((it) => ({
    kind: "certificate",
    identity: {
      subjects: [{ name: "any", is: textDemand(it, "subject") }],
      issuer: textDemand(it, "issuer"),
    },
    authority,
  }));
}

function textDemand(fields: Fields, name: string): TextDemand {
  const [text, regexp] = [fields.fullText(name), fields.fullText(`${name}RegExp`)];
  if ((text === undefined) === (regexp === undefined))
    throw fields.problem(`exactly one of ${name} and ${name}RegExp is needed`);
  if (text !== undefined) return exactly(text);
  return { kind: "regexp", regexp: wholeMatch(regexp ?? "", `${fields.where}: ${name}RegExp`) };
}

function pem(fields: Fields, name: string): TrustFile {
  return { name: `${fields.where}: ${name}`, bytes: Buffer.from(fields.requiredText(name)) };
}

function items(fields: Fields, name: string, names: readonly string[]): Fields[] {
  return (fields.list(name) ?? []).map(
    (it, position) => new Fields(it, `${fields.where}: ${name}[${position}]`, names),
  );
}

function nameOf(metadata: unknown): string | undefined {
  const name = isObject(metadata) ? metadata["name"] : undefined;
  return typeof name === "string" ? name : undefined;
}

function describe(requirement: Requirement): string {
  if (requirement.kind === "signed-by") return requirement.label;
  if ("of" in requirement)
    return requirement.of.map(describe).join(requirement.kind === "any-of" ? " or " : " and ");
  return requirement.kind;
}
