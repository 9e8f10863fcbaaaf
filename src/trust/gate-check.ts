import { ContainerdMetadata } from "../containerd/store/snapshots.ts";
import { DecoderError } from "../errors.ts";
import { parseName, type RegistryName } from "../registry/name.ts";
import * as LIMITS from "../system-limits.ts";
import { verdictBasis } from "./node-basis.ts";
import { checkOnNode } from "./node-check.ts";
import { formatImageName, pulledName } from "./policy/image-name.ts";
import { type LoadedPolicy, loadPolicy } from "./policy/read-policy.ts";
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

class Gate {
  readonly #layer: GatedLayer;
  readonly #settings: TrustSettings;
  readonly #environment: Environment;
  readonly #policy: LoadedPolicy;
  readonly #verdicts: Verdicts;
  readonly #reasons = new Set<string>();
  readonly #asked = new Set<string>();
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
    for (const digest of digests) if (await this.#hasVerdict(digest)) return true;
    // containerd requests the index, so the index is what is signed.
    for (const digest of digests.toReversed()) if (await this.#check(digest)) return true;
    return false;
  }

  refusal(): DecoderError {
    const why = [...this.#reasons].slice(0, SHOWN_REASONS).join("; ");
    return new DecoderError(
      "UNTRUSTED",
      `no image with this layer is trusted: ${why || `no manifest in ${this.#layer.store} names ${this.#layer.digest} with this key`}`,
    );
  }

  async #hasVerdict(digest: string): Promise<boolean> {
    for (const text of this.#verdicts.namesOf(digest)) {
      const place = { transport: "docker", name: pulledName(parseName(text)) } as const;
      const { requirement } = this.#policy.policy.requirementFor(place);
      const basis = verdictBasis(this.#policy.bytes, requirement, this.#settings);
      if ((await this.#verdicts.read(formatImageName(place.name), digest, basis)) !== undefined) return true;
    }
    return false;
  }

  async #check(digest: string): Promise<boolean> {
    const { store, imageReference } = this.#layer;
    const metadata = new ContainerdMetadata(store);
    const sources = metadata.exists ? metadata.namesOf(digest) : [];
    const names = [...sources, ...(imageReference === undefined ? [] : [imageReference])];
    if (names.length === 0) this.#reasons.add(`${digest} was not pulled, so that its name is not known`);
    for (const text of names) if (await this.#isAccepted(text, digest)) return true;
    return false;
  }

  async #isAccepted(text: string, digest: string): Promise<boolean> {
    const parsed = nameIn(text);
    // The CRI plugin also records images by their ID, "sha256:<hex>", which would read as a name of Docker Hub.
    if (parsed === undefined || !text.startsWith(`${parsed.registry}/`)) return false;
    const { registry, repository } = parsed;
    if (await this.#ask({ registry, repository, digest }, text)) return true;
    // containerd's label of a pulled blob leaves the port out. A guessed port must be proved by a signature.
    for (const it of this.#policy.policy.registries) {
      if (!it.startsWith(`${registry}:`)) continue;
      if (await this.#ask({ registry: it, repository, digest }, `${it}/${repository}`, true)) return true;
    }
    return false;
  }

  async #ask(
    name: RegistryName & { readonly digest: string },
    text: string,
    isGuess = false,
  ): Promise<boolean> {
    // Images of one repository differ only in their tags, which the gate does not know to be right.
    const question = JSON.stringify([name, isGuess]);
    if (this.#asked.has(question)) return false;
    this.#asked.add(question);
    if (this.#checks >= LIMITS.gateChecks || performance.now() > this.#end) {
      this.#reasons.add("checking its images takes too long");
      return false;
    }
    try {
      const verdict = await checkOnNode({ name, digest: name.digest }, this.#settings, this.#environment);
      // What the policy rejects by name alone costs nothing. Strangers' names must not crowd out the right one.
      if (verdict.fault !== "policy") this.#checks += 1;
      if (verdict.accepted && (!isGuess || verdict.signer !== undefined)) return true;
      this.#reasons.add(`${text}: ${verdict.reason} (${verdict.scope})`);
    } catch (error) {
      this.#checks += 1;
      if (!(error instanceof DecoderError) || !PASSING.has(error.code)) throw error;
      this.#reasons.add(`${text}: ${error.message}`);
    }
    return false;
  }
}

function nameIn(text: string): RegistryName | undefined {
  try {
    return parseName(text);
  } catch (error) {
    if (error instanceof DecoderError) return undefined;
    throw error;
  }
}

const SHOWN_REASONS = 3;
/** Failures of one name: another may do. */
const PASSING: ReadonlySet<string> = new Set(["REGISTRY", "UNAUTHORIZED", "NOT_FOUND", "USAGE", "LIMIT"]);
