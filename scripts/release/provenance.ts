/** The provenance of a release: an in-toto statement with SLSA's provenance predicate, version 1. */

export interface ReleaseFile {
  readonly name: string;
  /** Hexadecimal. */
  readonly sha256: string;
}

export interface Source {
  /** Commit, hexadecimal. */
  readonly commit: string;
  /** RFC 3339, of the commit. */
  readonly created: string;
  readonly version: string;
}

export interface Dependency {
  readonly uri: string;
  /** Hexadecimal. */
  readonly sha512: string;
}

const BUILD_TYPE = "https://ctd-decoder.dev/release/v1";

/** @returns in-toto Statement v1 with a https://slsa.dev/provenance/v1 predicate */
export function provenanceOf(
  files: readonly ReleaseFile[],
  { commit, created, version }: Source,
  runtimes: readonly Dependency[],
): object {
  return {
    _type: "https://in-toto.io/Statement/v1",
    subject: files.map(({ name, sha256 }) => ({ name, digest: { sha256 } })),
    predicateType: "https://slsa.dev/provenance/v1",
    predicate: {
      buildDefinition: {
        buildType: BUILD_TYPE,
        externalParameters: { version },
        internalParameters: { command: "npm run release" },
        resolvedDependencies: [
          { uri: `git+ctd-decoder@${commit}`, digest: { gitCommit: commit } },
          ...runtimes.map(({ uri, sha512 }) => ({ uri, digest: { sha512 } })),
        ],
      },
      runDetails: {
        builder: { id: BUILD_TYPE, version: { "ctd-decoder": version } },
        // The commit's time makes the statement the same in every build of the release.
        metadata: { invocationId: commit, startedOn: created, finishedOn: created },
      },
    },
  };
}
