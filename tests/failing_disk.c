/* Preloaded (LD_PRELOAD): the n-th call that changes what lies under one folder fails, as on a full or a failing disk.

   failing_disk_begin(folder, at, error, lasting): count anew; from call `at` on (0: never) fail with `error`, once or
   lasting. failing_disk_count(): calls so far. Counted are writes, truncation, synchronisation, renaming and creation. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static char folder[4096];
static size_t length;
static long count, fail_at;
static int error_number, is_lasting;

void failing_disk_begin(const char *under, long at, int error, int lasting) {
  snprintf(folder, sizeof folder, "%s", under);
  length = strlen(folder);
  count = 0;
  fail_at = at;
  error_number = error;
  is_lasting = lasting;
}

long failing_disk_count(void) { return count; }

static int fails(void) {
  long now = __atomic_add_fetch(&count, 1, __ATOMIC_SEQ_CST);
  if (fail_at == 0 || (is_lasting ? now < fail_at : now != fail_at)) return 0;
  errno = error_number;
  return 1;
}

static int path_fails(const char *path) {
  if (length == 0 || path == NULL || strncmp(path, folder, length) != 0) return 0;
  return fails();
}

static int file_fails(int file) {
  char link[64], path[4096];
  if (length == 0) return 0;
  snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  ssize_t size = readlink(link, path, sizeof path - 1);
  if (size < 0) return 0;
  path[size] = 0;
  return path_fails(path);
}

#define REAL(name) ((__typeof__(name) *)dlsym(RTLD_NEXT, #name))
#define ON_FILE(result, name, parameters, ...)        \
  result name parameters {                            \
    return file_fails(file) ? -1 : REAL(name)(file, ##__VA_ARGS__); \
  }

ON_FILE(ssize_t, write, (int file, const void *data, size_t size), data, size)
ON_FILE(ssize_t, pwrite, (int file, const void *data, size_t size, off_t at), data, size, at)
ON_FILE(ssize_t, pwrite64, (int file, const void *data, size_t size, off64_t at), data, size, at)
ON_FILE(ssize_t, writev, (int file, const struct iovec *parts, int number), parts, number)
ON_FILE(int, fsync, (int file))
ON_FILE(int, fdatasync, (int file))
ON_FILE(int, ftruncate, (int file, off_t size), size)
ON_FILE(int, ftruncate64, (int file, off64_t size), size)

int rename(const char *from, const char *to) { return path_fails(to) ? -1 : REAL(rename)(from, to); }

int mkdir(const char *path, mode_t mode) {
  int (*real)(const char *, mode_t) = dlsym(RTLD_NEXT, "mkdir");
  return path_fails(path) ? -1 : real(path, mode);
}

#define OPENS(name)                                                          \
  int name(const char *path, int flags, ...) {                               \
    mode_t mode = 0;                                                         \
    if (flags & O_CREAT) {                                                   \
      va_list rest;                                                          \
      va_start(rest, flags);                                                 \
      mode = va_arg(rest, mode_t);                                           \
      va_end(rest);                                                          \
      if (access(path, F_OK) != 0 && path_fails(path)) return -1;            \
    }                                                                        \
    return REAL(name)(path, flags, mode);                                    \
  }

OPENS(open)
OPENS(open64)
