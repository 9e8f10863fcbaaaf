import { mkdirSync, realpathSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { placeOf } from "../../../src/trust/target.ts";
import { temporaryFolder } from "../../support/temporary.ts";

const folder = realpathSync(temporaryFolder());
mkdirSync(join(folder, "elsewhere/image"), { recursive: true });
mkdirSync(join(folder, "scope"));
symlinkSync("../elsewhere", join(folder, "scope/link"));

test.each([
  ["scope/link/image", "elsewhere/image"],
  ["scope/link/image:1", "elsewhere/image"],
  ["scope/link/new", "elsewhere/new"],
  ["scope/new/deep", "scope/new/deep"],
  ["elsewhere/../scope/.", "scope"],
])("a policy sees oci:%s as %s", (path, real) => {
  expect(placeOf(`oci:${join(folder, "x")}/../${path}`)).toEqual({
    transport: "oci",
    path: join(folder, real),
  });
});
