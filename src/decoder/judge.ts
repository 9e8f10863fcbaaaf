import { isAuthenticFile } from "../cipher/authenticator.ts";
import type { FoundLayer } from "../containerd/payload.ts";
import { DecoderError } from "../errors.ts";
import type { OpenedLayer } from "../layer/open.ts";
import * as LIMITS from "../limits.ts";

/** A descriptor of the layer whose wrapped key was opened. */
export interface Opening {
  readonly found: FoundLayer;
  readonly layer: OpenedLayer;
}

/** Chooses between several keys that open one layer, by the HMAC over the layer's blob. */
export class Judge {
  readonly #judged: Opening[];
  #bytesLeft: number = LIMITS.candidatesHashBytes;

  /** @param before openings whose HMAC did not hold */
  constructor(before: readonly Opening[]) {
    this.#judged = [...before];
  }

  /**
   * Chooses from a group of openings. Those with a key that came before are left out. The first key of all is not tried on
   * the blob if it is alone in its group, since the layer's own HMAC will be checked.
   * @returns the right one, if there is one
   * @throws DecoderError CONTENT_STORE when the HMAC holds under two keys, LIMIT when it would take too much hashing
   */
  choose(openings: readonly Opening[]): Opening | undefined {
    const isFirst = this.#judged.length === 0;
    const others: Opening[] = [];
    for (const opening of openings) {
      if (this.#judged.some(({ layer }) => isSame(layer, opening.layer))) continue;
      this.#judged.push(opening);
      others.push(opening);
    }
    if (isFirst && others.length === 1) return others[0];
    const [right, another] = others.filter((opening) => this.#isAuthentic(opening, others.length));
    if (another !== undefined) throw ambiguous();
    return right;
  }

  #isAuthentic({ found: { blob }, layer }: Opening, count: number): boolean {
    if (blob === undefined) return false;
    this.#bytesLeft -= blob.file.size;
    if (this.#bytesLeft < 0) throw tooMuchToHash(count);
    return isAuthenticFile(blob.file, layer.options);
  }
}

/** Whether two keys decrypt a layer to the same bytes, and accept the same ciphertext. */
function isSame({ options: a }: OpenedLayer, { options: b }: OpenedLayer): boolean {
  const areSame = (one: Uint8Array, other: Uint8Array) => Buffer.compare(one, other) === 0;
  return areSame(a.key.bytes, b.key.bytes) && areSame(a.nonce, b.nonce) && areSame(a.hmac, b.hmac);
}

const WHICH_IMAGE =
  "remove the image that does not belong on this node, or let containerd pass the descriptor (see ctd-decoder doctor)";

function ambiguous(): DecoderError {
  return new DecoderError(
    "CONTENT_STORE",
    "manifests in the content store open this layer with different keys, and nothing shows which image is being unpacked",
    { hint: WHICH_IMAGE },
  );
}

function tooMuchToHash(count: number): DecoderError {
  return new DecoderError(
    "LIMIT",
    `manifests in the content store open this layer with ${count} different keys, and it is too large to try them`,
    { hint: WHICH_IMAGE },
  );
}
