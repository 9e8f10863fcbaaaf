import { DecoderError } from "../../errors.ts";
import type {
  SignedBy,
  Signer,
  StatementDemand,
  TextDemand,
  TrustFile,
  WorkflowClaim,
} from "../requirement.ts";
import { exactly, keylessSigner, unnamedLeaf } from "./keyless.ts";
import { wholeMatch } from "./regexp.ts";
import { readTrustFile } from "./trust-file.ts";

/** A signer as the command line names one: keys, or a certificate's identity. */
interface SignerChoice {
  readonly keys: readonly string[];
  readonly subject: string | undefined;
  readonly subjectRegexp: string | undefined;
  readonly issuer: string | undefined;
  readonly issuerRegexp: string | undefined;
  /** What a GitHub workflow's certificate must say besides. */
  readonly workflow: ReadonlyMap<WorkflowClaim, string>;
}

interface SignerDemands {
  readonly trustedRoot: TrustFile | undefined;
  readonly annotations: ReadonlyMap<string, string>;
  /** undefined: required for certificates only. */
  readonly isLogRequired: boolean | undefined;
  readonly isSctRequired: boolean;
  readonly isTimestampRequired: boolean;
  readonly statement: StatementDemand;
}

const HINT = "name a signer with --key, or with --certificate-identity and --certificate-oidc-issuer";

/**
 * One demand, as cosign's flags make it. It compares no image name.
 * @throws DecoderError USAGE when no signer or two kinds of signers are named, BAD_KEY, CONFIG
 */
export function signerDemand(choice: SignerChoice, demands: SignerDemands): SignedBy {
  const { keys, subject, subjectRegexp, issuer, issuerRegexp, workflow } = choice;
  const isKeyless =
    workflow.size > 0 || [subject, subjectRegexp, issuer, issuerRegexp].some((it) => it !== undefined);
  if (isKeyless === keys.length > 0)
    throw new DecoderError(
      "USAGE",
      isKeyless ? "a key and a certificate's identity exclude each other" : "no identity and no key is named",
      { hint: HINT },
    );
  const { trustedRoot, annotations, statement } = demands;
  const isLogged = demands.isLogRequired ?? isKeyless;
  return {
    ...unnamedLeaf(isKeyless ? identityLabel(choice) : `key ${keys.join(" or ")}`, signerOf(choice), {
      annotations,
      statement,
      trustedRoot,
      log: { need: isLogged ? "required" : "ignored", keys: [] },
      sct: demands.isSctRequired ? "required" : "ignored",
    }),
    timestamps: demands.isTimestampRequired ? "required" : "accepted",
  };
}

function signerOf({ keys, subject, subjectRegexp, issuer, issuerRegexp, workflow }: SignerChoice): Signer {
  if (keys.length > 0) return { kind: "keys", keys: keys.map(readTrustFile) };
  const signer = keylessSigner(
    textDemand("certificate-identity", subject, subjectRegexp),
    textDemand("certificate-oidc-issuer", issuer, issuerRegexp),
  );
  return { ...signer, identity: { ...signer.identity, workflow } };
}

function textDemand(option: string, text: string | undefined, regexp: string | undefined): TextDemand {
  if (text !== undefined && regexp === undefined && text !== "") return exactly(text);
  if (regexp !== undefined && text === undefined) {
    return { kind: "regexp", regexp: wholeMatch(regexp, `--${option}-regexp`) };
  }
  throw new DecoderError("USAGE", `one of --${option} and --${option}-regexp is needed`, { hint: HINT });
}

function identityLabel({ subject, subjectRegexp, issuer, issuerRegexp }: SignerChoice): string {
  return `identity ${subject ?? subjectRegexp} by ${issuer ?? issuerRegexp}`;
}
