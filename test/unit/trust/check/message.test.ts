import { generateKeyPairSync } from "node:crypto";
import { truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { fileMessage } from "../../../../src/trust/check/message.ts";
import { temporaryFolder } from "../../../support/temporary.ts";

const path = join(temporaryFolder(), "file");
const { publicKey } = generateKeyPairSync("ed25519");

test("a file of more than 256 MiB is too large for an Ed25519 signature", async () => {
  writeFileSync(path, "");
  truncateSync(path, 268_435_457);
  const message = fileMessage(path);
  await expect(message.verify(publicKey, null, new Uint8Array(64))).rejects.toMatchObject({ code: "LIMIT" });
});
