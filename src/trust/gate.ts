import { documentsNaming, type StoredDocument } from "../containerd/store/documents.ts";
import { layersIn, type NamedLayer } from "../containerd/store/manifests.ts";
import { namesOf } from "../containerd/store/sources.ts";
import { goField, parseJsonObject } from "../encoding/json.ts";
import { DecoderError } from "../errors.ts";
import * as LIMITS from "../limits.ts";
import { parseName, type RegistryName } from "../registry/name.ts";
import { verdictBasis } from "./node-basis.ts";
import { formatImageName, pulledName } from "./policy/image-name.ts";
import { type LoadedPolicy, loadPolicy } from "./policy/read-policy.ts";
import { readGateSettings, type TrustSettings } from "./settings.ts";
import { Verdicts } from "./verdicts.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** A layer that is about to be decrypted. */
interface GatedLayer {
  readonly digest: string;
  /** containerd's content store. */
  readonly store: string;
  /** The image's name as containerd's own annotation has it, where that is believed. */
  readonly imageReference: string | undefined;
}

/**
 * Checks that a manifest which the policy accepts, or one of an index that it accepts, names the layer in this way. Another
 * manifest's descriptor must not be used: anybody can write a manifest that names this layer with a key of his own.
 * @param isMeant whether a manifest's descriptor of the layer is the one that is about to be used
 * @param policyFile a policy, or a trust.toml
 * @throws DecoderError UNTRUSTED if no such manifest exists; CONFIG, BAD_KEY
 */
export async function requireTrusted(
  layer: GatedLayer,
  isMeant: (descriptor: NamedLayer) => boolean,
  policyFile: string,
  environment: Environment,
): Promise<void> {
  const settings = readGateSettings(policyFile);
  const gate = new Gate(layer, settings, environment, await loadPolicy(settings.policy, settings));
  for await (const manifest of documentsNaming(layer.store, layer.digest)) {
    if (layersIn(manifest.bytes, layer.digest).some(isMeant) && (await gate.accepts(manifest))) return;
  }
  throw gate.refusal();
}

class Gate {
  readonly #layer: GatedLayer;
  readonly #settings: TrustSettings;
  readonly #environment: Environment;
  readonly #policy: LoadedPolicy;
  readonly #verdicts: Verdicts;
  readonly #reasons = new Set<string>();
  #checks = 0;

  constructor(layer: GatedLayer, settings: TrustSettings, environment: Environment, policy: LoadedPolicy) {
    this.#layer = layer;
    this.#settings = settings;
    this.#environment = environment;
    this.#policy = policy;
    this.#verdicts = new Verdicts(settings.verdictDir, settings.verdictLifeMs);
  }

  /** Whether a manifest, or an index that names it, is accepted: by an earlier verdict first. */
  async accepts(manifest: StoredDocument): Promise<boolean> {
    if (await this.#hasVerdict(manifest.digest)) return true;
    const roots = [manifest.digest];
    for await (const index of documentsNaming(this.#layer.store, manifest.digest)) {
      if (!namesManifest(index, manifest.digest)) continue;
      if (await this.#hasVerdict(index.digest)) return true;
      roots.push(index.digest);
    }
    // containerd requests the index, so the index is what is signed.
    for (const root of roots.reverse()) if (await this.#check(root)) return true;
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
    const sources = namesOf(store, digest);
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
    this.#checks += 1;
    if (this.#checks > LIMITS.gateChecks) return false;
    const { checkOnNode } = await import("./node-check.ts");
    try {
      const verdict = await checkOnNode({ name, digest: name.digest }, this.#settings, this.#environment);
      if (verdict.accepted && (!isGuess || verdict.signer !== undefined)) return true;
      this.#reasons.add(`${text}: ${verdict.reason} (${verdict.scope})`);
    } catch (error) {
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

/** An index's own entries: that a document mentions a digest somewhere else says nothing. */
function namesManifest({ bytes }: StoredDocument, digest: string): boolean {
  const manifests = goField(parseJsonObject(bytes), "manifests");
  return Array.isArray(manifests) && manifests.some((it) => goField(it, "digest") === digest);
}
