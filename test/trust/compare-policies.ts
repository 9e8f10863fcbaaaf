import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DecoderError } from "../../src/errors.ts";
import { checkImage } from "../../src/trust/check-image.ts";
import { readRegistriesD } from "../../src/trust/find/lookaside.ts";
import { loadPolicy } from "../../src/trust/policy/read-policy.ts";
import { Random } from "../fuzz/random.ts";
import { type Peer, run } from "../support/peers.ts";
import { newSigner } from "../support/trust.ts";
import { PolicyGenerator } from "./policy-generator.ts";
import { SigningRegistry } from "./signing-registry.ts";

export interface Difference {
  readonly seed: number;
  readonly name: string;
  readonly policy: string;
  readonly ours: string;
  readonly skopeo: string;
}

export interface Comparison {
  readonly accepted: number;
  readonly refused: number;
  readonly differences: readonly Difference[];
}

/** Asks skopeo and this project whether an image may be used under a policy, for so many generated pairs. */
export async function comparePolicies(
  folder: string,
  skopeo: Peer,
  seeds: Iterable<number>,
): Promise<Comparison> {
  const signers = { a: newSigner(), b: newSigner(), c: newSigner() };
  const keys = Object.entries(signers).map(([name, { publicKey }]) => {
    const path = join(folder, `${name}.pub`);
    writeFileSync(path, publicKey);
    return path;
  });
  const several = join(folder, "several.pub");
  writeFileSync(several, signers.c.publicKey + signers.a.publicKey);
  const registriesDir = join(folder, "registries.d");
  mkdirSync(registriesDir, { recursive: true });
  writeFileSync(join(registriesDir, "all.yaml"), "default-docker:\n  use-sigstore-attachments: true\n");
  const registry = await SigningRegistry.start(signers);
  const places = {
    registry: registry.address,
    keys: [...keys, several],
    keyDatas: Object.values(signers).map(({ publicKey }) => Buffer.from(publicKey).toString("base64")),
    missing: join(folder, "missing"),
    digest: registry.digest,
  };
  const differences: Difference[] = [];
  const counts = { accepted: 0, refused: 0 };
  try {
    for (const seed of seeds) {
      const generator = new PolicyGenerator(new Random(seed), places);
      const name = generator.name();
      const policy = generator.policy(name);
      const path = join(folder, "policy.json");
      writeFileSync(path, policy);
      const [ours, theirs] = await Promise.all([
        askOurs(name, path, registriesDir),
        askSkopeo(skopeo, name, path, folder),
      ]);
      counts[ours === "accepted" ? "accepted" : "refused"] += 1;
      if ((ours === "accepted") !== (theirs === "accepted"))
        differences.push({ seed, name, policy, ours, skopeo: theirs });
    }
  } finally {
    await registry.close();
  }
  return { ...counts, differences };
}

async function askOurs(name: string, path: string, registriesDir: string): Promise<string> {
  try {
    const policy = await loadPolicy(path, {
      trustedRoot: undefined,
      unmatched: "reject",
      scopeIsIdentity: false,
    });
    const { accepted, reason } = await checkImage(name, policy, {
      access: { environment: {}, plainHttp: true },
      folders: [],
      registries: await readRegistriesD(registriesDir),
      signal: AbortSignal.timeout(60_000),
    });
    return accepted ? "accepted" : reason;
  } catch (error) {
    if (error instanceof DecoderError) return error.message;
    throw error;
  }
}

async function askSkopeo(skopeo: Peer, name: string, path: string, folder: string): Promise<string> {
  const copy = join(folder, "copy");
  const args = ["--policy", path, "--registries.d", join(folder, "registries.d"), "copy", "--quiet"];
  const { exit, stderr } = await run(skopeo, [
    ...args,
    "--src-tls-verify=false",
    `docker://${name}`,
    `dir:${copy}`,
  ]);
  rmSync(copy, { recursive: true, force: true });
  return exit === 0 ? "accepted" : stderr.trim().replace(/^time="[^"]*" /, "");
}
