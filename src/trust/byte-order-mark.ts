import { withoutByteOrderMark } from "../encoding/bytes.ts";

/** Advice for text that an editor on Windows has saved. cosign, gpg and skopeo refuse such files, so they are refused here. */
export function markHint(text: Uint8Array): string | undefined {
  if (withoutByteOrderMark(text) === text) return undefined;
  return "it begins with a byte order mark, which cosign, gpg and skopeo refuse: save it as UTF-8 without one";
}
