import type { Bytes } from "../../encoding/bytes.ts";
import type { AsymmetricKey } from "../../keys/keyset.ts";
import * as LIMITS from "../../limits.ts";
import { Secret } from "../../secret.ts";
import type { Opened, UnwrapContext } from "../scheme.ts";
import type { ContentAlgorithm } from "./algorithms.ts";
import { CekUnwrapper } from "./cek.ts";
import { decryptContent } from "./content.ts";
import { type JweMessage, type JweRecipient, parseJwe } from "./message.ts";
import { contentAlgorithm, describeRecipient, mayOpen, type WrappedCek, wrappedCek } from "./recipient.ts";

interface Candidate {
  readonly recipient: JweRecipient;
  readonly wrapped: WrappedCek;
  readonly key: AsymmetricKey;
}

/** Attempts under way at any time after the first one. They keep WebCrypto's thread pool busy. */
const CONCURRENT_TRIES = 32;

/** Opens a JWE (RFC 7516 §5.2) with the RSA and EC keys; see {@link UnwrapScheme}. */
export async function unwrap(packet: Bytes, context: UnwrapContext): Promise<Opened | null> {
  const jwe = parseJwe(packet);
  const content = contentAlgorithm(jwe);
  const ceks = new CekUnwrapper();
  const { keys } = context.keys;
  const areMany = jwe.recipients.length * keys.length > PAIRS_UNNAMED;
  const names = areMany ? await namesOf(jwe, keys) : undefined;
  const candidates = findCandidates(jwe, content, names, context);

  async function open({ wrapped, key }: Candidate): Promise<Secret | null> {
    const cek = await ceks.unwrap(wrapped, key, content.keyBytes);
    if (cek === null) return null;
    const plaintext = await decryptContent(content, cek, jwe);
    cek.fill(0);
    return plaintext && new Secret(plaintext);
  }

  let opened: Opened | null = null;
  async function tryEach(some: Iterable<Candidate>): Promise<void> {
    for (const candidate of some) {
      if (opened) return;
      context.spend();
      const options = await open(candidate);
      if (opened) options?.destroy();
      else if (options)
        opened = { options, recipient: describeRecipient(candidate.recipient), key: candidate.key };
    }
  }

  await tryEach(candidates.slice(0, 1));
  if (opened) return opened;
  const others = candidates.slice(1).values(); // A shared iterator: each candidate is tried once.
  const ends = await Promise.allSettled(Array.from({ length: CONCURRENT_TRIES }, () => tryEach(others)));
  if (opened) return opened;
  for (const end of ends) if (end.status === "rejected") throw end.reason;
  for (const { recipient, key } of candidates)
    context.record({ recipient: describeRecipient(recipient), key, outcome: "the key does not fit" });
  if (context.keys.tokenKeys.length === 0) return null;
  const { openOnTokens } = await import("./token.ts");
  return await openOnTokens(jwe, content, context);
}

/** Finds the pairs of recipient and key worth a try, those with the same `kid` first. Records the reason for all others. */
function findCandidates(
  jwe: JweMessage,
  content: ContentAlgorithm,
  names: ReadonlyMap<AsymmetricKey, string> | undefined,
  context: UnwrapContext,
): Candidate[] {
  const byRank: [Candidate[], Candidate[], Candidate[]] = [[], [], []];
  for (const recipient of jwe.recipients) {
    const wrapped = wrappedCek(recipient, content);
    if ("reason" in wrapped) {
      context.record({ recipient: describeRecipient(recipient), outcome: wrapped.reason });
      continue;
    }
    let hasKey = false;
    for (const key of context.keys.keys) {
      if (!mayOpen(wrapped, key)) continue;
      hasKey = true;
      const candidate = { recipient, wrapped, key };
      const others = byRank[kidRank(candidate, names?.get(key))];
      // Thousands of recipients and a thousand keys make millions of pairs. Only so many are ever tried.
      if (others.length <= LIMITS.unwrapAttempts) others.push(candidate);
    }
    if (!hasKey) {
      context.record({
        recipient: describeRecipient(recipient),
        outcome: "no key here is of that type and size",
      });
    }
  }
  return byRank.flat();
}

/**
 * RFC 7517 §4.5: a kid is a hint. A pair that disagrees is tried last rather than never, because one key may have two
 * names.
 */
function kidRank({ recipient, key }: Candidate, thumbprint: string | undefined): 0 | 1 | 2 {
  const wanted = recipient.header["kid"];
  if (wanted === undefined) return 1;
  if (wanted === key.kid || wanted === thumbprint) return 0;
  return key.kid === undefined ? 1 : 2;
}

/** Up to so many pairs, trying costs less than computing the keys' names. */
const PAIRS_UNNAMED = 4;

/** Thumbprints of the keys, if the recipients have names. */
async function namesOf(
  jwe: JweMessage,
  keys: readonly AsymmetricKey[],
): Promise<ReadonlyMap<AsymmetricKey, string>> {
  if (jwe.recipients.every(({ header }) => header["kid"] === undefined)) return new Map();
  const { thumbprints } = await import("../../keys/thumbprint.ts");
  return thumbprints(keys);
}
