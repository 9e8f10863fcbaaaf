import { isObject } from "../../encoding/json.ts";
import { DecoderError } from "../../errors.ts";
import { isTag } from "../../registry/name.ts";
import * as LIMITS from "../../system-limits.ts";
import type { Requirement } from "../requirement.ts";
import { type ContainersRule, readRequirement } from "./containers-requirement.ts";
import { Fields } from "./fields.ts";
import { repositoryOf } from "./image-name.ts";
import type { Decision, FileReader, ImagePlace, Policy, PolicyRule } from "./policy.ts";
import { scopeProblem, scopesOf } from "./scopes.ts";
import { readTrustFile } from "./trust-file.ts";

/** Requirements of one scope: all must hold. */
type Rules = readonly ContainersRule[];
type Scopes = ReadonlyMap<string, Rules>;

/** What trust.toml adds to the format. */
export interface ContainersSettings {
  /** `bundle_identity = "scope"`: a scope that is a repository stands for the identity that bundles lack. */
  readonly scopeIsIdentity: boolean;
}

/**
 * containers-policy.json(5), as strict as containers/image: an unknown, repeated or malformed field refuses the file.
 * @param value of the file, which has no name twice in an object
 * @param where `policy /etc/containers/policy.json`
 * @throws DecoderError CONFIG, LIMIT
 */
export function readContainersPolicy(value: unknown, where: string, settings: ContainersSettings): Policy {
  const fields = new Fields(value, where, ["default", "transports"]);
  if (!fields.has("default")) throw fields.problem("default is missing");
  const fallback = readRules(fields.value("default"), `${where}: default`);
  const transports = readTransports(fields, where);
  return new ContainersPolicy(fallback, transports, settings);
}

class ContainersPolicy implements Policy {
  readonly format = "containers-policy.json";
  readonly #default: Rules;
  readonly #transports: ReadonlyMap<string, Scopes>;
  readonly #settings: ContainersSettings;

  constructor(fallback: Rules, transports: ReadonlyMap<string, Scopes>, settings: ContainersSettings) {
    this.#default = fallback;
    this.#transports = transports;
    this.#settings = settings;
  }

  get registries(): readonly string[] {
    const scopes = [...(this.#transports.get("docker")?.keys() ?? [])];
    return [...new Set(scopes.map((scope) => scope.split("/")[0] ?? ""))].filter((it) => it !== "");
  }

  tagsOf(repository: string): readonly string[] {
    const scopes = [...(this.#transports.get("docker")?.keys() ?? [])];
    const tags = scopes.flatMap((it) =>
      it.startsWith(`${repository}:`) ? it.slice(repository.length + 1) : [],
    );
    return tags.filter(isTag);
  }

  get rules(): readonly PolicyRule[] {
    const rows: PolicyRule[] = [];
    for (const [transport, scopes] of this.#transports)
      for (const [scope, rules] of scopes) rows.push(describeRules(scopeName(transport, scope), rules));
    return [...rows, describeRules("default", this.#default)];
  }

  requirementFor(place: ImagePlace, read: FileReader = readTrustFile): Decision {
    const scopes = this.#transports.get(place.transport);
    const scope = scopesOf(place).find((it) => scopes?.has(it));
    const rules = scope === undefined ? this.#default : (scopes?.get(scope) ?? []);
    const use = { scopeIsIdentity: this.#settings.scopeIsIdentity && isRepositoryDeep(place, scope), read };
    return {
      scope: scope === undefined ? "default" : scopeName(place.transport, scope),
      requirement: allOf(rules.map((rule) => rule.compile(use))),
    };
  }
}

function allOf(of: readonly Requirement[]): Requirement {
  const [only] = of;
  return of.length === 1 && only !== undefined ? only : { kind: "all-of", of };
}

function isRepositoryDeep(place: ImagePlace, scope: string | undefined): boolean {
  if (place.transport !== "docker" || scope === undefined) return false;
  const repository = repositoryOf(place.name);
  return scope === repository || scope.startsWith(`${repository}:`) || scope.startsWith(`${repository}@`);
}

function describeRules(scope: string, rules: Rules): PolicyRule {
  return {
    scope,
    demands: rules.map(({ description }) => description),
    materials: rules.flatMap(({ materials }) => materials),
  };
}

function scopeName(transport: string, scope: string): string {
  return scope === "" ? `every other ${transport} image` : `${transport} scope "${scope}"`;
}

function readTransports(fields: Fields, where: string): ReadonlyMap<string, Scopes> {
  if (!fields.has("transports")) return new Map();
  const transports = members(fields.value("transports"), `${where}: transports`);
  let count = 0;
  return new Map(
    transports.map(([transport, value]) => {
      const place = `${where}: transports.${transport}`;
      const scopes = members(value, place);
      count += scopes.length;
      if (count > LIMITS.policyScopes)
        throw new DecoderError("LIMIT", `${where}: it has more than ${LIMITS.policyScopes} scopes`);
      return [
        transport,
        new Map(scopes.map(([scope, rules]) => [scope, readScope(transport, scope, rules, place)])),
      ];
    }),
  );
}

function readScope(transport: string, scope: string, rules: unknown, where: string): Rules {
  const place = `${where}[${JSON.stringify(scope)}]`;
  const problem = scope === "" ? undefined : scopeProblem(transport, scope);
  if (problem !== undefined) throw new DecoderError("CONFIG", `${place}: ${problem}`);
  return readRules(rules, place);
}

function readRules(value: unknown, where: string): Rules {
  if (!Array.isArray(value) || value.length === 0)
    throw new DecoderError("CONFIG", `${where}: it is not a list of one or more requirements`);
  return value.map((it, position) => readRequirement(it, `${where}[${position}]`));
}

function members(value: unknown, where: string): [string, unknown][] {
  if (!isObject(value)) throw new DecoderError("CONFIG", `${where}: it is not an object`);
  return Object.entries(value);
}
