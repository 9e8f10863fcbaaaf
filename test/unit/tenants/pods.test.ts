import { describe, expect, test } from "vitest";
import { parsePod, repositoryOf } from "../../../src/tenants/pods.ts";

describe("the repository of an image", () => {
  test.each([
    ["busybox", "docker.io/library/busybox"],
    ["busybox:1.36", "docker.io/library/busybox"],
    ["tenant/app@sha256:0123", "docker.io/tenant/app"],
    ["index.docker.io/library/busybox", "docker.io/library/busybox"],
    ["registry.example.com/a/b/c:v1@sha256:01", "registry.example.com/a/b/c"],
    ["registry.example.com:5000/a/b:v1", "registry.example.com/a/b"],
    ["localhost/app", "localhost/app"],
    ["localhost:5000/app", "localhost/app"],
    ["[::1]:5000/app:v1", "[::1]/app"],
    ["Registry/app", "Registry/app"],
  ])("%s is in %s", (image, repository) => {
    expect(repositoryOf(image)).toBe(repository);
  });
});

describe("a Pod", () => {
  const metadata = { namespace: "tenant-a", name: "app", uid: "1" };

  test("uses the images of all its containers and image volumes", () => {
    const spec = {
      containers: [{ image: "r.test/a:1" }],
      initContainers: [{ image: "r.test/b" }],
      ephemeralContainers: [{ image: "r.test/c" }],
      volumes: [{ image: { reference: "r.test/d@sha256:01" } }, { emptyDir: {} }],
      imagePullSecrets: [{ name: "s" }, {}],
    };
    const pod = parsePod({ metadata, spec });
    expect(pod).toMatchObject({ namespace: "tenant-a", name: "app", uid: "1", secrets: ["s"] });
    expect([...(pod?.repositories ?? [])].sort()).toEqual(["r.test/a", "r.test/b", "r.test/c", "r.test/d"]);
  });

  test.each([
    ["without a status", undefined, true],
    ["that is pending", { phase: "Pending" }, true],
    ["with a container that waits", statuses("Running", { running: {} }, { waiting: {} }), true],
    ["that runs", statuses("Running", { running: {} }), false],
    ["that has ended", { phase: "Succeeded" }, false],
    ["that has failed", statuses("Failed", { waiting: {} }), false],
  ])("%s", (_what, status, isWaiting) => {
    expect(parsePod({ metadata, spec: {}, ...(status && { status }) })?.isWaiting).toBe(isWaiting);
  });

  test("a mirror Pod is known by its static Pod's UID", () => {
    const annotations = { "kubernetes.io/config.hash": "static", "kubernetes.io/config.mirror": "static" };
    expect(parsePod({ metadata: { ...metadata, annotations }, spec: {} })?.configHash).toBe("static");
    const forged = { "kubernetes.io/config.hash": "another" };
    expect(
      parsePod({ metadata: { ...metadata, annotations: forged }, spec: {} })?.configHash,
    ).toBeUndefined();
  });

  test.each([[{}], [{ metadata: {} }], [{ metadata, spec: [] }]])("%o is not one", (object) => {
    expect(parsePod(object)).toBeUndefined();
  });
});

function statuses(phase: string, ...states: object[]): Record<string, unknown> {
  return { phase, containerStatuses: states.map((state) => ({ state })) };
}
