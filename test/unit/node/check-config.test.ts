import { chmodSync, mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { renderStanza } from "../../../src/containerd/stream-processors.ts";
import { parseContainerdVersion } from "../../../src/containerd/version.ts";
import { checkConfigFile, localLookup } from "../../../src/node/check-config.ts";
import type { Finding } from "../../../src/node/finding.ts";
import { temporaryFolder } from "../../support/temporary.ts";

const folder = temporaryFolder();
const program = join(folder, "bin/ctd-decoder");
const keys = join(folder, "keys");
for (const name of ["bin", "keys"]) mkdirSync(join(folder, name));
writeFileSync(program, "#!/bin/sh\n");
chmodSync(program, 0o755);

function check(text: string, containerd = "1.7.24", imports: Readonly<Record<string, string>> = {}) {
  const root = mkdtempSync(join(folder, "config-"));
  for (const [name, content] of Object.entries({ "config.toml": text, ...imports }))
    writeFileSync(join(root, name), content);
  const version = parseContainerdVersion(containerd);
  if (!version) throw new Error(`${containerd} is not a version`);
  return checkConfigFile(join(root, "config.toml"), { version, lookup: localLookup(join(folder, "bin")) });
}

const said = (findings: readonly Finding[]) =>
  findings.map(({ severity, message }) => `${severity}: ${message}`);

const stanza = (containerd: "1.x" | "2.x", returnsTar = false) =>
  renderStanza({
    containerd,
    returnsTar,
    path: program,
    keysPath: keys,
    providerConfig: join(folder, "bin"),
  });

const TAR = "application/vnd.oci.image.layer.v1.tar";
const TAR_ID = "io.containerd.ocicrypt.decoder.v1.tar";
const NO_PAYLOAD = /^note: pulls by Kubernetes pass no payload .*other decoders fail$/;

/** The stanza with something replaced. */
function changed(...replacements: [string, string][]): string {
  return replacements.reduce((text, [from, to]) => {
    if (!text.includes(from)) throw new Error(`there is no ${from}`);
    return text.replace(from, to);
  }, stanza("1.x"));
}

const OLD = 'plugins."io.containerd.grpc.v1.cri"';
const IMAGES = 'plugins."io.containerd.cri.v1.images"';

describe("our own stanza is right", () => {
  test.each([false, true])("for 1.x (one processor: %s)", (returnsTar) => {
    expect(check(stanza("1.x", returnsTar))).toMatchObject({
      findings: [],
      payload: true,
      containerd: "1.7.24",
    });
  });

  test.each([false, true])(
    "for 2.x, whose pulls pass no payload by default (one processor: %s)",
    (returnsTar) => {
      const { findings, payload } = check(stanza("2.x", returnsTar), "2.1.9");
      expect(payload).toBe(false);
      expect(said(findings)).toEqual([expect.stringMatching(NO_PAYLOAD)]);
    },
  );
});

test("containerd's defaults lack zstd", () => {
  const found = said(check("version = 2\n").findings);
  expect(found).toContainEqual(
    expect.stringMatching(/^error: no stream processor accepts \S+tar\+zstd\+encrypted$/),
  );
  expect(found).toContainEqual(expect.stringMatching(/^note: no stream processor accepts 9 rarer types/));
  expect(found).toContainEqual(expect.stringMatching(/^warning: .*the keys path \S+ does not exist$/));
});

describe("what is wrong with processors", () => {
  test.each<[string, string, RegExp]>([
    [
      "a missing type",
      changed([`"${TAR}+gzip+encrypted",`, ""]),
      /^error: no stream processor accepts \S+tar\+gzip\+encrypted$/,
    ],
    [
      "a missing type that tools hardly write",
      changed([`"${TAR.replace("layer", "layer.nondistributable")}+zstd+encrypted",`, ""]),
      /^note: no stream processor accepts 1 rarer types, such as \S+nondistributable\S+$/,
    ],
    [
      "a type twice",
      changed([`"${TAR}+encrypted",`, `"${TAR}+encrypted", "${TAR}+gzip+encrypted",`]),
      /^error: \S+tar\+gzip\+encrypted is accepted by \S+ and \S+: containerd picks one of them at random$/,
    ],
    [
      "an ID that gets no payload, beside containerd's own",
      changed([`"${TAR_ID}"]`, `"${TAR_ID}.zstd"]`]),
      /^warning: no containerd passes a payload to the ID \S+tar.zstd$/,
    ],
    [
      "a plain type",
      changed([`"${TAR}+encrypted",`, `"${TAR}+encrypted", "${TAR}",`]),
      /^error: \S+ accepts \S+tar, which is not encrypted/,
    ],
    [
      "returns of an encrypted type",
      changed([`returns = "${TAR}"`, `returns = "${TAR}+encrypted"`]),
      /^error: \S+ returns "\S+", which is not the type of a plain layer$/,
    ],
    [
      "returns of nothing",
      changed([`returns = "${TAR}"`, ""]),
      /^error: \S+ returns "", which is not the type/,
    ],
    [
      "returns that don't fit",
      changed([`returns = "${TAR}+gzip"`, `returns = "${TAR}"`]),
      /^error: \S+ returns an uncompressed layer, but .*zstd/,
    ],
    [
      "a path that is nothing",
      changed([program, "/none/ctd-decoder"]),
      /^error: \S+ runs "\/none\/ctd-decoder" \(.*config.toml\), which is not an executable$/,
    ],
    ["a path that is a folder", changed([program, folder]), /which is not an executable$/],
    [
      "a name that isn't on PATH",
      changed([program, "none"]),
      /runs "none" .* not an executable on containerd's PATH$/,
    ],
    [
      "an argument that the decoder refuses",
      changed(['"--decryption-keys-path"', '"--decrypt-keys-path"']),
      /^error: .* the decoder refuses its args: unknown option --decrypt-keys-path$/,
    ],
    [
      "no keys path",
      changed([`"--decryption-keys-path", "${keys}"`, ""]),
      /^warning: \S+ has no --decryption-keys-path/,
    ],
    [
      "a keys path that isn't there",
      changed([`"${keys}"`, '"/none"']),
      /^warning: \S+: the keys path \/none does not exist$/,
    ],
    [
      "a provider configuration that isn't there",
      changed([`CONFIG=${folder}`, "CONFIG=/none"]),
      /^warning: .*key provider configuration \/none\S+ does not exist$/,
    ],
  ])("%s", (_what, text, message) => {
    expect(said(check(text).findings)).toContainEqual(expect.stringMatching(message));
  });

  test("a name on containerd's PATH is found, and other processors are nobody's business", () => {
    const other = `[stream_processors.other]\naccepts = ["application/x"]\npath = "none"\n`;
    expect(check(changed([program, "ctd-decoder"]) + other).findings).toEqual([]);
  });
});

describe("versions", () => {
  test("containerd 1.x reads no version 3", () => {
    expect(said(check(stanza("2.x")).findings)).toEqual([
      expect.stringMatching(
        /^error: containerd 1.7.24 does not read a configuration of version 3 \(\S+config.toml\)$/,
      ),
    ]);
  });

  test.each<[string, string, string | undefined]>([
    // Debian ships 2.1.9 with a version 2 file; imports of version 3 work, but the old CRI section is not converted then.
    ["2.1.9", "", undefined],
    ["2.1.9", `[${OLD}]\nmax_concurrent_downloads = 5`, "warning"],
    ["2.2.2", `[${OLD}]\nmax_concurrent_downloads = 5`, "warning"],
    ["2.3.4", "", "error"],
    ["2.3.4", `[${OLD}]\nmax_concurrent_downloads = 5`, "error"],
    ["2.4.0", "", undefined],
    ["1.7.24", "", "error"],
  ])("containerd %s with an import of version 3 in a version 2 file with %j", (version, text, severity) => {
    const { findings } = check(`version = 2\nimports = ["x.toml"]\n${text}`, version, {
      "x.toml": stanza("2.x"),
    });
    const about = findings.filter(({ message }) => /x\.toml/.test(message));
    expect(about.map((it) => it.severity)).toEqual(severity === undefined ? [] : [severity]);
  });

  test("an import of version 3 makes all of containerd 2.1's configuration version 3", () => {
    const imports = { "x.toml": `${stanza("2.x")}[${IMAGES}]\nuse_local_image_pull = true` };
    expect(check('version = 2\nimports = ["x.toml"]', "2.1.9", imports).payload).toBe(true);
    const old = `version = 2\nimports = ["x.toml"]\n[${OLD}]\nmax_concurrent_downloads = 5`;
    expect(check(old, "2.1.9", { "x.toml": stanza("2.x") }).payload).toBe(false);
    expect(check(old, "2.4.0", { "x.toml": stanza("2.x") }).payload).toBe(true);
  });

  test("an import of version 2 makes all of containerd 2.2's configuration version 2", () => {
    const text = `version = 3\nimports = ["x.toml"]\n[${OLD}]\nmax_concurrent_downloads = 5`;
    for (const [version, isPassed] of [
      ["2.1.9", true],
      ["2.2.2", true],
      ["2.3.0", false],
    ] as const)
      expect(check(text, version, { "x.toml": stanza("1.x") }).payload).toBe(isPassed);
  });

  test("relative patterns, which containerd 1.6 does not follow", () => {
    const text = stanza("1.x").replace(
      "version = 2",
      'version = 2\nimports = ["conf.d/*.toml", "/x/*.toml"]',
    );
    expect(said(check(text, "1.6.20").findings)).toEqual([
      expect.stringMatching(
        /^error: \S+config.toml imports conf.d\/\*.toml, which containerd 1.6 resolves in its/,
      ),
    ]);
    expect(check(text, "1.7.24").findings).toEqual([]);
    const about = said(check(text, "2.1.9").findings).filter((it) => it.includes("conf.d"));
    expect(about).toEqual([]);
  });

  test("an import of the same version is right for containerd 2.3", () => {
    const imported = { "x.toml": "version = 3\n" };
    const text = stanza("2.x").replace("version = 3", 'version = 3\nimports = ["x.toml"]');
    expect(said(check(text, "2.3.0", imported).findings).filter((it) => it.includes("x.toml"))).toEqual([]);
  });

  test("who is to read a file is guessed from its version", () => {
    const root = mkdtempSync(join(folder, "config-"));
    const checked = (series: "1.x" | "2.x") => {
      writeFileSync(join(root, "config.toml"), stanza(series));
      return checkConfigFile(join(root, "config.toml"), { lookup: localLookup("") }).containerd;
    };
    expect([checked("1.x"), checked("2.x")]).toEqual(["1.x", "2.x"]);
  });
});

describe("whether a payload comes", () => {
  test.each<[string, string, boolean]>([
    ["1.6.20", `${stanza("1.x")}[${OLD}.image_decryption]\nkey_model = "node"`, true],
    ["1.7.24", `${stanza("1.x")}[${OLD}.image_decryption]\nkey_model = ""`, false],
    ["2.1.9", `${stanza("2.x")}[${IMAGES}]\nuse_local_image_pull = true`, true],
    ["2.1.6", `${stanza("2.x")}[${IMAGES}]\nuse_local_image_pull = true`, false],
    ["2.0.11", `${stanza("2.x")}[${IMAGES}]\nuse_local_image_pull = true`, false],
    ["2.0.12", `${stanza("2.x")}[${IMAGES}]\nuse_local_image_pull = true`, true],
    ["2.1.7", `${stanza("2.x")}[${IMAGES}]\nuse_local_image_pull = true`, true],
    ["1.7.24", `${stanza("1.x")}[${IMAGES}.image_decryption]\nkey_model = ""`, true],
    ["2.2.1", `${stanza("2.x")}[${IMAGES}]\nuse_local_image_pull = true`, false],
    ["2.2.2", `${stanza("2.x")}[${IMAGES}]\nuse_local_image_pull = true`, true],
    ["2.3.0", `${stanza("2.x")}[${IMAGES}]\nuse_local_image_pull = true`, true],
    [
      "2.3.0",
      `${stanza("2.x")}[${IMAGES}]\nuse_local_image_pull = true\nimage_decryption.key_model = ""`,
      false,
    ],
    ["2.1.9", `${stanza("2.x")}[${IMAGES}]\nmax_concurrent_downloads = 5`, true],
    ["2.1.9", `${stanza("2.x")}[${IMAGES}]\nmax_concurrent_downloads = 3`, false],
    ["2.1.9", `${stanza("2.x")}[${IMAGES}]\ndisable_snapshot_annotations = false`, true],
    ["2.1.9", `${stanza("2.x")}[${IMAGES}]\ndiscard_unpacked_layers = true`, true],
    ["2.1.9", `${stanza("2.x")}[${IMAGES}]\nimage_pull_with_sync_fs = true`, true],
    ["2.1.9", `${stanza("2.x")}[${IMAGES}.registry.mirrors."docker.io"]\nendpoint = ["x"]`, true],
    ["2.1.9", `${stanza("2.x")}[${IMAGES}.registry]\nconfig_path = "/x"`, false],
    ["2.1.9", `${stanza("2.x")}[${OLD}]\nuse_local_image_pull = true`, false],
    // A version 2 file is converted, but for what it never had.
    ["2.1.9", `${stanza("1.x")}[${OLD}]\nuse_local_image_pull = true`, false],
    ["2.1.9", `${stanza("1.x")}[${IMAGES}]\nuse_local_image_pull = true`, true],
    ["2.1.9", `${stanza("1.x")}[${OLD}]\nmax_concurrent_downloads = 5`, true],
    ["2.1.9", `${stanza("1.x")}[${OLD}.containerd]\ndisable_snapshot_annotations = false`, false],
    [
      "2.1.9",
      `${stanza("1.x")}[${OLD}.containerd]\ndisable_snapshot_annotations = false\nruntimes.runc.runtime_type = "x"`,
      true,
    ],
  ])("containerd %s: %s", (version, text, payload) => {
    const checked = check(text, version);
    expect(checked.payload).toBe(payload);
    expect(said(checked.findings).filter((it) => NO_PAYLOAD.test(it))).toHaveLength(payload ? 0 : 1);
  });

  test.each(["--no-content-store", "-no-content-store", "--no-content-store=true", "-no-content-store=true"])(
    "without one, %s is an error",
    (flag) => {
      const text = stanza("2.x").replaceAll("args = [", `args = ["${flag}", `);
      expect(said(check(text, "2.1.9").findings)).toEqual([
        expect.stringMatching(/^error: pulls by Kubernetes pass no payload .*--no-content-store keeps it/),
      ]);
    },
  );

  test("without one, --no-content-store of a single processor is an error", () => {
    const text = stanza("2.x").replace("args = [", 'args = ["--no-content-store", ');
    expect(said(check(text, "2.1.9").findings)).toContainEqual(
      expect.stringMatching(/--no-content-store keeps it/),
    );
  });

  test("without one, a switched off --no-content-store is not an error", () => {
    const flags = '"--no-content-store", "--no-content-store=false", ';
    const text = stanza("2.x").replaceAll("args = [", `args = [${flags}`);
    expect(said(check(text, "2.1.9").findings)).toEqual([expect.stringMatching(NO_PAYLOAD)]);
  });

  test.each(["mirrors.x", "configs.x", "auths.x"])("registry.%s makes containerd pull locally", (table) => {
    const text = `${stanza("2.x")}[${IMAGES}.registry.${table}]\nx = "y"`;
    expect(check(text, "2.1.9").payload).toBe(true);
  });
});

describe("settings that containerd 2.x ignores", () => {
  test("do not include those that it converts because runtimes are configured", () => {
    const text = `${stanza("1.x")}[${OLD}.containerd]\nsnapshotter = "x"\nruntimes.runc.runtime_type = "x"`;
    expect(said(check(text, "2.1.9").findings)).not.toContainEqual(expect.stringMatching(/snapshotter/));
  });

  test.each<[string, string, RegExp]>([
    [
      "use_local_image_pull in the old section",
      `${stanza("1.x")}[${OLD}]\nuse_local_image_pull = true`,
      /ignores use_local_image_pull in/,
    ],
    [
      "old settings in version 3",
      `${stanza("2.x")}[${OLD}]\nmax_concurrent_downloads = 5\ncontainerd.snapshotter = "x"`,
      /ignores containerd, max_concurrent_downloads in .* version 3 configuration/,
    ],
    [
      "settings that are not converted",
      `${stanza("1.x")}[${OLD}.containerd]\nsnapshotter = "x"`,
      /ignores containerd.snapshotter in .* version 2 configuration/,
    ],
  ])("%s", (_what, text, message) => {
    expect(said(check(text, "2.1.9").findings)).toContainEqual(expect.stringMatching(message));
    expect(said(check(text, "1.7.24").findings)).not.toContainEqual(expect.stringMatching(message));
  });
});

describe("keys that containerd ignores are named with their line", () => {
  test.each<[string, string, RegExp]>([
    [
      "a misspelt key",
      changed([`  accepts = [`, "  acepts = ["]),
      /^warning: containerd ignores acepts \(\S+config.toml, line 7\)$/,
    ],
    [
      "the same key of the second processor",
      changed([`  returns = "${TAR}+gzip"`, `  retruns = "${TAR}+gzip"`]),
      /^warning: containerd ignores retruns \(\S+config.toml, line 29\)$/,
    ],
    [
      "a misspelt table",
      'version = 2\n# stream_processor\n[stream_processor."x"]\npath = "ctd-decoder"\n',
      /^warning: containerd ignores stream_processor \(\S+config.toml, line 3\)$/,
    ],
    [
      "a plugin that tutorials invent",
      'version = 2\n[plugins."io.containerd.ocicrypt.v1"]\nkeys = "/k"\n',
      /^warning: containerd ignores plugins."io.containerd.ocicrypt.v1" \(\S+config.toml, line 2\)$/,
    ],
  ])("%s", (_what, text, message) => {
    expect(said(check(text).findings)).toContainEqual(expect.stringMatching(message));
  });

  test("none in containerd's own configuration", () => {
    const text = `${stanza("1.x")}[plugins."io.containerd.grpc.v1.cri".image_decryption]\nkey_model = "node"`;
    expect(check(text).findings).toEqual([]);
  });
});

test("of a flag that is repeated, the last counts", () => {
  const flags = (first: string, last: string) =>
    changed([
      `["--decryption-keys-path", "${keys}"]`,
      `["--decryption-keys-path", "${first}", "--decryption-keys-path=${last}"]`,
    ]);
  expect(check(flags("/none", keys)).findings).toEqual([]);
  expect(said(check(flags(keys, "/none")).findings)).toEqual([
    expect.stringMatching(/^warning: \S+: the keys path \/none does not exist$/),
  ]);
});

describe("a template", () => {
  function checkTemplate(name: string, text: string) {
    const root = mkdtempSync(join(folder, "template-"));
    writeFileSync(join(root, name), text);
    return checkConfigFile(join(root, name), { lookup: localLookup(join(folder, "bin")) });
  }
  const tables = (series: "1.x" | "2.x") => stanza(series).replace(/^version = .*$/m, "");

  test.each([
    ["config.toml.tmpl", "1.x"],
    ["config-v3.toml.tmpl", "2.x"],
  ] as const)("%s is checked as k3s renders it", (name, series) => {
    const { findings, containerd } = checkTemplate(name, `{{ template "base" . }}\n${tables(series)}`);
    expect(containerd).toBe(series);
    expect(said(findings)[0]).toMatch(/^note: \S+tmpl is a template: containerd reads the config.toml/);
    expect(findings.filter(({ severity }) => severity === "error")).toEqual([]);
  });

  test("an error in it is found", () => {
    const text = `{{ template "base" . }}\n${tables("1.x")}${tables("1.x")}`;
    expect(() => checkTemplate("config.toml.tmpl", text)).toThrow(
      /what the template \S+config.toml.tmpl renders to is not valid TOML in line/,
    );
  });
});
