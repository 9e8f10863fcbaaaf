import {
  Client,
  connectivityState,
  credentials,
  logVerbosity,
  type ServiceError,
  setLogVerbosity,
  status,
} from "@grpc/grpc-js";
import { decodeFields, encodeField } from "../../encoding/protobuf.ts";
import * as LIMITS from "../../limits.ts";
import type { SchemeSettings } from "../scheme.ts";
import { type GrpcProvider, inWords, providerError } from "./configuration.ts";
import { tlsCredentials } from "./tls.ts";

const SERVICE = "/keyprovider.KeyProviderService/";

/** KeyProviderKeyWrapProtocolInput and -Output have a single field of bytes. */
const MESSAGE_FIELD = 1;
/** Size of the field's tag and of a length with 15 to 21 bits. */
const FRAME_BYTES = 4;

const CHANNEL_OPTIONS = {
  // Proxy variables are meant for pulling images. Keys go to the provider only.
  "grpc.enable_http_proxy": 0,
  // A service configuration from DNS could demand retries and another balancing.
  "grpc.service_config_disable_resolution": 1,
  "grpc.enable_retries": 0,
  "grpc.max_receive_message_length": LIMITS.providerOutputBytes + FRAME_BYTES,
} as const;

/**
 * Calls a provider by gRPC once, over a connection of its own.
 * @param method "WrapKey" or "UnWrapKey"
 * @returns the JSON of the answer
 * @throws DecoderError PROVIDER
 */
export async function callGrpc(
  provider: GrpcProvider,
  method: string,
  request: Uint8Array,
  settings: SchemeSettings,
): Promise<Uint8Array<ArrayBuffer>> {
  // The library writes to the console, whose text becomes the message of a failed pull.
  setLogVerbosity(logVerbosity.NONE);
  const client = connect(provider, settings);
  const message = encodeField(MESSAGE_FIELD, request);
  try {
    const deadline = Date.now() + settings.providerTimeoutMs;
    const answer = await unaryCall(client, SERVICE + method, Buffer.from(message.buffer), deadline);
    const json = decodeFields(answer)?.get(MESSAGE_FIELD);
    if (json === undefined)
      throw providerError(provider.name, "gave an answer that is not a key provider message");
    return json;
  } catch (error) {
    if (!isServiceError(error)) throw error;
    throw failure(provider, client, error, settings);
  } finally {
    message.fill(0);
    client.close();
  }
}

function connect(provider: GrpcProvider, settings: SchemeSettings): Client {
  const secure = provider.tls && tlsCredentials(provider.name, provider.tls, settings.environment);
  try {
    return new Client(provider.target, secure ?? credentials.createInsecure(), CHANNEL_OPTIONS);
  } catch (cause) {
    throw providerError(provider.name, `can't be called: "${provider.target}" is not a gRPC target`, {
      cause,
    });
  }
}

function unaryCall(
  client: Client,
  method: string,
  message: Buffer,
  deadline: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const { promise, resolve, reject } = Promise.withResolvers<Uint8Array<ArrayBuffer>>();
  const serialize = (bytes: Buffer) => bytes;
  const deserialize = (bytes: Buffer) => new Uint8Array(bytes);
  client.makeUnaryRequest(method, serialize, deserialize, message, { deadline }, (error, answer) => {
    if (error) reject(error);
    else resolve(answer ?? new Uint8Array());
  });
  return promise;
}

function isServiceError(error: unknown): error is ServiceError {
  return error instanceof Error && "code" in error && typeof error.code === "number" && "details" in error;
}

function failure(
  provider: GrpcProvider,
  client: Client,
  error: ServiceError,
  settings: SchemeSettings,
): Error {
  if (error.code === status.DEADLINE_EXCEEDED) {
    return providerError(provider.name, `did not answer within ${settings.providerTimeoutMs / 1000} s`);
  }
  // The library's own words about a connection are useful. A provider's may reveal more than a pod event should.
  if (error.code === status.UNAVAILABLE && !isConnected(client)) {
    return providerError(
      provider.name,
      `could not be reached at ${provider.target}: ${connectionDetail(error)}`,
    );
  }
  const code = status[error.code] ?? error.code;
  const detail = settings.verbose ? `: ${inWords(error.details)}` : " (--verbose adds its message)";
  return providerError(provider.name, `failed with gRPC status ${code}${detail}`);
}

function isConnected(client: Client): boolean {
  return client.getChannel().getConnectivityState(false) === connectivityState.READY;
}

/** Extracts the cause from "No connection established. Last error: Error [CODE]: <cause> (<time>). Resolution note: ". */
function connectionDetail(error: ServiceError): string {
  const text = inWords(error.details);
  const cause = /Last error: (?:\w*Error(?: \[\w+\])?: )?(.*?)(?: \([-\d:.TZ]+\))?\. Resolution note:/.exec(
    text,
  )?.[1];
  return cause ?? text;
}
