/** Bills of materials of one executable: CycloneDX 1.6 and SPDX 2.3, both as JSON. */
import { createHash } from "node:crypto";
import type { Component } from "./components.ts";

export interface SbomSubject {
  /** File name of the executable. */
  readonly name: string;
  readonly version: string;
  /** SHA-256 of the executable, hexadecimal. */
  readonly sha256: string;
  /** RFC 3339 in whole seconds, from the release's commit. */
  readonly created: string;
}

const OWN_LICENCE = "Apache-2.0";

/** CycloneDX 1.6, ECMA-424. */
export function cycloneDx(
  { name, version, sha256, created }: SbomSubject,
  components: readonly Component[],
): object {
  return {
    $schema: "http://cyclonedx.org/schema/bom-1.6.schema.json",
    bomFormat: "CycloneDX",
    specVersion: "1.6",
    serialNumber: `urn:uuid:${uuidOf(`cyclonedx ${sha256}`)}`,
    version: 1,
    metadata: {
      timestamp: created,
      component: {
        type: "application",
        "bom-ref": name,
        name,
        version,
        licenses: [{ expression: OWN_LICENCE }],
        hashes: [{ alg: "SHA-256", content: sha256 }],
      },
    },
    components: components.map((it) => ({
      type: it.folder === undefined ? "platform" : "library",
      "bom-ref": it.purl,
      name: it.name,
      version: it.version,
      purl: it.purl,
      licenses: [{ expression: it.licence }],
      hashes: [{ alg: "SHA-512", content: sha512Hex(it) }],
    })),
    dependencies: [
      { ref: name, dependsOn: components.map(({ purl }) => purl) },
      ...components.map(({ purl }) => ({ ref: purl })),
    ],
  };
}

/** SPDX 2.3, ISO/IEC 5962. */
export function spdx(
  { name, version, sha256, created }: SbomSubject,
  components: readonly Component[],
): object {
  const root = {
    SPDXID: "SPDXRef-executable",
    name,
    versionInfo: version,
    downloadLocation: "NOASSERTION",
    filesAnalyzed: false,
    licenseConcluded: OWN_LICENCE,
    licenseDeclared: OWN_LICENCE,
    copyrightText: "NOASSERTION",
    primaryPackagePurpose: "APPLICATION",
    checksums: [{ algorithm: "SHA256", checksumValue: sha256 }],
  };
  const packages = components.map((it, index) => ({
    SPDXID: `SPDXRef-package-${index + 1}`,
    name: it.name,
    versionInfo: it.version,
    downloadLocation: "NOASSERTION",
    filesAnalyzed: false,
    licenseConcluded: it.licence,
    licenseDeclared: it.licence,
    copyrightText: "NOASSERTION",
    checksums: [{ algorithm: "SHA512", checksumValue: sha512Hex(it) }],
    externalRefs: [
      { referenceCategory: "PACKAGE-MANAGER", referenceType: "purl", referenceLocator: it.purl },
    ],
  }));
  return {
    spdxVersion: "SPDX-2.3",
    dataLicense: "CC0-1.0",
    SPDXID: "SPDXRef-DOCUMENT",
    name: `${name}-${version}`,
    documentNamespace: `urn:uuid:${uuidOf(`spdx ${sha256}`)}`,
    creationInfo: { created, creators: ["Tool: ctd-decoder-release"] },
    packages: [root, ...packages],
    relationships: [
      { spdxElementId: "SPDXRef-DOCUMENT", relationshipType: "DESCRIBES", relatedSpdxElement: root.SPDXID },
      ...packages.map(({ SPDXID }) => ({
        spdxElementId: root.SPDXID,
        relationshipType: "CONTAINS",
        relatedSpdxElement: SPDXID,
      })),
    ],
  };
}

function sha512Hex({ integrity }: Component): string {
  return Buffer.from(integrity.slice("sha512-".length), "base64").toString("hex");
}

/** Derives a UUID from the input, RFC 9562 §5.8 (version 8). */
function uuidOf(text: string): string {
  const bytes = createHash("sha256").update(text).digest().subarray(0, 16);
  bytes.writeUInt8((bytes.readUInt8(6) & 0x0f) | 0x80, 6);
  bytes.writeUInt8((bytes.readUInt8(8) & 0x3f) | 0x80, 8);
  const hex = bytes.toString("hex");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}
