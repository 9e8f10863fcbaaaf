import { writeFileSync } from "node:fs";
import { expect, test } from "vitest";
import type { Descriptor } from "../../../../src/spec/descriptor.ts";
import { LayoutStore } from "../../../../src/trust/find/layout-store.ts";
import { findInFolder } from "../../../../src/trust/find/signature-folder.ts";
import { sha256, writeBlob } from "../../../support/images.ts";
import { temporaryFolder } from "../../../support/temporary.ts";

const MANIFEST = "application/vnd.oci.image.manifest.v1+json";
const INDEX = "application/vnd.oci.image.index.v1+json";
const BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json";
const SIMPLE = "application/vnd.dev.cosign.simplesigning.v1+json";
const ENVELOPE = "application/vnd.dsse.envelope.v1+json";

type Entry = Descriptor & { annotations?: Readonly<Record<string, string>> };

class Layout {
  readonly folder = temporaryFolder();
  readonly #entries: Entry[] = [];

  /** A manifest or index that index.json does not name. */
  put(document: object, mediaType = MANIFEST): Descriptor {
    return writeBlob(this.folder, mediaType, Buffer.from(JSON.stringify(document)));
  }

  /** @param annotations of its entry in index.json */
  add(document: object, annotations: Readonly<Record<string, string>> = {}): Descriptor {
    const descriptor = this.put(document, "manifests" in document ? INDEX : MANIFEST);
    this.name(descriptor, annotations);
    return descriptor;
  }

  name(descriptor: Descriptor, annotations: Readonly<Record<string, string>> = {}): void {
    this.#entries.push({ ...descriptor, annotations });
  }

  blob(mediaType: string, text: string): Descriptor {
    return writeBlob(this.folder, mediaType, Buffer.from(text));
  }

  async open(): Promise<LayoutStore> {
    this.write();
    return await LayoutStore.open(this.folder);
  }

  write(): void {
    const index = { schemaVersion: 2, mediaType: INDEX, manifests: this.#entries };
    writeFileSync(`${this.folder}/oci-layout`, '{"imageLayoutVersion":"1.0.0"}');
    writeFileSync(`${this.folder}/index.json`, JSON.stringify(index));
  }
}

const tagged = (tag: string) => ({ "org.opencontainers.image.ref.name": tag });
const saved = (kind: string) => ({ kind: `dev.cosignproject.cosign/${kind}` });
const tagOf = ({ digest }: Descriptor, ending = "") => `${digest.replace(":", "-")}${ending}`;
const image = (name: string) => ({ layers: [], annotations: { name } });

test("a manifest is found by its digest and by its tag", async () => {
  const layout = new Layout();
  const [first, second] = [layout.add(image("1"), tagged("v1")), layout.add(image("2"), tagged("v2"))];
  const unnamed = layout.put(image("3"));
  const store = await layout.open();
  expect(await store.manifest(second.digest)).toMatchObject({ digest: second.digest, mediaType: MANIFEST });
  expect(await store.manifest("v1")).toMatchObject({ digest: first.digest });
  expect(await store.manifest("v2")).toMatchObject({ digest: second.digest });
  expect(await store.manifest("v3")).toBeUndefined();
  expect(await store.manifest(unnamed.digest)).toBeUndefined();
});

test("referrers are manifests of the image's subject, and what the fallback index lists", async () => {
  const layout = new Layout();
  const subject = layout.add(image("1"), tagged("v1"));
  const another = layout.add(image("2"));
  const own = layout.add({ layers: [], subject });
  layout.add({ layers: [], subject: another });
  // Neither of these says what it refers to.
  layout.add({ manifests: [] });
  layout.name({ ...another, digest: sha256(Buffer.from("a manifest that was not copied")) });
  const listed = layout.put({ layers: [], annotations: { listed: "" }, subject });
  layout.add({ manifests: [listed] }, tagged(tagOf(subject)));
  const store = await layout.open();
  expect(await store.manifest(listed.digest)).toBeUndefined();
  expect((await store.referrers(subject.digest)).map(({ digest }) => digest)).toEqual([
    own.digest,
    listed.digest,
  ]);
  expect(await store.manifest(listed.digest)).toMatchObject({ digest: listed.digest });
});

test("an image without a fallback index has the referrers of index.json", async () => {
  const layout = new Layout();
  const subject = layout.add(image("1"));
  const own = layout.add({ layers: [], subject });
  expect(await (await layout.open()).referrers(subject.digest)).toMatchObject([{ digest: own.digest }]);
});

test("what `cosign save` marks belongs to the image that it saved", async () => {
  const layout = new Layout();
  const signed = layout.add(image("1"), saved("image"));
  const signatures = layout.add({ layers: [], annotations: { of: "sig" } }, saved("sigs"));
  const attestations = layout.add({ layers: [], annotations: { of: "att" } }, saved("atts"));
  const stranger = layout.add(image("2"));
  const store = await layout.open();
  expect(await store.manifest(tagOf(signed, ".sig"))).toMatchObject({ digest: signatures.digest });
  expect(await store.manifest(tagOf(signed, ".att"))).toMatchObject({ digest: attestations.digest });
  expect(await store.manifest(tagOf(stranger, ".sig"))).toBeUndefined();
  expect(await store.manifest(`x${tagOf(signed, ".sig")}`)).toBeUndefined();
});

test("a tag comes before what `cosign save` marks", async () => {
  const layout = new Layout();
  const signed = layout.add(image("1"), saved("imageIndex"));
  layout.add({ layers: [], annotations: { of: "save" } }, saved("sigs"));
  const signatures = layout.add({ layers: [], annotations: { of: "tag" } }, tagged(tagOf(signed, ".sig")));
  expect(await (await layout.open()).manifest(tagOf(signed, ".sig"))).toMatchObject({
    digest: signatures.digest,
  });
});

test("a folder of signatures may be a layout", async () => {
  const layout = new Layout();
  const subject = layout.add(image("1"), tagged("v1"));
  layout.add({ layers: [layout.blob(SIMPLE, "{}")] }, tagged(tagOf(subject, ".sig")));
  layout.add({ layers: [layout.blob(ENVELOPE, "[]")] }, tagged(tagOf(subject, ".att")));
  layout.add({ subject, layers: [layout.blob(BUNDLE, '""')] });
  layout.write();
  const formsOf = async (...kinds: ("sig" | "att")[]) => {
    const { found, failures } = await findInFolder(layout.folder, subject.digest, kinds);
    expect(failures).toEqual([]);
    return found.map(({ form }) => form).sort();
  };
  expect(await formsOf()).toEqual(["bundle"]);
  expect(await formsOf("sig")).toEqual(["bundle", "simple"]);
  expect(await formsOf("sig", "att")).toEqual(["bundle", "envelope", "simple"]);
});

test("a folder that is a damaged layout has nothing but what is wrong with it", async () => {
  const layout = new Layout();
  const { digest } = layout.add(image("1"));
  layout.write();
  writeFileSync(`${layout.folder}/index.json`, "{");
  const { found, failures } = await findInFolder(layout.folder, digest, ["sig", "att"]);
  expect(failures).toEqual([]);
  expect(found).toEqual([
    { form: "unreadable", where: layout.folder, problem: expect.stringMatching(/index\.json/) },
  ]);
});
