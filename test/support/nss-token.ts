/**
 * Makes an NSS database with a PIN and an RSA key: `node nss-token.ts MODULE DIRECTORY PIN LABEL BITS`. Prints the public
 * key as JWK. A program of its own: NSS keeps state for the whole process.
 */
import pkcs11js from "pkcs11js";

const [module = "", directory = "", pin = "", label = "", bits = ""] = process.argv.slice(2);
const nss = new pkcs11js.PKCS11();
nss.load(module);
const libraryParameters = `configdir='sql:${directory}' certPrefix='' keyPrefix='' secmod='secmod.db' flags=`;
nss.C_Initialize({ libraryParameters, flags: 0 });

// The first slot is the one for operations without keys.
const [, slot] = nss.C_GetSlotList(true);
if (slot === undefined) throw new Error("NSS has no slot for keys");
const session = nss.C_OpenSession(slot, pkcs11js.CKF_SERIAL_SESSION | pkcs11js.CKF_RW_SESSION);
nss.C_Login(session, pkcs11js.CKU_SO, "");
nss.C_InitPIN(session, pin);
nss.C_Logout(session);
nss.C_Login(session, pkcs11js.CKU_USER, pin);

const common = [
  { type: pkcs11js.CKA_TOKEN, value: true },
  { type: pkcs11js.CKA_LABEL, value: label },
  { type: pkcs11js.CKA_ID, value: Buffer.of(1) },
];
const { publicKey } = nss.C_GenerateKeyPair(
  session,
  { mechanism: pkcs11js.CKM_RSA_PKCS_KEY_PAIR_GEN },
  [
    ...common,
    { type: pkcs11js.CKA_ENCRYPT, value: true },
    { type: pkcs11js.CKA_MODULUS_BITS, value: Number(bits) },
    { type: pkcs11js.CKA_PUBLIC_EXPONENT, value: Buffer.of(1, 0, 1) },
  ],
  [
    ...common,
    { type: pkcs11js.CKA_PRIVATE, value: true },
    { type: pkcs11js.CKA_SENSITIVE, value: true },
    { type: pkcs11js.CKA_DECRYPT, value: true },
  ],
);
const numbers = nss.C_GetAttributeValue(session, publicKey, [
  { type: pkcs11js.CKA_MODULUS },
  { type: pkcs11js.CKA_PUBLIC_EXPONENT },
]);
const [n, e] = numbers.map(({ value }) => Buffer.from(value as Buffer).toString("base64url"));
nss.C_Finalize();
process.stdout.write(JSON.stringify({ kty: "RSA", n, e }));
