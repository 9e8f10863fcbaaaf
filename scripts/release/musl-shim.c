/*
 * What Debian's libstdc++ and libgcc_s take from glibc and musl lacks. Debian has no libstdc++ for musl, so a release's check
 * runs the musl executables with these, by musl's own loader and C library. It is preloaded, under the name of glibc's loader,
 * which the libraries for x64 demand.
 */
#include <stddef.h>

extern long getrandom(void *buffer, size_t length, unsigned flags);
extern unsigned long getauxval(unsigned long type);
extern size_t strftime_l(char *text, size_t size, const char *format, const void *time, void *locale);

char __libc_single_threaded = 0;

unsigned arc4random(void) {
  unsigned value = 0;
  getrandom(&value, sizeof value, 0);
  return value;
}

unsigned long __getauxval(unsigned long type) {
  return getauxval(type);
}

size_t __strftime_l(char *text, size_t size, const char *format, const void *time, void *locale) {
  return strftime_l(text, size, format, time, locale);
}

/* Destructors of a thread's variables do not run: a short test can do without them. */
int __cxa_thread_atexit_impl(void (*destructor)(void *), void *object, void *library) {
  return 0;
}

/* Not found: libgcc_s then looks for unwind tables with dl_iterate_phdr, which musl has. */
int _dl_find_object(void *address, void *result) {
  return -1;
}

/* No processor features are reported. */
unsigned __cpu_model[4];

int __cpu_indicator_init(void) {
  return 0;
}
