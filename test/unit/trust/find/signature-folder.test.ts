import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { findInFolder } from "../../../../src/trust/find/signature-folder.ts";
import { temporaryFolder } from "../../../support/temporary.ts";

const DIGEST = `sha256:${"ab".repeat(32)}`;
const PLACE = DIGEST.replace(":", "-");
const payload = Buffer.from("a payload").toString("base64");

/** A folder of signatures with this file. */
function folderOf(name: string, content: string): string {
  const folder = temporaryFolder();
  mkdirSync(join(folder, PLACE));
  writeFileSync(join(folder, PLACE, name), content);
  return folder;
}

async function find(name: string, content: unknown) {
  const text = typeof content === "string" ? content : JSON.stringify(content);
  const { found, failures } = await findInFolder(folderOf(name, text), DIGEST, ["sig", "att"]);
  expect(failures).toEqual([]);
  return found.map(({ where, ...rest }) => {
    expect(where).toMatch(new RegExp(`/${PLACE}/${name}$`));
    return rest;
  });
}

test("a file of each form is read with all that is in it", async () => {
  const annotations = {
    "dev.cosignproject.cosign/signature": "c2ln",
    "dev.sigstore.cosign/certificate": "certificate",
  };
  const bytes = new Uint8Array(Buffer.from("a payload"));
  expect(await find("1.sig.json", { payload, annotations })).toEqual([
    { form: "simple", payload: bytes, signature: "c2ln", certificate: "certificate" },
  ]);
  expect(await find("1.sig.json", { payload, annotations: {} })).toEqual([
    { form: "simple", payload: bytes, signature: "" },
  ]);
  expect(await find("1.att.json", { payload, annotations })).toEqual([
    { form: "envelope", envelope: bytes, certificate: "certificate" },
  ]);
  expect(await find("1.sigstore.json", "anything")).toMatchObject([{ form: "bundle" }]);
});

test.each([
  [{ annotations: {} }, "it has no payload with annotations"],
  [{ payload: 1, annotations: {} }, "it has no payload with annotations"],
  [{ payload: "*", annotations: {} }, "it has no payload with annotations"],
  [{ payload }, "it has no payload with annotations"],
  [{ payload, annotations: [] }, "it has no payload with annotations"],
  [{ payload, annotations: { a: 1 } }, "it has no payload with annotations"],
  [{ payload, annotations: { a: "b", c: 1 } }, "it has no payload with annotations"],
  ["[]", "is not a JSON object"],
  ["{", "is not a JSON object"],
])("%j is unreadable: %s", async (content, problem) => {
  for (const name of ["1.sig.json", "1.att.json"])
    expect(await find(name, content)).toEqual([
      { form: "unreadable", problem: expect.stringContaining(problem) },
    ]);
});

test("a folder without the image has nothing, and one that can't be read is a failure", async () => {
  expect(await findInFolder(temporaryFolder(), DIGEST, ["sig"])).toEqual({ found: [], failures: [] });
  const folder = temporaryFolder();
  writeFileSync(join(folder, PLACE), "a file");
  expect(await findInFolder(folder, DIGEST, ["sig"])).toEqual({
    found: [],
    failures: [
      expect.objectContaining({ code: "IO", message: expect.stringContaining(join(folder, PLACE)) }),
    ],
  });
});

test("a file that can't be read is a failure", async () => {
  const folder = folderOf("1.sig.json", JSON.stringify({ payload, annotations: {} }));
  mkdirSync(join(folder, PLACE, "2.sig.json"));
  symlinkSync("missing", join(folder, PLACE, "3.sig.json"));
  const { found, failures } = await findInFolder(folder, DIGEST, ["sig"]);
  expect(found).toMatchObject([{ form: "simple" }]);
  expect(failures.map(({ code, message }) => [code, message.replace(/^.*\//, "")])).toEqual([
    ["IO", expect.stringMatching(/^2\.sig\.json: /)],
    ["IO", expect.stringMatching(/^3\.sig\.json: /)],
  ]);
});
