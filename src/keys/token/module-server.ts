import type { Handle, PKCS11, TokenInfo } from "pkcs11js";
import { type HelperMessage, NO_BODY } from "../../process/helper-message.ts";
import { serveHelper } from "../../process/helper-server.ts";
import type {
  KeyReply,
  KeySelector,
  ModuleRequest,
  OaepHash,
  Token,
  TokensReply,
} from "./module-protocol.ts";

type Api = typeof import("pkcs11js");
type Reply = object | Uint8Array<ArrayBuffer>;

const KEYS_MATCHED = 2;
/** Room for the largest RSA block, and for modules that ask for more room than they fill. */
const PLAINTEXT_BYTES = 2048;
/** PKCS#11 v3.0 §2.1.8: the OAEP label is part of the parameters. */
const CKZ_DATA_SPECIFIED = 1;
const REASON_CHARS = 300;

/** Serves {@link ModuleRequest}s in the helper process, which loads the PKCS#11 module. */
export async function serve(): Promise<void> {
  let host: ModuleHost | undefined;
  await serveHelper(async ({ head, body }): Promise<HelperMessage> => {
    const request = head as unknown as ModuleRequest;
    try {
      if (request.op === "load") host = await ModuleHost.load(request.module);
      const reply = host?.answer(request, body) ?? {};
      return reply instanceof Uint8Array ? { head: {}, body: reply } : { head: { ...reply }, body: NO_BODY };
    } catch (error) {
      return { head: { failure: failureOf(error) }, body: NO_BODY };
    }
  });
}

class ModuleHost {
  readonly #api: Api;
  readonly #module: PKCS11;
  readonly #slots = new Map<number, Handle>();
  readonly #sessions = new Map<number, Handle>();

  private constructor(api: Api, module: PKCS11) {
    this.#api = api;
    this.#module = module;
  }

  static async load(path: string): Promise<ModuleHost> {
    const { default: api } = await import("pkcs11js").catch((cause) => {
      throw new Error(
        `ctd-decoder's PKCS#11 part needs glibc and a TMPDIR that allows programs to run (${failureOf(cause)})`,
      );
    });
    const module = new api.PKCS11();
    module.load(path);
    module.C_Initialize({ flags: api.CKF_OS_LOCKING_OK });
    return new ModuleHost(api, module);
  }

  answer(request: ModuleRequest, body: Uint8Array<ArrayBuffer>): Reply {
    switch (request.op) {
      case "load":
        return {};
      case "tokens":
        return this.#tokens();
      case "login":
        return this.#login(request.slotId, request.pin);
      case "find key":
        return this.#findKey(request.slotId, request.key);
      case "start decryption":
        this.#module.C_DecryptInit(
          this.#session(request.slotId),
          this.#oaep(request.hash),
          handleOf(request.key),
        );
        return {};
      case "decrypt":
        return this.#decrypt(request.slotId, body);
      case "start encryption":
        this.#module.C_EncryptInit(
          this.#session(request.slotId),
          this.#oaep(request.hash),
          handleOf(request.key),
        );
        return {};
      case "close":
        return this.#close();
    }
  }

  #tokens(): TokensReply {
    const slots = this.#module.C_GetSlotList(true);
    return { tokens: slots.flatMap((slot) => this.#token(slot) ?? []) };
  }

  /** Undefined for a token that is not recognized or not initialized. */
  #token(slot: Handle): Token | undefined {
    let info: TokenInfo;
    try {
      info = this.#module.C_GetTokenInfo(slot);
    } catch {
      return undefined;
    }
    const has = (flag: number) => (info.flags & flag) !== 0;
    if (!has(this.#api.CKF_TOKEN_INITIALIZED)) return undefined;
    const slotId = slotIdOf(slot);
    this.#slots.set(slotId, slot);
    return {
      slotId,
      label: unpadded(info.label),
      serial: unpadded(info.serialNumber),
      manufacturer: unpadded(info.manufacturerID),
      model: unpadded(info.model),
      loginRequired: has(this.#api.CKF_LOGIN_REQUIRED),
      pinLocked: has(this.#api.CKF_USER_PIN_LOCKED),
      pinFinalTry: has(this.#api.CKF_USER_PIN_FINAL_TRY),
    };
  }

  #login(slotId: number, pin: string): object {
    this.#module.C_Login(this.#session(slotId), this.#api.CKU_USER, pin);
    return {};
  }

  #session(slotId: number): Handle {
    const open = this.#sessions.get(slotId);
    if (open !== undefined) return open;
    const slot = this.#slots.get(slotId);
    if (slot === undefined) throw new Error("bug: the slot was never listed");
    const session = this.#module.C_OpenSession(slot, this.#api.CKF_SERIAL_SESSION);
    this.#sessions.set(slotId, session);
    return session;
  }

  #findKey(slotId: number, selector: KeySelector): KeyReply {
    const { CKA_CLASS, CKA_KEY_TYPE, CKA_LABEL, CKA_ID, CKK_RSA, CKO_PRIVATE_KEY, CKO_PUBLIC_KEY } =
      this.#api;
    const session = this.#session(slotId);
    this.#module.C_FindObjectsInit(session, [
      { type: CKA_CLASS, value: selector.class === "private" ? CKO_PRIVATE_KEY : CKO_PUBLIC_KEY },
      { type: CKA_KEY_TYPE, value: CKK_RSA },
      ...(selector.label === undefined ? [] : [{ type: CKA_LABEL, value: selector.label }]),
      ...(selector.id === undefined ? [] : [{ type: CKA_ID, value: Buffer.from(selector.id, "base64") }]),
    ]);
    const keys = this.#module.C_FindObjects(session, KEYS_MATCHED);
    this.#module.C_FindObjectsFinal(session);
    const [key] = keys;
    const handles = keys.map((handle) => handle.toString("hex"));
    return key === undefined ? { handles } : { handles, ...this.#numbers(session, key) };
  }

  /** Reads each attribute alone: a token may withhold one and return the other. */
  #numbers(session: Handle, key: Handle): Pick<KeyReply, "modulus" | "publicExponent"> {
    const modulus = this.#attribute(session, key, this.#api.CKA_MODULUS);
    const publicExponent = this.#attribute(session, key, this.#api.CKA_PUBLIC_EXPONENT);
    return { ...(modulus && { modulus }), ...(publicExponent && { publicExponent }) };
  }

  #attribute(session: Handle, key: Handle, type: number): string | undefined {
    try {
      const [attribute] = this.#module.C_GetAttributeValue(session, key, [{ type }]);
      return Buffer.isBuffer(attribute?.value) ? attribute.value.toString("base64") : undefined;
    } catch {
      return undefined;
    }
  }

  #decrypt(slotId: number, encrypted: Uint8Array): Uint8Array<ArrayBuffer> {
    const room = Buffer.alloc(PLAINTEXT_BYTES);
    const plaintext = new Uint8Array(
      this.#module.C_Decrypt(this.#session(slotId), Buffer.from(encrypted), room),
    );
    room.fill(0);
    return plaintext;
  }

  /** RFC 8017 §7.1 with an empty label. */
  #oaep(hash: OaepHash) {
    const { CKM_RSA_PKCS_OAEP, CKM_SHA_1, CKM_SHA256, CKG_MGF1_SHA1, CKG_MGF1_SHA256 } = this.#api;
    const [hashAlg, mgf] = hash === "sha256" ? [CKM_SHA256, CKG_MGF1_SHA256] : [CKM_SHA_1, CKG_MGF1_SHA1];
    const parameter = { type: this.#api.CK_PARAMS_RSA_OAEP, hashAlg, mgf, source: CKZ_DATA_SPECIFIED };
    return { mechanism: CKM_RSA_PKCS_OAEP, parameter };
  }

  /** A network HSM keeps sessions that are not closed. */
  #close(): object {
    for (const slotId of this.#sessions.keys()) {
      const slot = this.#slots.get(slotId);
      if (slot !== undefined) this.#module.C_CloseAllSessions(slot);
    }
    this.#module.C_Finalize();
    return {};
  }
}

function handleOf(hex: string): Handle {
  return Buffer.from(hex, "hex");
}

/** A handle is a CK_ULONG in the machine's byte order, which is little-endian on every supported machine. */
function slotIdOf(slot: Handle): number {
  return slot.readUIntLE(0, Math.min(slot.length, 6));
}

/** PKCS#11 §3.1: these texts are padded with blanks and not null-terminated. */
function unpadded(text: string): string {
  return text.replace(/[\0 ]+$/, "");
}

/** A message of pkcs11js begins with the CKR name; one about loading is dlopen's. */
function failureOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return /^CKR_\w+/.exec(message)?.[0] ?? (message.split("\n", 1)[0] ?? "").slice(0, REASON_CHARS);
}
