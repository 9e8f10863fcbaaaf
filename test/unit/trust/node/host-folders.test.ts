import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { hostFolders } from "../../../../src/trust/node/host-folders.ts";
import { temporaryFolder } from "../../../support/temporary.ts";

const file = join(temporaryFolder(), "config.toml");
const DEFAULTS = ["/etc/containerd/certs.d", "/etc/docker/certs.d"];
const V1 = "io.containerd.grpc.v1.cri";
const V2 = "io.containerd.cri.v1.images";

test.each<[string, string, readonly string[]]>([
  ["of containerd 1.x", `[plugins."${V1}".registry]\nconfig_path = "/a"`, ["/a"]],
  ["of containerd 2.x", `[plugins."${V2}".registry]\nconfig_path = "/a:/b"`, ["/a", "/b"]],
  ["with an empty part", `[plugins."${V2}".registry]\nconfig_path = ":/b"`, ["/b"]],
  ["that are not set", `[plugins."${V1}".registry]\nconfig_path = ""`, DEFAULTS],
  ["that are not a text", `[plugins."${V1}".registry]\nconfig_path = ["/a"]`, DEFAULTS],
  ["without a registry", `[plugins."${V1}"]\nregistry = 1`, DEFAULTS],
  [
    "that only the older section has",
    `[plugins."${V2}".registry]\nconfig_path = ""\n[plugins."${V1}".registry]\nconfig_path = "/a"`,
    ["/a"],
  ],
])("folders %s", (_, text, expected) => {
  writeFileSync(file, `version = 2\n${text}\n`);
  expect(hostFolders(file)).toEqual(expected);
});

test("a file that does not exist leaves containerd's own defaults", () => {
  expect(hostFolders(`${file}.none`)).toEqual(DEFAULTS);
});
