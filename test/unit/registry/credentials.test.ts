import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import { findCredential } from "../../../src/registry/credentials.ts";
import type { CredentialSearch } from "../../../src/registry/host.ts";
import { temporaryFolder } from "../../support/temporary.ts";

const folder = temporaryFolder();
let count = 0;

/** A home with files of credentials: "docker", "containers", "runtime" → document. */
function home(files: Record<string, unknown>): {
  environment: Record<string, string>;
  path: (name: string) => string;
} {
  count += 1;
  const root = join(folder, String(count));
  const paths: Record<string, string> = {
    runtime: join(root, "run/containers/auth.json"),
    containers: join(root, ".config/containers/auth.json"),
    docker: join(root, ".docker/config.json"),
    named: join(root, "named.json"),
  };
  const path = (name: string) => paths[name] ?? name;
  for (const [name, document] of Object.entries(files)) {
    mkdirSync(dirname(path(name)), { recursive: true });
    writeFileSync(path(name), typeof document === "string" ? document : JSON.stringify(document));
  }
  const environment = { HOME: root, XDG_RUNTIME_DIR: join(root, "run"), PATH: join(root, "bin") };
  return { environment, path };
}

function helper({ PATH = "" }: Record<string, string>, name: string, script: string): void {
  mkdirSync(PATH, { recursive: true });
  writeFileSync(join(PATH, `docker-credential-${name}`), `#!/bin/sh\n${script}\n`);
  chmodSync(join(PATH, `docker-credential-${name}`), 0o755);
}

const auth = (pair: string) => ({ auth: Buffer.from(pair).toString("base64") });

function shown({ credential }: CredentialSearch): string | undefined {
  const text = (secret: { bytes: Uint8Array } | undefined) =>
    secret && new TextDecoder().decode(secret.bytes);
  if (credential === undefined) return undefined;
  const { username, password, identityToken, registryToken } = credential;
  return [username, text(password), text(identityToken), text(registryToken)]
    .map((it) => it ?? "-")
    .join(" ");
}

describe("the place of credentials", () => {
  const find = async (files: Record<string, unknown>, more: object = {}, environment: object = {}) => {
    const made = home(files);
    const found = await findCredential(
      { environment: { ...made.environment, ...environment }, ...more },
      "reg.example",
      "a/b",
    );
    return { ...made, found };
  };
  const all = {
    runtime: { auths: { "reg.example": auth("run:1") } },
    containers: { auths: { "reg.example": auth("con:2") } },
    docker: { auths: { "reg.example": auth("doc:3") } },
    named: { auths: { "reg.example": auth("nam:4") } },
  };

  it("is the command line before all files", async () => {
    expect(shown((await find(all, { given: "ann:p:q" })).found)).toBe("ann p:q - -");
  });

  it("is podman's running folder, then its own, then Docker's", async () => {
    const { runtime, containers, docker } = all;
    expect(shown((await find({ runtime, containers, docker })).found)).toBe("run 1 - -");
    expect(shown((await find({ containers, docker })).found)).toBe("con 2 - -");
    expect(shown((await find({ docker })).found)).toBe("doc 3 - -");
    const { found, path } = await find({});
    expect(found).toEqual({ lookedIn: ["runtime", "containers", "docker"].map(path), unreadable: [] });
  });

  it("is the named file alone", async () => {
    const { environment, path } = home(all);
    const places = { environment, file: path("named") };
    expect(shown(await findCredential(places, "reg.example", "a"))).toBe("nam 4 - -");
    expect(shown(await findCredential(places, "other.example", "a"))).toBeUndefined();
    const named = { environment: { ...environment, REGISTRY_AUTH_FILE: path("named") } };
    expect(shown(await findCredential(named, "reg.example", "a"))).toBe("nam 4 - -");
  });

  it("must exist where it is named", async () => {
    const { environment } = home(all);
    const places = { environment, file: join(folder, "nothing.json") };
    await expect(findCredential(places, "reg.example", "a")).rejects.toMatchObject({ code: "CONFIG" });
  });

  it("is Docker's own folder where $DOCKER_CONFIG names one", async () => {
    const { path } = home(all);
    const { found } = await find({}, {}, { DOCKER_CONFIG: dirname(path("docker")) });
    expect(shown(found)).toBe("doc 3 - -");
  });

  it("is the next one where a file has none for the registry", async () => {
    const { found, path } = await find({ runtime: { auths: { "reg.example": {} } }, docker: all.docker });
    expect(shown(found)).toBe("doc 3 - -");
    expect(found.credential?.origin).toBe(path("docker"));
  });

  it.each(["no colon", ":password"])("is not a command line like %j", async (given) => {
    await expect(find(all, { given })).rejects.toMatchObject({ code: "USAGE" });
  });

  it.each([
    ["no JSON", "{", /not a JSON file/],
    ["no base64", { auths: { "reg.example": { auth: "***" } } }, /base64/],
    ["no colon", { auths: { "reg.example": auth("secret") } }, /^(?!.*secret)/],
  ])("is refused with %s", async (_title, document, message) => {
    await expect(find({ docker: document })).rejects.toMatchObject({
      code: "CONFIG",
      message: expect.stringMatching(message),
    });
  });
});

describe("an entry", () => {
  const look = async (document: unknown, registry = "reg.example", repository = "a/b/c") =>
    shown(
      await findCredential({ environment: home({ docker: document }).environment }, registry, repository),
    );

  it("is the one with the longest name", async () => {
    const auths = {
      "reg.example": auth("host:1"),
      "reg.example/a": auth("a:1"),
      "reg.example/a/b": auth("ab:1"),
      "reg.example/a/bc": auth("abc:1"),
    };
    expect(await look({ auths })).toBe("ab 1 - -");
    expect(await look({ auths }, "reg.example", "a/x")).toBe("a 1 - -");
    expect(await look({ auths }, "reg.example", "ab")).toBe("host 1 - -");
  });

  it.each([
    ["https://reg.example", "reg.example", "x 1 - -"],
    ["https://reg.example/v1/", "reg.example", "x 1 - -"],
    ["reg.example/v2/", "reg.example", "x 1 - -"],
    ["https://reg.example.evil", "reg.example", undefined],
    ["reg.example:5000", "reg.example", undefined],
    ["reg.example/other", "reg.example", undefined],
    ["evil/reg.example", "reg.example", undefined],
    ["https://index.docker.io/v1/", "docker.io", "x 1 - -"],
    ["docker.io", "docker.io", "x 1 - -"],
    ["https://index.docker.io/v1/", "index.example", undefined],
  ])("named %s, for %s: %s", async (key, registry, expected) => {
    expect(await look({ auths: { [key]: auth("x:1") } }, registry)).toBe(expected);
  });

  it.each([
    [auth("ann:pass:word"), "ann pass:word - -"],
    [auth("ann:pass\0\0"), "ann pass - -"],
    [{ username: "ann", password: "p" }, "ann p - -"],
    [{ ...auth("ann:"), identitytoken: "id" }, "ann - id -"],
    [{ registrytoken: "tok" }, " - - tok"],
    [{}, undefined],
    [{ auth: "" }, undefined],
  ])("%j is read as %s", async (entry, expected) => {
    expect(await look({ auths: { "reg.example": entry } })).toBe(expected);
  });
});

describe("a credential helper", () => {
  const ask = async (document: unknown, script: string, name = "vault") => {
    const { environment } = home({ docker: document });
    helper(environment, name, script);
    return await findCredential({ environment }, "reg.example", "a");
  };
  const answer = (username: string, secret: string) =>
    `printf '%s' '${JSON.stringify({ ServerURL: "x", Username: username, Secret: secret })}'`;
  const named = { credHelpers: { "reg.example": "vault" } };

  it("is asked for the registry on its stdin", async () => {
    const script = `read -r host; [ "$1 $host" = "get reg.example" ] && ${answer("ann", "p")}`;
    expect(shown(await ask(named, script))).toBe("ann p - -");
  });

  it("may write 64 KiB, and no more", async () => {
    const { environment } = home({ docker: { credHelpers: { "reg.example": "long" } } });
    const write = (size: number) =>
      helper(environment, "long", `printf '%-${size - 1}s}' '{"Username":"ann","Secret":"p"'`);
    write(65_536);
    expect(shown(await findCredential({ environment }, "reg.example", "a"))).toBe("ann p - -");
    write(65_537);
    await expect(findCredential({ environment }, "reg.example", "a")).rejects.toThrow("it wrote too much");
  });

  it("is asked before the entries, and the helper of all after them", async () => {
    const entry = { auths: { "reg.example": auth("own:1") } };
    expect(shown(await ask({ ...named, ...entry }, answer("ann", "p")))).toBe("ann p - -");
    expect(shown(await ask({ credsStore: "vault", ...entry }, answer("ann", "p")))).toBe("own 1 - -");
    expect(shown(await ask({ credsStore: "vault" }, answer("ann", "p")))).toBe("ann p - -");
  });

  it("may have an identity token", async () => {
    expect(shown(await ask(named, answer("<token>", "id")))).toBe(" - id -");
  });

  it("may have nothing", async () => {
    expect(shown(await ask(named, "echo credentials not found in native keychain; exit 1"))).toBeUndefined();
  });

  it("that is not installed is named", async () => {
    const { environment, path } = home({ docker: { credHelpers: { "reg.example": "ecr-login" } } });
    await expect(findCredential({ environment }, "reg.example", "a")).rejects.toMatchObject({
      code: "UNAUTHORIZED",
      message: `docker-credential-ecr-login, which ${path("docker")} names for reg.example, is not installed`,
    });
  });

  it.each([
    ["fails", "echo hush >&2; echo hush; exit 3", /exit code 3$/],
    ["writes no JSON", "echo hush", /malformed$/],
    ["writes too much", "exec /usr/bin/yes hush", /wrote too much$/],
  ])("that %s is never quoted", async (_title, script, message) => {
    const error = await ask(named, script).catch((it: unknown) => it);
    expect(error).toMatchObject({ code: "UNAUTHORIZED", message: expect.stringMatching(message) });
    expect(String(error)).not.toContain("hush");
  });

  it.each(["../evil", "x/../../evil", "a b", "$(id)", ""])("is not run by the name %j", async (name) => {
    const { environment } = home({ docker: { credHelpers: { "reg.example": name } } });
    const run = findCredential({ environment }, "reg.example", "a");
    if (name === "") expect(shown(await run)).toBeUndefined();
    else await expect(run).rejects.toMatchObject({ code: "CONFIG" });
  });
});
