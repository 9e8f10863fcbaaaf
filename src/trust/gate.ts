import { documentsNaming, type StoredDocument } from "../containerd/store/documents.ts";
import { layersIn, type NamedLayer } from "../containerd/store/manifests.ts";
import { namesOf } from "../containerd/store/sources.ts";
import { goField, parseJsonObject } from "../encoding/json.ts";
import { DecoderError } from "../errors.ts";
import { LIMITS } from "../limits.ts";
import { parseName } from "../registry/name.ts";
import { verdictBasis } from "./node-basis.ts";
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
 * The descriptors of a layer in manifests that the policy accepts, or that belong to an index that it accepts. No others
 * may be used: anybody can write a manifest that names this layer with a key of his own.
 * @param policyFile a policy, or a trust.toml
 * @throws DecoderError UNTRUSTED when no accepted manifest names the layer; CONFIG, BAD_KEY
 */
export async function trustedDescriptors(
  layer: GatedLayer,
  policyFile: string,
  environment: Environment,
): Promise<readonly NamedLayer[]> {
  const settings = readGateSettings(policyFile);
  const gate = new Gate(layer, settings, environment, await loadPolicy(settings.policy, settings));
  const trusted: NamedLayer[] = [];
  for (const manifest of documentsNaming(layer.store, layer.digest)) {
    const descriptors = layersIn(manifest.bytes, layer.digest);
    if (descriptors.length > 0 && (await gate.accepts(manifest))) trusted.push(...descriptors);
    // One accepted manifest is enough: further ones would be others' images that share the layer.
    if (trusted.length > 0) return trusted;
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
    if (this.#hasVerdict(manifest.digest)) return true;
    const roots = [manifest.digest];
    for (const index of documentsNaming(this.#layer.store, manifest.digest)) {
      if (!namesManifest(index, manifest.digest)) continue;
      if (this.#hasVerdict(index.digest)) return true;
      roots.push(index.digest);
    }
    // containerd is asked for the index, so that is what is signed.
    for (const root of roots.reverse()) if (await this.#check(root)) return true;
    return false;
  }

  refusal(): DecoderError {
    const why = [...this.#reasons].slice(0, SHOWN_REASONS).join("; ");
    return new DecoderError(
      "UNTRUSTED",
      `no image with this layer is trusted: ${why || `no manifest in ${this.#layer.store} names ${this.#layer.digest}`}`,
    );
  }

  #hasVerdict(digest: string): boolean {
    return this.#verdicts.namesOf(digest).some((text) => {
      const place = { transport: "docker", name: pulledName(parseName(text)) } as const;
      const { requirement } = this.#policy.policy.requirementFor(place);
      const basis = verdictBasis(this.#policy.bytes, requirement, this.#settings);
      return this.#verdicts.read(formatImageName(place.name), digest, basis) !== undefined;
    });
  }

  async #check(digest: string): Promise<boolean> {
    const { store, imageReference } = this.#layer;
    const sources = namesOf(store, digest);
    const names = [...sources, ...(imageReference === undefined ? [] : [imageReference])];
    if (names.length === 0) this.#reasons.add(`${digest} was not pulled, so that its name is not known`);
    const { checkOnNode } = await import("./node-check.ts");
    for (const text of names) {
      this.#checks += 1;
      if (this.#checks > LIMITS.gateChecks) return false;
      try {
        const { registry, repository } = parseName(text);
        // The CRI plugin also records images by their ID, "sha256:<hex>", which would read as a name of Docker Hub.
        if (!text.startsWith(`${registry}/`)) continue;
        const name = { repository, registry, digest };
        const verdict = await checkOnNode({ name, digest }, this.#settings, this.#environment);
        if (verdict.accepted) return true;
        this.#reasons.add(`${text}: ${verdict.reason} (${verdict.scope})`);
      } catch (error) {
        if (!(error instanceof DecoderError) || !PASSING.has(error.code)) throw error;
        this.#reasons.add(`${text}: ${error.message}`);
      }
    }
    return false;
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
