import * as LIMITS from "../limits.ts";
import { checkedDigest } from "../spec/digest.ts";
import * as SYSTEM_LIMITS from "../system-limits.ts";
import type { RegistryClient } from "./client.ts";
import { ACCEPT, plainType, readCapped } from "./document.ts";
import { nextPage } from "./ranges.ts";
import { fallbackTag, parseReferrers, type Referrer } from "./referrers.ts";
import type { Attempted } from "./retry.ts";

/**
 * What refers to a digest, where the registry has the API for it and else by the fallback tag.
 * @param artifactType filters, also where the registry does not
 * @throws DecoderError as `RegistryClient.manifest`
 */
export async function listReferrers(
  client: RegistryClient,
  digest: string,
  artifactType?: string,
): Promise<Referrer[]> {
  checkedDigest(digest);
  const filter = artifactType === undefined ? "" : `?artifactType=${encodeURIComponent(artifactType)}`;
  const attempted = await client.send({
    method: "GET",
    to: client.path(`referrers/${digest}${filter}`),
    headers: { Accept: ACCEPT },
    scopes: client.scopes,
    readsAhead: LIMITS.manifestBytes + 1,
  });
  const { response } = attempted;
  const isList = response.status === 200 && plainType(response.header("content-type")) !== "text/html";
  const all = isList ? await allPages(client, response) : await byFallbackTag(client, attempted, digest);
  return artifactType === undefined ? all : all.filter((entry) => entry.artifactType === artifactType);
}

/** All pages of a list, as far as the limit. */
async function allPages(client: RegistryClient, first: Attempted["response"]): Promise<Referrer[]> {
  const all: Referrer[] = [];
  let response = first;
  for (;;) {
    const found = await parsed(client, response);
    all.push(...found);
    const next = nextPage(response.header("link"), response.url);
    // A page without any would lead on forever.
    if (next === undefined || found.length === 0 || all.length >= SYSTEM_LIMITS.referrers) break;
    const attempted = await client.send({
      method: "GET",
      to: next,
      headers: { Accept: ACCEPT },
      scopes: client.scopes,
      readsAhead: LIMITS.manifestBytes + 1,
    });
    response = await client.expect(attempted, [200], { what: "more referrers" });
  }
  return all.slice(0, SYSTEM_LIMITS.referrers);
}

async function byFallbackTag(
  client: RegistryClient,
  attempted: Attempted,
  digest: string,
): Promise<Referrer[]> {
  const { status } = attempted.response;
  // 404: not supported. 400 and 405 are what registries say that take "referrers" for something else.
  if (![200, 400, 404, 405].includes(status))
    throw await client.refusal(attempted, { what: `referrers of ${digest}` });
  await attempted.response.discard();
  const answer = await client.manifestRequest("GET", fallbackTag(digest));
  if (answer.response.status === 404) {
    await answer.response.discard();
    return [];
  }
  return await parsed(client, await client.expect(answer, [200], { what: `tag ${fallbackTag(digest)}` }));
}

async function parsed(client: RegistryClient, response: Attempted["response"]): Promise<Referrer[]> {
  return parseReferrers(await readCapped(response, LIMITS.manifestBytes, `referrers of ${client.target}`));
}
