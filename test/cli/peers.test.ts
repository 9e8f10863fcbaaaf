import { readdirSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { type KeyPairFiles, rsaKeys, succeed } from "../support/cli.ts";
import { copyImage, diffId, layersOf, readBlob, tar, writeImage } from "../support/images.ts";
import { putPlatforms, readDocument, rootOf } from "../support/layouts.ts";
import {
  buildah,
  describeWith,
  ours,
  output,
  root,
  run,
  skopeo,
  skopeoNew,
  umoci,
} from "../support/peers.ts";
import { temporaryFolder } from "../support/temporary.ts";

const folder = temporaryFolder();
const plain = join(folder, "plain");
/** Two platforms, each with a layer that is compressed and one that isn't. */
const index = join(folder, "index");
let keys: KeyPairFiles;
let count = 0;

beforeAll(async () => {
  keys = await rsaKeys(join(folder, "keys"), "node");
  const tars = [
    await tar({ "bin/tool": Buffer.alloc(200_000, "tool") }),
    await tar({ "etc/x": Buffer.from("second") }),
  ];
  const layers = tars.map((it, i) => ({ tar: it, compression: i === 0 ? "gzip" : "none" }) as const);
  writeImage(plain, "v1", layers, { Entrypoint: ["/bin/tool"] });
  const contents = layersOf(plain, "v1").map((it, i) => {
    const bytes = readBlob(plain, it);
    return { bytes, compression: i === 0 ? "gzip" : "none", diffId: diffId(bytes) } as const;
  });
  putPlatforms(index, contents);
});

/** A JWE recipient with the thumbprint of its key (RFC 7638). */
const KID = expect.objectContaining({ id: expect.stringMatching(/^[\w-]{43}$/) });
const fresh = () => join(folder, String(count++));
const recipient = () => `jwe:${keys.publicKey}`;
const diffIds = (layout: string, tag = "v1") =>
  layersOf(layout, tag).map((it) => diffId(readBlob(layout, it)));
const digests = (layout: string, tag = "v1") => layersOf(layout, tag).map(({ digest }) => digest);

describe.each([skopeo, skopeoNew])("$name", (tool) => {
  describeWith([tool, ours], "works with ours:", {}, () => {
    test.each(["oci", "oci-archive"])("it decrypts what we encrypt, as %s", async (kind) => {
      const [encrypted, decrypted] = [`${kind}:${fresh()}:v1`, fresh()];
      await succeed(["encrypt", "-q", "--recipient", recipient(), `oci:${plain}`, encrypted]);
      await copyImage(tool, encrypted, `oci:${decrypted}:v1`, { keys: [keys.privateKey] });
      expect(diffIds(decrypted)).toEqual(diffIds(plain));
    });

    test("it encrypts what we decrypt, and decrypting that restores the original digests", async () => {
      const [encrypted, decrypted, again, last] = [fresh(), fresh(), fresh(), fresh()];
      await copyImage(tool, `oci:${plain}:v1`, `oci:${encrypted}:v1`, { recipients: [recipient()] });
      expect(await succeed(["verify", "--key", keys.privateKey, `oci:${encrypted}`])).toContain(
        "complete and unchanged",
      );
      await succeed(["decrypt", "-q", "--key", keys.privateKey, `oci:${encrypted}`, `oci:${decrypted}:v1`]);
      expect(digests(decrypted)).toEqual(digests(plain));
      await copyImage(tool, `oci:${decrypted}:v1`, `oci-archive:${again}:v1`, { recipients: [recipient()] });
      await succeed(["decrypt", "-q", "--key", keys.privateKey, `oci-archive:${again}`, `oci:${last}:v1`]);
      expect(digests(last)).toEqual(digests(plain));
    });

    test("it opens what we rewrap, with the new key and not the old one", async () => {
      const other = await rsaKeys(join(folder, "keys"), `other-${count}`);
      const [encrypted, rewrapped] = [fresh(), fresh()];
      await copyImage(tool, `oci:${plain}:v1`, `oci:${encrypted}:v1`, { recipients: [recipient()] });
      const change = ["--only", "--key", keys.privateKey, "--recipient", `jwe:${other.publicKey}`];
      await succeed(["rewrap", "-q", ...change, `oci:${encrypted}`, `oci:${rewrapped}:v1`]);
      const open = async (key: string) =>
        await copyImage(tool, `oci:${rewrapped}:v1`, `oci:${fresh()}:v1`, { keys: [key] });
      await expect(open(other.privateKey)).resolves.toBeUndefined();
      await expect(open(keys.privateKey)).rejects.toThrow();
    });

    test("it opens with either key what we added a recipient to", async () => {
      const other = await rsaKeys(join(folder, "keys"), `added-${count}`);
      const [encrypted, added] = [fresh(), fresh()];
      await copyImage(tool, `oci:${plain}:v1`, `oci:${encrypted}:v1`, { recipients: [recipient()] });
      const change = ["--key", keys.privateKey, "--add-recipient", `jwe:${other.publicKey}`];
      await succeed(["encrypt", "-q", ...change, `oci:${encrypted}`, `oci:${added}:v1`]);
      for (const { privateKey } of [keys, other]) {
        const decrypted = fresh();
        await copyImage(tool, `oci:${added}:v1`, `oci:${decrypted}:v1`, { keys: [privateKey] });
        expect(diffIds(decrypted)).toEqual(diffIds(plain));
      }
    });

    test("it reads every manifest of an index that we encrypted", async () => {
      const [encrypted, decrypted] = [fresh(), fresh()];
      await succeed(["encrypt", "-q", "--recipient", recipient(), `oci:${index}`, `oci:${encrypted}:v1`]);
      const raw = JSON.parse((await output(tool, ["inspect", "--raw", `oci:${encrypted}:v1`])).toString());
      expect(raw).toEqual(readDocument(encrypted, rootOf(encrypted)));
      const options = ["--insecure-policy", "copy", "--all", "--decryption-key", keys.privateKey];
      // Fails if a blob is missing, or is not what the manifest says.
      await output(tool, [...options, `oci:${encrypted}:v1`, `oci:${decrypted}:v1`]);
    });

    test("we read what it saves for Docker, by each name and by position", async () => {
      const [archive, name] = [fresh(), "docker.io/library/test:v1"];
      await output(tool, [
        "--insecure-policy",
        "copy",
        `oci:${plain}:v1`,
        `docker-archive:${archive}:${name}`,
      ]);
      for (const reference of ["", ":test:v1", `:${name}`, ":@0"]) {
        const [encrypted, decrypted] = [fresh(), fresh()];
        await succeed([
          "encrypt",
          "-q",
          "--recipient",
          recipient(),
          `docker-archive:${archive}${reference}`,
          `oci:${encrypted}:v1`,
        ]);
        await succeed(["decrypt", "-q", "--key", keys.privateKey, `oci:${encrypted}`, `oci:${decrypted}:v1`]);
        expect(diffIds(decrypted)).toEqual(diffIds(plain));
        expect(layersOf(decrypted, "v1").map(({ mediaType }) => mediaType.split(".").at(-1))).toEqual([
          "tar+gzip",
          "tar+gzip",
        ]);
      }
      const args = ["inspect", `docker-archive:${archive}:test:v2`];
      expect((await run(ours, args)).stderr).toMatch(/test:v1/);
    });
  });
});

describeWith([buildah, root, ours], "buildah", {}, () => {
  const storage = join(folder, "buildah");
  const policy = join(folder, "accept.json");

  beforeAll(() => writeFileSync(policy, '{"default": [{"type": "insecureAcceptAnything"}]}'));

  /** Names are relative: buildah derives an image's name from them, and refuses capital letters. */
  async function build(verb: string, ...args: string[]): Promise<string> {
    const global = ["--root", `${storage}/root`, "--runroot", `${storage}/run`, "--storage-driver", "vfs"];
    const call = [...global, verb, "-q", "--signature-policy", policy, ...args];
    return (await output(buildah, call, { cwd: folder })).toString().trim();
  }

  test("pulls what we encrypt, kid included, and pushes what we decrypt", async () => {
    const other = await rsaKeys(join(folder, "keys"), "buildah");
    const [encrypted, pushed, decrypted] = [fresh(), fresh(), fresh()];
    const both = ["--recipient", recipient(), "--recipient", `jwe:${other.publicKey}`];
    await succeed(["encrypt", "-q", ...both, `oci:${plain}`, `oci:${encrypted}:v1`]);
    const { recipients } = JSON.parse(await succeed(["inspect", "--json", `oci:${encrypted}`])).platforms[0]
      .layers[0].encryption.packets[0];
    expect(recipients).toEqual([KID, KID]);
    // The second recipient: the kid of the first does not keep it from being tried.
    const image = await build("pull", "--decryption-key", other.privateKey, `oci:${basename(encrypted)}:v1`);
    await build("push", "--encryption-key", recipient(), image, `oci:${basename(pushed)}:v1`);
    await succeed(["decrypt", "-q", "--key", keys.privateKey, `oci:${pushed}`, `oci:${decrypted}:v1`]);
    expect(diffIds(decrypted)).toEqual(diffIds(plain));
  });

  test("refuses a key for which we did not encrypt", async () => {
    const [encrypted, other] = [fresh(), await rsaKeys(join(folder, "keys"), "buildah-other")];
    await succeed(["encrypt", "-q", "--recipient", recipient(), `oci:${plain}`, `oci:${encrypted}:v1`]);
    await expect(
      build("pull", "--decryption-key", other.privateKey, `oci:${basename(encrypted)}:v1`),
    ).rejects.toThrow(/no suitable key/);
  });
});

describeWith([umoci, skopeo, ours], "umoci", {}, () => {
  test("unpacks what we decrypt, and finds every blob that it needs", async () => {
    const [encrypted, decrypted, bundle] = [fresh(), fresh(), fresh()];
    await succeed(["encrypt", "-q", "--recipient", recipient(), `oci:${plain}`, `oci:${encrypted}:v1`]);
    await succeed(["decrypt", "-q", "--key", keys.privateKey, `oci:${encrypted}`, `oci:${decrypted}:v1`]);
    await output(umoci, ["unpack", "--rootless", "--image", `${decrypted}:v1`, bundle]);
    expect(readdirSync(join(bundle, "rootfs")).sort()).toEqual(["bin", "etc"]);
  });

  test("lists the tags of a layout that we added to, and collects no garbage in it", async () => {
    const layout = fresh();
    await succeed(["encrypt", "-q", "--recipient", recipient(), `oci:${plain}`, `oci:${layout}:a`]);
    await succeed(["decrypt", "-q", "--key", keys.privateKey, `oci:${layout}:a`, `oci:${layout}:b`]);
    expect((await output(umoci, ["list", "--layout", layout])).toString().trim().split("\n").sort()).toEqual([
      "a",
      "b",
    ]);
    const blobs = readdirSync(join(layout, "blobs/sha256")).sort();
    await output(umoci, ["gc", "--layout", layout]);
    expect(readdirSync(join(layout, "blobs/sha256")).sort()).toEqual(blobs);
  });

  test("unpacks what we make of a folder", async () => {
    const [encrypted, decrypted, bundle] = [fresh(), fresh(), fresh()];
    const built = [
      "--entrypoint",
      '["/node.pem","x"]',
      "--platform",
      "linux/arm64/v8",
      `rootfs:${join(folder, "keys")}`,
    ];
    await succeed(["encrypt", "-q", "--recipient", recipient(), ...built, `oci:${encrypted}:v1`]);
    await succeed(["decrypt", "-q", "--key", keys.privateKey, `oci:${encrypted}`, `oci:${decrypted}:v1`]);
    const shown = JSON.parse(
      (await output(skopeo, ["inspect", "--config", `oci:${decrypted}:v1`])).toString(),
    );
    expect(shown).toMatchObject({
      os: "linux",
      architecture: "arm64",
      variant: "v8",
      config: { Entrypoint: ["/node.pem", "x"] },
    });
    await output(umoci, ["unpack", "--rootless", "--image", `${decrypted}:v1`, bundle]);
    expect(readdirSync(join(bundle, "rootfs")).sort()).toEqual(readdirSync(join(folder, "keys")).sort());
  });
});
