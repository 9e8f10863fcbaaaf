import { ContainerdMetadata } from "../containerd/store/snapshots.ts";
import { DecoderError } from "../errors.ts";
import { formatName, parseName, type RegistryName, repositoryName } from "../registry/name.ts";
import * as LIMITS from "../system-limits.ts";
import { verdictBasis } from "./node-basis.ts";
import { checkOnNode, type NodeImage } from "./node-check.ts";
import { formatImageName, pulledName } from "./policy/image-name.ts";
import { type LoadedPolicy, loadPolicy } from "./policy/read-policy.ts";
import { portFor } from "./policy/wildcard.ts";
import { readGateSettings, type TrustSettings } from "./settings.ts";
import { Verdicts } from "./verdicts.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** A layer that is about to be decrypted. */
export interface GatedLayer {
  readonly digest: string;
  /** containerd's content store. */
  readonly store: string;
  /** The image's name as containerd's own annotation has it, where that is believed. */
  readonly imageReference: string | undefined;
}

/**
 * Checks by the policy that one of the images with a layer is accepted.
 * @param images each a manifest's digest, followed by those of the indexes that name it
 * @param policyFile absolute path of a policy or a trust.toml
 * @throws DecoderError UNTRUSTED, CONFIG, BAD_KEY
 */
export async function requireAccepted(
  layer: GatedLayer,
  images: readonly (readonly string[])[],
  policyFile: string,
  environment: Environment,
): Promise<void> {
  const settings = readGateSettings(policyFile);
  const gate = new Gate(layer, settings, environment, await loadPolicy(settings.policy, settings));
  for (const digests of images) if (await gate.accepts(digests)) return;
  throw gate.refusal();
}

/** How a name is accepted: by a signature, or by the policy without one. */
type Answer = "signed" | "unsigned" | "refused";

class Gate {
  readonly #layer: GatedLayer;
  readonly #settings: TrustSettings;
  readonly #environment: Environment;
  readonly #policy: LoadedPolicy;
  readonly #verdicts: Verdicts;
  readonly #reasons = new Set<string>();
  readonly #asked = new Map<string, Answer>();
  readonly #end = performance.now() + LIMITS.gateMs;
  #checks = 0;

  constructor(layer: GatedLayer, settings: TrustSettings, environment: Environment, policy: LoadedPolicy) {
    this.#layer = layer;
    this.#settings = settings;
    this.#environment = environment;
    this.#policy = policy;
    this.#verdicts = new Verdicts(settings.verdictDir, settings.verdictLifeMs);
  }

  /** Whether a manifest, or an index that names it, is accepted: by an earlier verdict first. */
  async accepts(digests: readonly string[]): Promise<boolean> {
    for (const digest of digests) if (this.#hasVerdict(digest)) return true;
    // containerd requests the index, so the index is what is signed.
    for (const digest of digests.toReversed()) if (await this.#check(digest)) return true;
    return false;
  }

  refusal(): DecoderError {
    const why = [...this.#reasons].slice(0, SHOWN_REASONS).join("; ");
    return new DecoderError(
      "UNTRUSTED",
      `no image with this layer is trusted: ${why || `no manifest in ${this.#layer.store} names ${this.#layer.digest} with this key`}`,
      {
        hint: `sign the image; ctd-decoder trust check --policy ${this.#settings.policy} IMAGE shows why a signature does not count`,
      },
    );
  }

  #hasVerdict(digest: string): boolean {
    for (const text of this.#verdicts.namesOf(digest)) {
      const known = fullName(text);
      // A verdict for any tag is for nothing that is a name.
      if (known === undefined) continue;
      const place = { transport: "docker", name: pulledName(known) } as const;
      const { requirement } = this.#policy.policy.requirementFor(place);
      const basis = verdictBasis(this.#policy.bytes, requirement, this.#settings);
      if (this.#verdicts.read(formatImageName(place.name), digest, basis) !== undefined) return true;
    }
    return false;
  }

  async #check(digest: string): Promise<boolean> {
    const { store, imageReference } = this.#layer;
    const metadata = new ContainerdMetadata(store);
    const names = metadata.exists ? metadata.namesOf(digest) : [];
    if (names.length === 0 && imageReference === undefined)
      this.#reasons.add(`${digest} was not pulled, so that its name is not known`);
    for (const text of names) {
      const name = fullName(text);
      if (name && (await this.#isAccepted([name.registry, ...this.#withPorts(name)], name, digest)))
        return true;
    }
    const named = imageReference === undefined ? undefined : fullName(imageReference);
    if (named === undefined) return false;
    const tags = named.tag === undefined ? [] : [named.tag];
    return await this.#isAccepted([named.registry], named, digest, tags);
  }

  /** containerd's label of a pulled blob leaves the port out: the image may be of any port that the policy names. */
  #withPorts({ registry }: RegistryName): readonly string[] {
    const ports = this.#policy.policy.registries.flatMap((it) => portFor(registry, it) ?? []);
    return ports.map((port) => `${registry}:${port}`);
  }

  /**
   * Whether a signature is found under one of the names that the image may have, or none of them needs one.
   * @param tags undefined if the image may have any
   */
  async #isAccepted(
    registries: readonly string[],
    { repository }: RegistryName,
    digest: string,
    tags?: readonly string[],
  ): Promise<boolean> {
    const answers: Answer[] = [];
    for (const registry of registries) {
      for await (const answer of this.#answers({ registry, repository }, digest, tags)) {
        if (answer === "signed") return true;
        answers.push(answer);
      }
    }
    return !answers.includes("refused");
  }

  /**
   * The image is asked about by its digest. Where that needs no signature, one of its tags may need one. Where it does, a tag's
   * signature does not replace it.
   */
  async *#answers(
    name: Pick<RegistryName, "registry" | "repository">,
    digest: string,
    tags = this.#policy.policy.tagsOf(repositoryName(name)),
  ): AsyncGenerator<Answer> {
    const answer = await this.#ask({ name: { ...name, digest }, digest });
    yield answer;
    if (answer !== "unsigned") return;
    for (const tag of tags) yield await this.#ask({ name: { ...name, tag }, digest });
  }

  async #ask(image: NodeImage): Promise<Answer> {
    const question = `${formatName(image.name)} ${image.digest}`;
    const answer = this.#asked.get(question) ?? (await this.#judge(image));
    this.#asked.set(question, answer);
    return answer;
  }

  async #judge(image: NodeImage): Promise<Answer> {
    if (this.#checks >= LIMITS.gateChecks || performance.now() > this.#end) {
      this.#reasons.add("checking its images takes too long");
      return "refused";
    }
    const text = repositoryName(image.name);
    try {
      const verdict = await checkOnNode(image, this.#settings, this.#environment);
      // What the policy decides by name alone costs nothing. Strangers' names must not crowd out the right one.
      if (verdict.accepted && verdict.signer === undefined) return "unsigned";
      if (verdict.fault !== "policy") this.#checks += 1;
      if (verdict.accepted) return "signed";
      this.#reasons.add(`${text}: ${verdict.reason} (${verdict.scope})`);
    } catch (error) {
      this.#checks += 1;
      if (!(error instanceof DecoderError) || !PASSING.has(error.code)) throw error;
      this.#reasons.add(`${text}: ${error.message}`);
    }
    return "refused";
  }
}

/** @returns undefined for what is not a name with its registry */
function fullName(text: string): RegistryName | undefined {
  try {
    const name = parseName(text);
    // The CRI plugin also records images by their ID, "sha256:<hex>", which would read as a name of Docker Hub.
    return text.startsWith(`${name.registry}/`) ? name : undefined;
  } catch (error) {
    if (error instanceof DecoderError) return undefined;
    throw error;
  }
}

const SHOWN_REASONS = 3;
/** Failures of one name: another may do. */
const PASSING: ReadonlySet<string> = new Set(["REGISTRY", "UNAUTHORIZED", "NOT_FOUND", "USAGE", "LIMIT"]);
