import { generateKeyPairSync } from "node:crypto";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { tar, writeImage } from "../support/images.ts";
import { plainBytes } from "../support/layer.ts";
import { payload } from "../support/payload.ts";
import { describeWith, type Need, ours, run } from "../support/peers.ts";
import { seal } from "../support/sealed.ts";
import { temporaryFolder } from "../support/temporary.ts";

const linux: Need =
  process.platform === "linux" ? { name: "Linux" } : { name: "Linux", absent: "it needs Linux" };

describeWith([ours, linux], "standard output", {}, () => {
  const folder = temporaryFolder();
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const [key, layer, file, recipient, plain] = ["node.pem", "layer", "payload", "node.pub", "plain"].map(
    (name) => join(folder, name),
  );

  const redirected = (redirection: string, args: string) =>
    run({ name: "sh", command: "sh", args: ["-c", `exec "$0" ${args} ${redirection}`] }, [ours.command]);

  beforeAll(async () => {
    const sealed = seal(plainBytes(1000), publicKey);
    writeFileSync(key ?? "", privateKey.export({ type: "pkcs8", format: "pem" }));
    writeFileSync(layer ?? "", sealed.ciphertext);
    writeFileSync(file ?? "", payload(sealed.descriptor));
    writeFileSync(recipient ?? "", publicKey.export({ type: "spki", format: "pem" }));
    writeImage(plain ?? "", "v1", [{ tar: await tar({ file: Buffer.from("x") }), compression: "gzip" }]);
  });

  test.each([
    ["a layer's", () => `--decryption-keys-path '${key}' <'${layer}' 3<'${file}'`],
    ["a command's", () => "--version"],
    ["an archive's", () => `encrypt -q --recipient 'jwe:${recipient}' 'oci:${plain}:v1' oci-archive:-`],
  ])("%s that is closed can't be written, but /dev/null can", async (_what, args) => {
    const closed = await redirected(">&-", args());
    expect(closed).toMatchObject({
      exit: 1,
      stderr: "ctd-decoder: error: can't write standard output: it is closed\n",
    });
    for (const open of [">/dev/null", "1<>/dev/null"]) {
      expect(await redirected(open, args())).toMatchObject({
        exit: 0,
        stderr: expect.not.stringContaining("error"),
      });
    }
  });

  test.each(["", "-q", "--json"])(
    "a report that can't be written takes back no work (%s)",
    async (option) => {
      const made = join(folder, `made${option}.pem`);
      expect(await redirected(">/dev/full", `keygen ${option} '${made}'`)).toMatchObject({
        exit: 1,
        stderr:
          "ctd-decoder: error: can't write standard output: no space left on the device\n" +
          "ctd-decoder: hint: the work itself was done; only the report is lost\n",
      });
      expect([existsSync(made), existsSync(`${made}.pub`)]).toEqual([true, true]);
    },
  );
});
