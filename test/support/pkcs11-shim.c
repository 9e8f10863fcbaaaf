/*
 * A PKCS#11 module that passes calls on to another one, for what no real module does when asked:
 *
 *   SHIM_MODULE      the module behind it
 *   SHIM_PARAMETERS  the text that C_Initialize hands it in pReserved (NSS's softokn is told its database so)
 *   SHIM_LOG         a file that gets the name of each function called below, one a line
 *   SHIM_CRASH, SHIM_HANG  the function that does so
 *   SHIM_FLAGS       flags added to every token's, decimal
 *   SHIM_DECRYPT     what C_Decrypt returns without decrypting, decimal
 *   SHIM_NOISE       when set, each of them prints to stdout and stderr, as a module left in debug mode
 */
#include "pkcs11.h"
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* NSS appends a field of its own to the structure. */
struct nss_arguments {
  CK_C_INITIALIZE_ARGS standard;
  char *parameters;
};

static CK_FUNCTION_LIST *real;
static CK_FUNCTION_LIST shim;

static int named(const char *variable, const char *function) {
  const char *value = getenv(variable);
  return value != NULL && strcmp(value, function) == 0;
}

static void called(const char *function) {
  const char *path = getenv("SHIM_LOG");
  FILE *log = path == NULL ? NULL : fopen(path, "a");
  if (log != NULL) {
    fprintf(log, "%s\n", function);
    fclose(log);
  }
  if (getenv("SHIM_NOISE") != NULL) {
    printf("stdout noise of %s\n", function);
    fflush(stdout);
    fprintf(stderr, "stderr noise of %s\n", function);
  }
  if (named("SHIM_CRASH", function)) abort();
  while (named("SHIM_HANG", function)) pause();
}

static CK_RV initialize(void *arguments) {
  struct nss_arguments ours = {{0}};
  called("C_Initialize");
  ours.parameters = getenv("SHIM_PARAMETERS");
  if (ours.parameters == NULL) return real->C_Initialize(arguments);
  ours.standard.pReserved = ours.parameters;
  return real->C_Initialize(&ours);
}

static CK_RV token_info(CK_SLOT_ID slot, CK_TOKEN_INFO *info) {
  CK_RV result = real->C_GetTokenInfo(slot, info);
  const char *flags = getenv("SHIM_FLAGS");
  if (result == CKR_OK && flags != NULL) info->flags |= strtoul(flags, NULL, 10);
  return result;
}

static CK_RV login(CK_SESSION_HANDLE session, CK_USER_TYPE user, CK_UTF8CHAR *pin, CK_ULONG length) {
  called("C_Login");
  return real->C_Login(session, user, pin, length);
}

static CK_RV decrypt(CK_SESSION_HANDLE session, CK_BYTE *in, CK_ULONG in_length, CK_BYTE *out, CK_ULONG *out_length) {
  const char *result = getenv("SHIM_DECRYPT");
  called("C_Decrypt");
  if (result != NULL) return strtoul(result, NULL, 10);
  return real->C_Decrypt(session, in, in_length, out, out_length);
}

static CK_RV finalize(void *reserved) {
  called("C_Finalize");
  return real->C_Finalize(reserved);
}

CK_RV C_GetFunctionList(CK_FUNCTION_LIST **list) {
  const char *path = getenv("SHIM_MODULE");
  void *module = path == NULL ? NULL : dlopen(path, RTLD_NOW);
  CK_RV (*get)(CK_FUNCTION_LIST **) = module == NULL ? NULL : (CK_RV(*)(CK_FUNCTION_LIST **))dlsym(module, "C_GetFunctionList");
  if (get == NULL || get(&real) != CKR_OK) return CKR_GENERAL_ERROR;
  shim = *real;
  shim.C_Initialize = initialize;
  shim.C_GetTokenInfo = token_info;
  shim.C_Login = login;
  shim.C_Decrypt = decrypt;
  shim.C_Finalize = finalize;
  *list = &shim;
  return CKR_OK;
}
