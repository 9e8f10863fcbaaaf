import { isObject } from "../../encoding/json.ts";
import type { SignedBy, Signer, TrustFile } from "../requirement.ts";
import { Fields } from "./fields.ts";
import { allOf, exactly, keylessSigner, materialsOf, unnamedLeaf } from "./keyless.ts";
import type { Decision, ImagePlace, Policy, PolicyRule } from "./policy.ts";
import { ANY_TAG, matchesWildcard, registriesIn, writtenForms } from "./wildcard.ts";

/** Settings that the formats of admission controllers leave to their users. */
export interface AdmissionSettings {
  /** An image that no entry matches. */
  readonly unmatched: "accept" | "reject";
  /** undefined: the public instance's. */
  readonly trustedRoot: TrustFile | undefined;
}

const GITHUB_ISSUER = "https://token.actions.githubusercontent.com";
const ENTRY = [
  "image",
  "pubKeys",
  "keyless",
  "keylessPrefix",
  "githubActions",
  "certificates",
  "certificateChain",
  "requireRekorBundle",
  "annotations",
];

interface Entry {
  readonly image: string;
  readonly demands: readonly SignedBy[];
}

/**
 * Settings of Kubewarden's verify-image-signatures. Every entry whose pattern matches must hold, with all its signers.
 * @throws DecoderError CONFIG
 */
export function readKubewardenSettings(value: unknown, where: string, settings: AdmissionSettings): Policy {
  const fields = new Fields(value, where, ["signatures", "modifyImagesWithDigest"]);
  const entries = (fields.list("signatures") ?? []).map((it, position) =>
    readEntry(it, `${where}: signatures[${position}]`, settings),
  );
  if (entries.length === 0) throw fields.problem("signatures is empty");
  return new KubewardenPolicy(entries, settings);
}

class KubewardenPolicy implements Policy {
  readonly format = "Kubewarden settings";
  readonly #entries: readonly Entry[];
  readonly #settings: AdmissionSettings;

  constructor(entries: readonly Entry[], settings: AdmissionSettings) {
    this.#entries = entries;
    this.#settings = settings;
  }

  get registries(): readonly string[] {
    return registriesIn(this.#entries.map(({ image }) => image));
  }

  tagsOf(): readonly string[] {
    return [ANY_TAG];
  }

  get rules(): readonly PolicyRule[] {
    return this.#entries.map(({ image, demands }) => ({
      scope: `images ${JSON.stringify(image)}`,
      demands: demands.map(({ label }) => label),
      materials: demands.flatMap(materialsOf),
    }));
  }

  requirementFor(place: ImagePlace): Decision {
    const forms = place.transport === "docker" ? writtenForms(place.name) : [];
    const matching = this.#entries.filter(({ image }) =>
      forms.some((form) => matchesWildcard(image, form, "everything")),
    );
    if (matching.length === 0) return { scope: "no entry", requirement: { kind: this.#settings.unmatched } };
    return {
      scope: matching.map(({ image }) => `images ${JSON.stringify(image)}`).join(" and "),
      requirement: allOf(matching.flatMap(({ demands }) => demands)),
    };
  }
}

function readEntry(value: unknown, where: string, settings: AdmissionSettings): Entry {
  const fields = new Fields(value, where, ENTRY);
  const annotations = readAnnotations(fields);
  const leaf = (label: string, signer: Signer, isLogged: boolean): SignedBy =>
    unnamedLeaf(label, signer, {
      annotations,
      log: { need: isLogged ? "required" : "ignored", keys: [] },
      trustedRoot: settings.trustedRoot,
    });
  const readers: Readonly<Record<string, () => readonly SignedBy[]>> = {
    pubKeys: () =>
      pems(fields, "pubKeys").map((key) =>
        leaf(key.name, { kind: "keys", keys: [{ ...key, hasOneKey: true }] }, false),
      ),
    keyless: () =>
      objects(fields, "keyless", ["issuer", "subject"]).map((it) =>
        leaf(
          it.where,
          keylessSigner(exactly(it.requiredText("subject")), exactly(it.requiredText("issuer"))),
          true,
        ),
      ),
    keylessPrefix: () =>
      objects(fields, "keylessPrefix", ["issuer", "urlPrefix"]).map((it) =>
        leaf(it.where, prefixSigner(it.requiredText("urlPrefix"), it.requiredText("issuer")), true),
      ),
    githubActions: () => {
      const it = new Fields(fields.value("githubActions"), `${where}: githubActions`, ["owner", "repo"]);
      const repository = it.fullText("repo");
      const url = `https://github.com/${it.requiredText("owner")}/${repository ? `${repository}/` : ""}`;
      return [leaf(it.where, prefixSigner(url, GITHUB_ISSUER), true)];
    },
    certificates: () => {
      const chain = readChain(fields);
      const isLogged = fields.boolean("requireRekorBundle") ?? true;
      return pems(fields, "certificates").map((certificate) =>
        leaf(
          certificate.name,
          { kind: "pinned-certificate", certificates: [certificate], ...(chain && { chain }) },
          isLogged,
        ),
      );
    },
  };
  const given = Object.keys(readers).filter((name) => fields.has(name));
  const [kind = ""] = given;
  const demands = readers[kind]?.() ?? [];
  if (given.length !== 1 || demands.length === 0)
    throw fields.problem(`exactly one of ${Object.keys(readers).join(", ")} is needed, and not empty`);
  return { image: fields.requiredText("image"), demands };
}

/** A prefix without a final slash would match `https://github.com/org-of-a-stranger`. */
function prefixSigner(prefix: string, issuer: string): Signer {
  const text = prefix.endsWith("/") ? prefix : `${prefix}/`;
  return keylessSigner({ kind: "prefix", text }, exactly(issuer), "uri");
}

function pems(fields: Fields, name: string): TrustFile[] {
  const value = fields.value(name);
  const texts = typeof value === "string" ? [value] : (fields.texts(name) ?? []);
  return texts.map((text, position) => ({
    name: `${fields.where}: ${name}[${position}]`,
    bytes: Buffer.from(text),
  }));
}

/** Certificates of a chain, in one text or several. */
function readChain(fields: Fields): TrustFile | undefined {
  if ((fields.value("certificateChain") ?? undefined) === undefined) return undefined;
  const parts = pems(fields, "certificateChain");
  const [first] = parts;
  if (first === undefined) throw fields.problem("certificateChain is empty");
  return { name: first.name, bytes: Buffer.from(parts.map(({ bytes }) => Buffer.from(bytes)).join("\n")) };
}

function objects(fields: Fields, name: string, names: readonly string[]): Fields[] {
  return (fields.list(name) ?? []).map(
    (it, position) => new Fields(it, `${fields.where}: ${name}[${position}]`, names),
  );
}

function readAnnotations(fields: Fields): ReadonlyMap<string, string> {
  const value = fields.value("annotations") ?? {};
  if (isObject(value) && Object.values(value).every((it) => typeof it === "string"))
    return new Map(Object.entries(value as Record<string, string>));
  throw fields.problem("annotations is not a map of texts");
}
