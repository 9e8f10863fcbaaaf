import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test, vi } from "vitest";
import { DecoderError } from "../../../src/errors.ts";
import type { ArtifactStore } from "../../../src/trust/find/artifact-store.ts";
import type { SignaturePlaces } from "../../../src/trust/find/find.ts";
import { readRegistriesD } from "../../../src/trust/find/lookaside.ts";
import type { Requirement } from "../../../src/trust/requirement.ts";
import { verifyImage } from "../../../src/trust/verify-image.ts";
import { sha256 } from "../../support/images.ts";
import { temporaryFolder } from "../../support/temporary.ts";
import { newSigner, signBytes, simplePayload, storeSignature } from "../../support/trust.ts";
import { demand, trustFile } from "./check/demand.ts";

const IMAGE = {
  digest: `sha256:${"ab".repeat(32)}`,
  name: { registry: "a.test", path: "b", tag: "1", digest: undefined },
};
const REFERENCE = "a.test/b:1";
const [ann, bob] = [newSigner(), newSigner()];
const ANN = demand({ signer: { kind: "keys", keys: [trustFile("ann.pub", ann.publicKey)] } });

/** A registry with a signature by this signer, or without any. */
function storeOf(signer?: typeof ann) {
  const payload = simplePayload(IMAGE.digest, REFERENCE);
  const layer = {
    ...{ mediaType: "application/vnd.dev.cosign.simplesigning.v1+json", size: payload.length },
    digest: sha256(payload),
    annotations: { "dev.cosignproject.cosign/signature": signer ? signBytes(signer, payload) : "" },
  };
  const bytes = Buffer.from(JSON.stringify({ layers: [layer] }));
  return {
    manifest: vi.fn(async (digest: string) =>
      signer && digest.endsWith(".sig") ? { bytes, digest, mediaType: "" } : undefined,
    ),
    blob: vi.fn(async () => payload),
    referrers: vi.fn(async () => []),
  } satisfies ArtifactStore;
}

/** A registry that does not answer. */
function silent() {
  const fail = vi.fn(async () => {
    throw new DecoderError("REGISTRY", "it does not answer");
  });
  return { manifest: fail, blob: fail, referrers: fail } satisfies ArtifactStore;
}

/** A folder with a signature by this signer. */
function folderOf(signer: typeof ann): string {
  const folder = temporaryFolder();
  storeSignature(folder, signer, { digest: IMAGE.digest, reference: REFERENCE });
  return folder;
}

async function verify(requirement: Requirement, places: Partial<SignaturePlaces>, registriesD = "") {
  const folder = temporaryFolder();
  writeFileSync(join(folder, "a.yaml"), registriesD);
  const registries = await readRegistriesD(folder);
  return await verifyImage(requirement, IMAGE, { stores: [], folders: [], registries, ...places });
}

test("a folder with enough keeps the registry from being asked", async () => {
  const store = storeOf(ann);
  expect(await verify(ANN, { stores: [store], folders: [folderOf(ann)] })).toMatchObject({ accepted: true });
  expect(store.manifest).not.toHaveBeenCalled();
  expect(await verify(ANN, { stores: [store], folders: [folderOf(bob)] })).toMatchObject({ accepted: true });
  expect(store.manifest).toHaveBeenCalled();
  expect(await verify(ANN, { folders: [folderOf(bob), folderOf(ann)] })).toMatchObject({ accepted: true });
  expect(await verify(ANN, { folders: [folderOf(bob)] })).toMatchObject({
    accepted: false,
    fault: "wrong-signer",
  });
});

test("what is decided without signatures asks nobody", async () => {
  const store = storeOf(ann);
  const reject: Requirement = { kind: "all-of", of: [ANN, { kind: "reject" }] };
  expect(await verify(reject, { stores: [store] })).toMatchObject({ accepted: false, fault: "policy" });
  const accept: Requirement = { kind: "any-of", of: [ANN, { kind: "accept" }] };
  expect(await verify(accept, { stores: [store] })).toMatchObject({ accepted: true, signatures: [] });
  expect(store.manifest).not.toHaveBeenCalled();
});

test("servers are asked in order, until one has enough", async () => {
  const [first, second] = [storeOf(ann), storeOf(ann)];
  expect(await verify(ANN, { stores: [first, second] })).toMatchObject({ accepted: true });
  expect(first.manifest).toHaveBeenCalledOnce();
  expect(second.manifest).not.toHaveBeenCalled();
  expect(await verify(ANN, { stores: [storeOf(bob), second] })).toMatchObject({ accepted: true });
  expect(await verify(ANN, { stores: [storeOf(), second] })).toMatchObject({ accepted: true });
});

test("signatures of several servers count together", async () => {
  const both: Requirement = {
    kind: "all-of",
    of: [ANN, demand({ signer: { kind: "keys", keys: [trustFile("bob.pub", bob.publicKey)] } })],
  };
  expect(await verify(both, { stores: [storeOf(ann), storeOf(bob)] })).toMatchObject({ accepted: true });
  expect(await verify(both, { stores: [storeOf(ann)], folders: [folderOf(bob)] })).toMatchObject({
    accepted: true,
  });
  expect(await verify(both, { stores: [storeOf(ann), storeOf(ann)] })).toMatchObject({ accepted: false });
});

test("a mirror that does not answer matters only if the registry does not, either", async () => {
  expect(await verify(ANN, { stores: [silent(), storeOf(ann)] })).toMatchObject({ accepted: true });
  expect(await verify(ANN, { stores: [silent(), storeOf()] })).toMatchObject({
    accepted: false,
    fault: "unsigned",
  });
  for (const stores of [[storeOf(), silent()], [silent()]])
    await expect(verify(ANN, { stores })).rejects.toMatchObject({ code: "REGISTRY" });
});

test("a folder that can't be read is an error unless something else is enough", async () => {
  const folder = join(temporaryFolder(), "file");
  writeFileSync(folder, "");
  const broken = { folders: [folder] };
  await expect(verify(ANN, { ...broken, stores: [storeOf()] })).rejects.toMatchObject({ code: "IO" });
  expect(await verify(ANN, { ...broken, stores: [storeOf(ann)] })).toMatchObject({ accepted: true });
});

test("attached signatures count unless registries.d says that they don't", async () => {
  const said = (use: string) => `docker:\n  a.test:\n    use-sigstore-attachments: ${use}\n`;
  const store = storeOf(ann);
  expect(await verify(ANN, { stores: [store] }, said("true"))).toMatchObject({ accepted: true });
  const other = storeOf(ann);
  expect(await verify(ANN, { stores: [other] }, said("false"))).toMatchObject({ accepted: false });
  expect(other.manifest).not.toHaveBeenCalled();
  expect(await verify(ANN, { folders: [folderOf(ann)] }, said("false"))).toMatchObject({ accepted: true });
});

test("an OpenPGP signature is looked for in the lookaside, and not in the registry", async () => {
  const lookaside = temporaryFolder();
  const place = join(lookaside, `b@${IMAGE.digest.replace(":", "=")}`);
  mkdirSync(place);
  writeFileSync(join(place, "signature-1"), "junk");
  const said = `docker:\n  a.test:\n    lookaside: ${lookaside}\n`;
  const store = storeOf(ann);
  const gpg = demand({ label: "a ring", signer: { kind: "gpg", keyrings: [] } });
  const { signatures } = await verify(gpg, { stores: [store] }, said);
  expect(signatures).toMatchObject([{ demand: "a ring", where: join(place, "signature-1") }]);
  expect(store.manifest).not.toHaveBeenCalled();
  expect((await verify(ANN, { stores: [store] }, said)).ignored).toEqual([]);
  const either: Requirement = { kind: "any-of", of: [gpg, ANN] };
  expect(await verify(either, { stores: [store] }, said)).toMatchObject({ accepted: true });
});

test("only what is asked for is looked for", async () => {
  const asked = async (kind: "signature" | "attestation" | "both") => {
    const store = storeOf();
    const attested = { ...ANN, statement: { kind: "attestation", predicateType: undefined } } as const;
    const of = [...(kind !== "attestation" ? [ANN] : []), ...(kind !== "signature" ? [attested] : [])];
    await verify({ kind: "all-of", of }, { stores: [store] });
    expect(store.referrers).toHaveBeenCalledOnce();
    return store.manifest.mock.calls.map(([tag]) => tag.slice(-4)).sort();
  };
  expect(await asked("signature")).toEqual([".sig"]);
  expect(await asked("attestation")).toEqual([".att"]);
  expect(await asked("both")).toEqual([".att", ".sig"]);
});
