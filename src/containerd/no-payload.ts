import { DecoderError } from "../errors.ts";

/** Which containerds pass a payload. */
const WHO_PASSES =
  "containerd 1.6 and 1.7 pass it to the processors io.containerd.ocicrypt.decoder.v1.tar and ….tar.gzip, 2.1.7, 2.2.2, 2.3 " +
  'and later with use_local_image_pull = true in [plugins."io.containerd.cri.v1.images"] of a config of version 3; ' +
  "otherwise name containerd's content store with --content-store DIR; for a call by hand see ctd-decoder --help";

/** @param why the descriptor could not be found either: "…, and WHY" */
export function noPayload(why: string): DecoderError {
  return new DecoderError(
    "NO_PAYLOAD",
    `containerd passed no payload with the layer's descriptor on file descriptor 3, and ${why}`,
    { hint: WHO_PASSES },
  );
}
