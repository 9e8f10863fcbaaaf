import { expect, test } from "vitest";
import { checkNames } from "../../../../src/trust/check/identity.ts";

/** Skopeo 1.22 gives the same answers. */
test.each([
  ["host.example.test", "host.example.test", true],
  ["HOST.example.test", "host.EXAMPLE.test", true],
  ["*.example.test", "host.example.test", true],
  ["*.test", "example.test", true],
  ["*.example.test", "a.b.example.test", false],
  ["*.example.test", "example.test", false],
  ["*.example.test", ".example.test", false],
  ["h*.example.test", "host.example.test", false],
  ["*", "host", false],
  ["host.example.test", "*.example.test", false],
  ["host.example.test.", "host.example.test", false],
  ["other.example.test", "host.example.test", false],
  ["10.0.0.1", "10.0.0.1", false],
])("a certificate for the host %s is one for %s: %s", (text, host, isOne) => {
  const names = { subjects: [{ kind: "dns", text }], issuer: undefined, workflow: new Map() } as const;
  const check = () => checkNames(names, { subjects: [{ name: "dns", is: { kind: "exact", text: host } }] });
  if (isOne) check();
  else expect(check).toThrow(/is demanded/);
});
