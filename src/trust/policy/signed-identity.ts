import type { SignedIdentity } from "../requirement.ts";
import { Fields } from "./fields.ts";
import { isNamePrefix, parseImageName } from "./image-name.ts";

const DEFAULT: SignedIdentity = { kind: "matchRepoDigestOrExact" };
/** containers-policy.json(5), "signedIdentity": kind → its fields besides `type`. */
const KINDS: ReadonlyMap<string, readonly string[]> = new Map([
  ["matchExact", []],
  ["matchRepoDigestOrExact", []],
  ["matchRepository", []],
  ["exactReference", ["dockerReference"]],
  ["exactRepository", ["dockerRepository"]],
  ["remapIdentity", ["prefix", "signedPrefix"]],
]);

/**
 * @param value of the field; undefined where it is absent
 * @param where for messages
 * @throws DecoderError CONFIG
 */
export function readSignedIdentity(value: unknown, where: string): SignedIdentity {
  if (value === undefined) return DEFAULT;
  const kind = kindOf(value);
  const names = KINDS.get(kind);
  const fields = new Fields(value, where, ["type", ...(names ?? Object.keys(Object(value)))]);
  if (names === undefined) throw fields.problem(`unknown type ${JSON.stringify(kind)}`);
  switch (kind) {
    case "exactReference":
      return { kind, reference: exactReference(fields) };
    case "exactRepository":
      return { kind, repository: exactRepository(fields) };
    case "remapIdentity":
      return { kind, prefix: namePrefix(fields, "prefix"), signedPrefix: namePrefix(fields, "signedPrefix") };
    default:
      return { kind: kind as "matchExact" | "matchRepoDigestOrExact" | "matchRepository" };
  }
}

function kindOf(value: unknown): string {
  const { type } = Object(value) as { type?: unknown };
  return typeof type === "string" ? type : "";
}

function exactReference(fields: Fields): string {
  const text = fields.requiredText("dockerReference");
  const name = parseImageName(text);
  if (name === undefined)
    throw fields.problem(`dockerReference ${JSON.stringify(text)} is not an image reference`);
  if (name.tag !== undefined || name.digest !== undefined) return text;
  throw fields.problem(`dockerReference ${JSON.stringify(text)} has neither a tag nor a digest`);
}

function exactRepository(fields: Fields): string {
  const text = fields.requiredText("dockerRepository");
  if (parseImageName(text) !== undefined) return text;
  throw fields.problem(`dockerRepository ${JSON.stringify(text)} is not a repository`);
}

function namePrefix(fields: Fields, name: string): string {
  const text = fields.requiredText(name);
  if (isNamePrefix(text)) return text;
  throw fields.problem(`${name} ${JSON.stringify(text)} is neither a registry nor a path in one`);
}
