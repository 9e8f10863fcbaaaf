import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import type { ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test, vi } from "vitest";
import { KubeApi } from "../../../src/tenants/api.ts";
import { readKubeconfig } from "../../../src/tenants/kubeconfig.ts";
import { FakeTimers } from "../../support/fake-timers.ts";
import { KubeApiDouble } from "../../support/kube-api.ts";

let folder: string;
let double: KubeApiDouble;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "tenants-"));
  double = await KubeApiDouble.start(folder);
});
afterAll(async () => {
  await double.stop();
  rmSync(folder, { recursive: true });
});
beforeEach(() => double.reset());

function apiFor(kubeconfig: string): KubeApi {
  return new KubeApi(() => readKubeconfig(kubeconfig, process.env));
}

const TENANT_POD = { namespace: "tenant-a", name: "app", secrets: ["app-key"] };
const TOO_LONG = 17 * 1024 * 1024;
const base64 = (name: string) => readFileSync(join(folder, name)).toString("base64");

describe("credentials", () => {
  test.each([
    ["a certificate and key in one file", () => undefined],
    [
      "certificate and key as data",
      () => ({ "client-certificate-data": base64("kubelet.crt"), "client-key-data": base64("kubelet.key") }),
    ],
  ])("%s name the node and list its Pods", async (_what, user) => {
    double.pods.push(TENANT_POD, { namespace: "tenant-b", name: "other", node: "node-2" });
    const api = apiFor(double.kubeconfig(user()));
    const node = await api.nodeName();
    expect(node).toBe("node-1");
    expect(await api.podsOf(node)).toMatchObject([{ name: "app" }]);
    api.close();
  });

  test.each([
    ["a token", () => ({ token: "abc" })],
    ["a token file", () => tokenFile("abc\n")],
    ["an exec plugin", () => ({ exec: plugin('{"status":{"token":"abc"}}') })],
  ])("%s is sent as a bearer token", async (_what, user) => {
    double.tokens.set("abc", "system:node:node-1");
    double.pods.push(TENANT_POD);
    const api = apiFor(double.kubeconfig(user()));
    expect(await api.podsOf("node-1")).toHaveLength(1);
    await expect(api.nodeName()).rejects.toMatchObject({
      code: "TENANTS",
      hint: "run `ctd-decoder install --tenants --node-name NAME --restart`",
    });
    api.close();
  });

  test.each([
    ["no credentials", {}, "no certificate, token or exec plugin"],
    ["a plugin that fails", { exec: { command: "false" } }, "exit code 1"],
    ["a plugin that is missing", { exec: { command: "no-such-plugin" } }, "not started"],
    ["a plugin that prints nothing", { exec: { command: "true" } }, "not an ExecCredential"],
  ])("%s: a message without secrets", async (_what, user, message) => {
    const api = apiFor(double.kubeconfig(user));
    await expect(api.podsOf("node-1")).rejects.toMatchObject(refusal(message));
  });

  test.each([
    ["plain http", { server: "http://127.0.0.1:1" }, "not an https URL"],
    ["no verification", { "insecure-skip-tls-verify": true }, "insecure-skip-tls-verify"],
    ["no authority", { "certificate-authority": "" }, "no certificate authority"],
  ])("a cluster with %s is refused before any connection", async (_what, cluster, message) => {
    const config = double.kubeconfig(undefined, cluster);
    await expect(readKubeconfig(config, {})).rejects.toMatchObject(refusal(message));
    expect(double.requests).toEqual([]);
  });

  test("a plugin has 5 s to answer", async () => {
    const config = double.kubeconfig({ exec: { command: "sleep", args: ["1000"] } });
    const timers = new FakeTimers();
    const read = readKubeconfig(config, process.env);
    await timers.started(1);
    expect(await timers.endOf(read, 5000)).toEqual({
      status: "rejected",
      reason: expect.objectContaining(refusal("failed: deadline")),
    });
  });

  test("a plugin may print 1 MiB, and no more", async () => {
    const printed = async (size: number) => {
      const { command } = plugin("");
      const [start, end] = ['{"status":{"token":"abc"', "}}"];
      const script = `#!/bin/sh\nprintf '%s%${size - start.length - end.length}s%s' '${start}' '' '${end}'\n`;
      writeFileSync(join(folder, "plugin"), script);
      return await readKubeconfig(double.kubeconfig({ exec: { command } }), process.env);
    };
    expect(await printed(1_048_576)).toHaveProperty("token");
    await expect(printed(1_048_577)).rejects.toMatchObject(refusal("failed: overflow"));
  });

  test("a certificate for another name than the URL's is taken by tls-server-name only", async () => {
    const right = apiFor(double.kubeconfig(undefined, { "tls-server-name": "kubernetes.default" }));
    expect(await right.podsOf("node-1")).toEqual([]);
    right.close();
    const wrong = apiFor(double.kubeconfig(undefined, { "tls-server-name": "elsewhere" }));
    await expect(wrong.podsOf("node-1")).rejects.toMatchObject({ code: "TENANTS" });
    wrong.close();
  });

  test("a rotated token is read anew once", async () => {
    double.tokens.set("old", "system:node:node-1");
    const api = apiFor(double.kubeconfig(tokenFile("old")));
    await api.podsOf("node-1");
    double.tokens.clear();
    double.tokens.set("new", "system:node:node-1");
    tokenFile("new");
    expect(await api.podsOf("node-1")).toEqual([]);
    expect(double.requests).toHaveLength(3);
    double.tokens.clear();
    await expect(api.podsOf("node-1")).rejects.toMatchObject(refusal("answered 401"));
    api.close();
  });
});

describe("the Node authorizer", () => {
  test("gives a Secret that a Pod of the node names, and no other", async () => {
    double.pods.push(TENANT_POD, {
      namespace: "tenant-b",
      name: "other",
      node: "node-2",
      secrets: ["b-key"],
    });
    const data = { "app.pem": "key" };
    double.secrets.push({ namespace: "tenant-a", name: "app-key", type: "t", data });
    double.secrets.push({ namespace: "tenant-b", name: "b-key", type: "t", data });
    const api = apiFor(double.kubeconfig());
    expect(await api.secret("tenant-a", "app-key")).toMatchObject({ data: { "app.pem": "a2V5" } });
    await expect(api.secret("tenant-b", "b-key")).rejects.toMatchObject(refusal("answered 403"));
    await expect(api.podsOf("node-2")).rejects.toMatchObject(refusal("answered 403"));
    api.close();
  });

  test("a Secret that is gone is undefined", async () => {
    double.pods.push(TENANT_POD);
    const api = apiFor(double.kubeconfig());
    expect(await api.secret("tenant-a", "app-key")).toBeUndefined();
    api.close();
  });
});

interface Misbehaviour {
  readonly what: string;
  readonly message: RegExp;
  answer(response: ServerResponse): void;
}

const MISBEHAVIOURS: readonly Misbehaviour[] = [
  { what: "no JSON", message: /not JSON/, answer: (response) => response.writeHead(200).end("<html>") },
  { what: "another document", message: /no items/, answer: (response) => response.writeHead(200).end("{}") },
  {
    what: "a redirect",
    message: /answered 302/,
    answer: (response) => response.writeHead(302, { location: "https://127.0.0.1:1/" }).end(),
  },
  {
    what: "half of what it announces",
    message: /broke off|aborted|hang up|socket/,
    answer(response) {
      response.writeHead(200, { "content-length": 1000 });
      response.write("{", () => response.destroy());
    },
  },
  {
    what: "too much",
    message: /more than/,
    answer(response) {
      response.writeHead(200, { "content-length": TOO_LONG }).write("{");
    },
  },
  {
    what: "too much, without its length",
    // A loaded machine may reach the deadline first.
    message: /more than|no answer within/,
    answer(response) {
      response.writeHead(200);
      const piece = Buffer.alloc(1024 * 1024, 0x20);
      for (let i = 0; i < 17; i++) response.write(piece);
      response.end();
    },
  },
  {
    what: "a terminal's commands",
    message: /answered 500: a \[2Jb c$/,
    answer: (response) => response.writeHead(500).end(JSON.stringify({ message: "a\u001b[2Jb\nc" })),
  },
];

describe("an API server that misbehaves", () => {
  test("16 MiB of an answer are awaited, and not a byte more", async () => {
    const announced = async (size: number) => {
      double.fault = (_request, response) => {
        response.writeHead(200, { "content-length": size });
        response.write("{", () => response.destroy());
        return true;
      };
      const api = apiFor(double.kubeconfig());
      const error = await api.pod("tenant-a", "app").catch(({ message }) => message);
      api.close();
      return error;
    };
    expect(await announced(16_777_216)).not.toMatch(/more than/);
    expect(await announced(16_777_217)).toMatch(/its answer has more than 16777216 bytes/);
  });

  test("that takes longer than 5 s is not waited for", async () => {
    const aborting = new AbortController();
    const timeout = vi.spyOn(AbortSignal, "timeout").mockReturnValue(aborting.signal);
    onTestFinished(() => timeout.mockRestore());
    double.fault = () => {
      aborting.abort();
      return true;
    };
    const api = apiFor(double.kubeconfig());
    await expect(api.podsOf("node-1")).rejects.toMatchObject(refusal("no answer within 5 s"));
    expect(timeout.mock.calls).toEqual([[5000]]);
    api.close();
  });

  test("with a list of Pods without end is asked for 1,024 pages", async () => {
    double.fault = (request, response) => {
      const isPage = request.url?.includes("limit=") === true;
      const page = JSON.stringify({ items: [], metadata: { continue: "more" } });
      if (isPage) response.writeHead(200).end(page);
      else response.writeHead(200, { "content-length": TOO_LONG }).write("{");
      return true;
    };
    const api = apiFor(double.kubeconfig());
    await expect(api.podsOf("node-1")).rejects.toMatchObject(refusal("more than 1024 pages"));
    expect(double.requests).toHaveLength(1 + 1024);
    api.close();
  });

  test.each(MISBEHAVIOURS)("an answer of $what is refused", async ({ answer, message }) => {
    double.fault = (_request, response) => {
      answer(response);
      return true;
    };
    const api = apiFor(double.kubeconfig());
    await expect(api.podsOf("node-1")).rejects.toMatchObject({
      code: "TENANTS",
      message: expect.stringMatching(message),
    });
    api.close();
  });

  test("a name that is not a name is not asked for", async () => {
    const api = apiFor(double.kubeconfig());
    await expect(api.secret("tenant-a", "../../pods")).rejects.toMatchObject({ code: "TENANTS" });
    await expect(api.pod("", "x")).rejects.toMatchObject({ code: "TENANTS" });
    expect(double.requests).toEqual([]);
    api.close();
  });
});

function refusal(message: string): object {
  return { code: "TENANTS", message: expect.stringContaining(message) };
}

function tokenFile(token: string): object {
  writeFileSync(join(folder, "token"), token);
  return { tokenFile: "token" };
}

function plugin(answer: string): { readonly command: string; readonly apiVersion: string } {
  const path = join(folder, "plugin");
  writeFileSync(path, `#!/bin/sh\ncase $KUBERNETES_EXEC_INFO in *ExecCredential*) echo '${answer}';; esac\n`);
  chmodSync(path, 0o755);
  return { command: "./plugin", apiVersion: "client.authentication.k8s.io/v1" };
}

describe("a list of Pods that is too long", () => {
  /** The double, whose answers with more Pods than that are too long. */
  function longAbove(most: number): KubeApi {
    for (let i = 0; i < 40; i++) double.pods.push({ namespace: "tenant-b", name: `large-${i}` });
    double.pods.push(TENANT_POD);
    double.fault = (request, response) => {
      const limit = new URL(request.url ?? "", double.url).searchParams.get("limit");
      const isLong = Number(limit ?? double.pods.length) > most;
      if (isLong) response.writeHead(200, { "content-length": TOO_LONG }).write("{");
      return isLong;
    };
    return apiFor(double.kubeconfig());
  }

  test.each([
    ["some", 16, 4],
    ["one by one", 1, 1 + 2 * 41],
  ])("comes in pages, %s", async (_what, most, requests) => {
    const api = longAbove(most);
    const names = (await api.podsOf("node-1")).map(({ name }) => name);
    api.close();
    expect(names).toHaveLength(41);
    expect(new Set(names)).toEqual(new Set(double.pods.map(({ name }) => name)));
    expect(double.requests).toHaveLength(requests);
  });

  test("is refused when one Pod is too long", async () => {
    const api = longAbove(0);
    await expect(api.podsOf("node-1")).rejects.toMatchObject(refusal("its answer has more than"));
    api.close();
  });
});
