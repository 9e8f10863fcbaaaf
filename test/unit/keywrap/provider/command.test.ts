import { expect, test } from "vitest";
import { callCommand } from "../../../../src/keywrap/provider/command.ts";

test("a provider's answer has 1 MiB, and no more", async () => {
  const sizeOf = async (bytes: number) => {
    const answer = await callCommand(
      { kind: "command", name: "kms", path: "head", args: ["-c", String(bytes), "/dev/zero"] },
      new Uint8Array(),
      {
        environment: { PATH: process.env["PATH"] },
        providerTimeoutMs: 30_000,
        providerLegacyDc: false,
        verbose: false,
      },
    );
    return answer.length;
  };
  expect(await sizeOf(1_048_576)).toBe(1_048_576);
  await expect(sizeOf(1_048_577)).rejects.toThrow("gave an answer of more than 1048576 bytes");
});
