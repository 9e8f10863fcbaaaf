import type { Random } from "../fuzz/random.ts";

/** Policies of containers-policy.json(5) and image names, right and wrong, that have something to do with each other. */

export interface GeneratorPlaces {
  /** `127.0.0.1:5000`: what names and scopes begin with. */
  readonly registry: string;
  /** PEM files of the keys that sign in the registry, and of one that does not. */
  readonly keys: readonly string[];
  /** The same keys in base64, as `keyData` has them. */
  readonly keyDatas: readonly string[];
  /** A file that does not exist. */
  readonly missing: string;
  /** `sha256:<hex>` of the image. */
  readonly digest: string;
}

/** First path component → who signed the images below: see `signersOf` in the registry. */
export const GROUPS = ["a", "a", "b", "b", "ab", "ab", "ab", "none", "moved", "other"] as const;
const TAGS = ["1", "2"] as const;
const IDENTITIES = ["matchExact", "matchRepoDigestOrExact", "matchRepository", "matchRepository"] as const;

export class PolicyGenerator {
  readonly #random: Random;
  readonly #places: GeneratorPlaces;

  constructor(random: Random, places: GeneratorPlaces) {
    this.#random = random;
    this.#places = places;
  }

  name(): string {
    const repository = this.#repository();
    return this.#random.below(4) === 0
      ? `${repository}@${this.#places.digest}`
      : `${repository}:${this.#random.pick(TAGS)}`;
  }

  /** The text of a policy. One in five has a mistake. */
  policy(name: string): string {
    const scopes = Array.from({ length: 1 + this.#random.below(4) }, () => this.#scope(name));
    const docker = Object.fromEntries(scopes.map((scope) => [scope, this.#requirements()]));
    const others =
      this.#random.below(4) === 0
        ? { [this.#random.pick(["oci", "dir", "atomic", "made-up"])]: { "": this.#requirements() } }
        : {};
    const policy = { default: this.#requirements(), transports: { docker, ...others } };
    const text = JSON.stringify(policy);
    return this.#random.below(5) === 0 ? this.#damage(text) : text;
  }

  #repository(): string {
    const { registry } = this.#places;
    const path = [this.#random.pick(GROUPS), this.#random.pick(["app", "app/deep", "x-y_z"])].join("/");
    return `${registry}/${path}`;
  }

  #scope(name: string): string {
    const repository = name.replace(/@.*$|:[^:/]*$/, "");
    const [host = "", group = ""] = repository.split("/");
    const [bare = ""] = host.split(":");
    const labels = bare.split(".");
    return this.#random.pick([
      name,
      repository,
      `${repository}:${this.#random.pick(TAGS)}`,
      `${host}/${group}`,
      host,
      bare,
      `${bare}/${group}`,
      `*.${labels.slice(1).join(".")}`,
      `*.${labels.slice(2).join(".")}`,
      `*.${bare}`,
      `*.${host}`,
      `${host}/${group}/`,
      `${host}/${group.slice(0, 1)}`,
      "",
      "docker.io/library/busybox",
    ]);
  }

  #requirements(): unknown[] {
    return Array.from({ length: 1 + (this.#random.below(4) === 0 ? 1 : 0) }, () => this.#requirement());
  }

  #requirement(): unknown {
    const kind = this.#random.below(10);
    if (kind === 0) return { type: "insecureAcceptAnything" };
    if (kind === 1) return { type: "reject" };
    if (kind === 2) return { type: "signedBy", keyType: "GPGKeys", keyPath: this.#places.missing };
    const identity = this.#random.below(3) === 0 ? {} : { signedIdentity: this.#identity() };
    return { type: "sigstoreSigned", ...this.#keySource(), ...identity };
  }

  #keySource(): object {
    const { keys, keyDatas, missing } = this.#places;
    switch (this.#random.below(6)) {
      case 0:
        return { keyData: this.#random.pick(keyDatas) };
      case 1:
        return { keyPaths: [this.#random.pick(keys), this.#random.pick(keys)] };
      case 2:
        return { keyDatas: [this.#random.pick(keyDatas), this.#random.pick(keyDatas)] };
      case 3:
        return { keyPath: this.#random.below(4) === 0 ? missing : this.#random.pick(keys) };
      default:
        return { keyPath: this.#random.pick(keys) };
    }
  }

  #identity(): object {
    const repository = this.#repository();
    switch (this.#random.below(6)) {
      case 0:
        return { type: "exactReference", dockerReference: `${repository}:${this.#random.pick(TAGS)}` };
      case 1:
        return { type: "exactRepository", dockerRepository: repository };
      case 2: {
        const { registry } = this.#places;
        const prefix = this.#random.pick([registry, `${registry}/${this.#random.pick(GROUPS)}`, repository]);
        const signedPrefix = this.#random.pick([
          registry,
          `${registry}/${this.#random.pick(GROUPS)}`,
          "registry.example.com/x",
          "a/b",
        ]);
        return { type: "remapIdentity", prefix, signedPrefix };
      }
      default:
        return { type: this.#random.pick(IDENTITIES) };
    }
  }

  /** Mistakes that people make, and some that only others would. */
  #damage(text: string): string {
    return this.#random.pick([
      () => `${text} x`,
      () => text.replace(/\}$/, ",}"),
      () => text.replace(/"type":"([a-zA-Z]+)"/, '"type":"$1","type":"$1"'),
      () => text.replace(/"type":"([a-zA-Z]+)"/, '"Type":"$1"'),
      () => text.replace(/"type":"([a-zA-Z]+)"/, '"type":"$1","extra":1'),
      () => text.replace(/"type":"[a-zA-Z]+"/, '"type":"madeUp"'),
      () => text.replace(/"type":"[a-zA-Z]+"/, '"type":null'),
      () => text.replace(/\[\{/, "[").replace(/\}\]/, "]"),
      () => text.replace(/\[\{.*?\}\]/, "[]"),
      () => text.replace(/"keyPath":"([^"]*)"/, '"keyPath":"$1","keyData":null'),
      () => text.replace(/"keyPath":"([^"]*)"/, '"keyPath":"","keyPaths":["$1"]'),
      () => text.replace(/"keyPath":"[^"]*"/, '"keyPath":""'),
      () => text.replace(/"keyPath":"[^"]*"/, '"keyPaths":[]'),
      () => text.replace(/"keyPath":"[^"]*"/, '"keyPath":5'),
      () => text.replace(/"keyData":"/, '"keyData":"*'),
      () => text.replace(/"signedIdentity":\{.*?\}/, '"signedIdentity":null'),
      () => text.replace(/"dockerReference":"([^"]*):[12]"/, '"dockerReference":"$1"'),
      () => text.replace(/"transports"/, '"Transports"'),
      () => text.replace(/"default":.*?,"transports"/, '"transports"'),
      () => text.replace(/"transports":\{/, '"transports":{"docker":{},'),
      () => text.replace(/^\{/, '{"unknown":1,'),
      () => text.replace(/"docker":\{/, '"docker":null,"x":{'),
      () => `\ufeff${text}`,
      () => text.slice(0, -1),
      () => "null",
      () => "[]",
      () => "",
      () => JSON.stringify(JSON.parse(text), null, "\t"),
    ])();
  }
}
