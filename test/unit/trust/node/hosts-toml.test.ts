import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { matchesImage } from "../../../../src/trust/node/exec-provider.ts";
import { registryHosts } from "../../../../src/trust/node/hosts-toml.ts";
import { temporaryFolder } from "../../../support/temporary.ts";

const folder = temporaryFolder();

function write(name: string, text: string): void {
  mkdirSync(join(folder, name), { recursive: true });
  writeFileSync(join(folder, name, "hosts.toml"), text);
}

describe("the servers of a registry, as containerd has them", () => {
  test("without a folder: the registry itself, by TLS", () => {
    expect(registryHosts([join(folder, "none")], "docker.io")).toMatchObject([
      { api: "https://registry-1.docker.io/v2/", plainHttp: "never" },
    ]);
    expect(registryHosts([join(folder, "none")], "localhost:5000")).toMatchObject([
      { api: "https://localhost:5000/v2/", plainHttp: "fallback" },
    ]);
  });

  test("only a mirror is told whose images it is asked for", () => {
    const namespacesOf = (registry: string, ...hosts: readonly string[]) => {
      write(`apart/${registry}`, hosts.map((host) => `[host."https://${host}"]\n`).join(""));
      return registryHosts([join(folder, "apart")], registry).map(({ name, query }) => [name, query]);
    };
    const asked = (ns: string) => ({ ns });
    expect(namespacesOf("docker.io", "registry-1.docker.io", "mirror.example").slice(0, 2)).toEqual([
      ["registry-1.docker.io", undefined],
      ["mirror.example", asked("docker.io")],
    ]);
    expect(namespacesOf("reg.example", "reg.example", "registry-1.docker.io").slice(0, 2)).toEqual([
      ["reg.example", undefined],
      ["registry-1.docker.io", asked("reg.example")],
    ]);
  });

  test("mirrors in the file's order, then the server", () => {
    write(
      "reg.example_5000_",
      `server = "https://reg.example:5000"
[host."https://mirror.example/team"]
  capabilities = ["pull", "resolve"]
[host."http://10.0.0.1:5001/v2"]
  capabilities = ["pull"]
  [host."http://10.0.0.1:5001/v2".header]
    x-team = ["a", "b"]
[host."https://push.example"]
  capabilities = ["push"]
[host."https://odd.example/api"]
  override_path = true
  skip_verify = true
`,
    );
    expect(registryHosts([folder], "reg.example:5000")).toMatchObject([
      { api: "https://mirror.example/team/v2/", query: { ns: "reg.example:5000" }, tls: { verify: true } },
      { api: "http://10.0.0.1:5001/v2/", plainHttp: "only", headers: { "x-team": "a, b" } },
      { api: "https://odd.example/api/", tls: { verify: false } },
      { api: "https://reg.example:5000/v2/", plainHttp: "never" },
    ]);
    expect(registryHosts([folder], "reg.example:5000").at(-1)).not.toHaveProperty("query");
  });

  test("client certificates have their key in a file of its own or in the same", () => {
    write("tls.example", `client = [["both", ""], ["cert", "key"], "both"]\n`);
    for (const name of ["both", "cert", "key"]) writeFileSync(join(folder, "tls.example", name), name);
    const both = { certificate: "both", key: "both" };
    expect(registryHosts([folder], "tls.example")).toMatchObject([
      { tls: { pairs: [both, { certificate: "cert", key: "key" }, both] } },
    ]);
  });

  test("_default stands for every other registry", () => {
    write("_default", '[host."https://cache.example"]\n');
    expect(registryHosts([folder], "other.example")).toMatchObject([
      { api: "https://cache.example/v2/", query: { ns: "other.example" } },
      { api: "https://other.example/v2/" },
    ]);
  });

  test.each([
    ["x = ", /it is /],
    ['ca = "missing.pem"', /bad\.example\/missing\.pem: no such file/],
    ['ca = "/missing/ca.pem"', /: \/missing\/ca\.pem: no such file/],
    ["ca = 1", /ca is malformed/],
    ['ca = ["a", 1]', /ca is malformed/],
    ["client = 1", /client is malformed/],
    ['server = "ftp://x"', /"ftp:\/\/x" is not the address of a registry/],
    ['server = "xhttps://x"', /is not the address of a registry/],
    ['server = "https://user@x"', /is not the address of a registry/],
    ['server = "https://x/?y"', /is not the address of a registry/],
    ['server = "https://"', /is not the address of a registry/],
    ["skip_verify = 1", /skip_verify is neither true nor false/],
    ["host = 1", /host is not a table/],
    ['[host]\n"https://x" = 1', /https:\/\/x is not a table/],
    ['[host."https://x"]\nheader = 1', /header is not a table/],
    ['[host."https://x"]\ncapabilities = [1]', /capabilities is malformed/],
    ['[host."https://x".header]\nx = 1', /header is malformed/],
  ])("%j is refused", (text, message) => {
    write("bad.example", text);
    let error: unknown;
    try {
      registryHosts([folder], "bad.example");
    } catch (it) {
      error = it;
    }
    expect(error).toMatchObject({ code: "CONFIG", message: expect.stringMatching(message) });
    expect((error as Error).message).toContain("/bad.example/hosts.toml: ");
  });

  test("each server has all that its table says, and nothing else", () => {
    write(
      "whole.example",
      `server = "whole.example"
ca = "ca.pem"
[host."https://mirror.example/v2/"]
  capabilities = "PULL"
`,
    );
    writeFileSync(join(folder, "whole.example/ca.pem"), "a certificate");
    expect(registryHosts([folder], "whole.example")).toEqual([
      {
        name: "mirror.example",
        api: "https://mirror.example/v2/",
        tls: { verify: true, authorities: [], pairs: [] },
        plainHttp: "never",
        plainSecrets: "never",
        canPull: true,
        query: { ns: "whole.example" },
      },
      {
        name: "whole.example",
        api: "https://whole.example/v2/",
        tls: { verify: true, authorities: ["a certificate"], pairs: [] },
        plainHttp: "never",
        plainSecrets: "never",
        canPull: true,
      },
    ]);
  });

  test("a server over plain HTTP gets the credentials of its own host", () => {
    write("plain.example", 'server = "http://plain.example"\n');
    expect(registryHosts([folder], "plain.example")).toMatchObject([
      { api: "http://plain.example/v2/", plainHttp: "only", plainSecrets: "own host" },
    ]);
  });

  test("without hosts.toml, the certificates in the folder are the registry's", () => {
    const place = join(folder, "certified.example");
    mkdirSync(place);
    writeFileSync(join(place, "ca.crt"), "a certificate");
    expect(registryHosts([folder], "certified.example")).toEqual([
      {
        name: "certified.example",
        api: "https://certified.example/v2/",
        tls: { verify: true, authorities: ["a certificate"], pairs: [] },
        plainHttp: "never",
        plainSecrets: "never",
      },
    ]);
  });

  test("a folder with the port counts before one that leaves it out, and any before another root's", () => {
    const hostsIn = (...roots: readonly string[]) =>
      registryHosts(
        roots.map((it) => join(folder, it)),
        "port.example:5000",
      ).map(({ name }) => name);
    write("one/port.example_5000_", '[host."https://escaped.example"]\n');
    write("one/port.example:5000", '[host."https://plain.example"]\n');
    write("two/port.example:5000", '[host."https://second.example"]\n');
    expect(hostsIn("one", "two")).toEqual(["escaped.example", "port.example:5000"]);
    expect(hostsIn("two", "one")).toEqual(["second.example", "port.example:5000"]);
    expect(hostsIn("none", "two")).toEqual(["second.example", "port.example:5000"]);
  });
});

test.each([
  ["*.dkr.ecr.*.amazonaws.com", "1.dkr.ecr.eu-west-1.amazonaws.com/app", true],
  ["*.dkr.ecr.*.amazonaws.com", "dkr.ecr.eu.amazonaws.com/app", false],
  ["*.azurecr.io", "a.b.azurecr.io/app", false],
  ["registry.example", "registry.example/app", true],
  ["registry.example:5000", "registry.example/app", false],
  ["registry.example/team", "registry.example/team/app", true],
  ["registry.example/team", "registry.example/other/app", false],
  ["*.example", "evil.test/x.example", false],
  ["a*c.io", "abc.io/x", true],
  ["a*c.io", "ac.io/x", true],
  ["a*c.io", "bbc.io/x", false],
  ["a*c.io", "abb.io/x", false],
  ["ab*bc.io", "abc.io/x", false],
  ["*m*id.io", "mid.io/x", true],
  ["*m*id.io", "xmxid.io/x", true],
  ["*m*id.io", "xid.io/x", false],
  ["*.io", "io/x", false],
  ["registry.example", "registry.examplex/app", false],
  ["https://registry.example", "registry.example/app", true],
  ["registry.example:5000/a", "registry.example:5000/app", true],
])("kubelet's pattern %s and %s: %s", (pattern, image, is) => expect(matchesImage(pattern, image)).toBe(is));
