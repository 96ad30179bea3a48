/* A disk that fails on purpose, to be preloaded: of all that this process does to files below a folder, it
 * counts the operations, and at the k-th the process dies or the disk is full from then on.
 *
 * A write that is the k-th is half done. Reading is never disturbed.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { DIE = 1, FULL = 2 };

static char folder[PATH_MAX];
static long at, count;
static int mode, book = -1;

/* From now on: operations below `where` are told in the file `told`, and the k-th (from 1) fails. */
void fault_arm(const char *where, const char *told, long k, int how) {
    strncpy(folder, where, sizeof folder - 1);
    at = k;
    count = 0;
    mode = how;
    book = open(told, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644);
}

static void die(void) {
    for (;;) kill(getpid(), SIGKILL);
}

static int below(const char *path) {
    size_t length = strlen(folder);
    return length && !strncmp(path, folder, length) && (path[length] == '/' || !path[length]);
}

static int path_of(int fd, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    path[length > 0 ? length : 0] = 0;
    return length > 0;
}

/* Whether this operation is to fail, as the k-th or on a disk that is full; dies if that is how.
 * `fills` are those that a full disk refuses. */
static int fails(const char *what, const char *path, int fills) {
    char line[PATH_MAX + 64];
    if (!*folder || !below(path)) return 0;
    long now = __atomic_add_fetch(&count, 1, __ATOMIC_SEQ_CST);
    int length = snprintf(line, sizeof line, "%s %s\n", what, path + strlen(folder));
    int saved = errno;
    static ssize_t (*real)(int, const void *, size_t);
    if (!real) real = dlsym(RTLD_NEXT, "write");
    if (book >= 0) real(book, line, length);
    errno = saved;
    if (mode == DIE && now == at) return 1;
    if (mode == FULL && now >= at && at && fills) return 1;
    return 0;
}

static int fails_at(const char *what, int dir, const char *path, int fills) {
    char whole[2 * PATH_MAX] = "";
    if (*path != '/') {
        if (dir == AT_FDCWD) {
            if (!getcwd(whole, PATH_MAX)) return 0;
        } else if (!path_of(dir, whole)) return 0;
        strcat(whole, "/");
    }
    strncat(whole, path, PATH_MAX - 1);
    return fails(what, whole, fills);
}

static int fails_on(const char *what, int fd) {
    char path[PATH_MAX];
    return *folder && path_of(fd, path) && fails(what, path, 1);
}

#define REAL(NAME)                          \
    static typeof(&NAME) real;              \
    if (!real) real = (typeof(&NAME))dlsym(RTLD_NEXT, #NAME)
#define REFUSE(VALUE)                       \
    {                                       \
        if (mode == DIE) die();             \
        errno = ENOSPC;                     \
        return VALUE;                       \
    }

#define OPEN(NAME, TYPES, DIR, NAMES)                                                           \
    int NAME TYPES {                                                                            \
        REAL(NAME);                                                                             \
        va_list more;                                                                           \
        va_start(more, flags);                                                                  \
        int bits = va_arg(more, int);                                                           \
        va_end(more);                                                                           \
        if ((flags & O_ACCMODE) != O_RDONLY && fails_at("open", DIR, path, 1)) REFUSE(-1)       \
        return real NAMES;                                                                      \
    }
OPEN(open, (const char *path, int flags, ...), AT_FDCWD, (path, flags, bits))
OPEN(open64, (const char *path, int flags, ...), AT_FDCWD, (path, flags, bits))
OPEN(openat, (int dir, const char *path, int flags, ...), dir, (dir, path, flags, bits))
OPEN(openat64, (int dir, const char *path, int flags, ...), dir, (dir, path, flags, bits))

#define FOPEN(NAME)                                                                             \
    FILE *NAME(const char *path, const char *how) {                                             \
        REAL(NAME);                                                                             \
        if (strpbrk(how, "wa+") && fails_at("open", AT_FDCWD, path, 1)) REFUSE(NULL)            \
        return real(path, how);                                                                 \
    }
FOPEN(fopen)
FOPEN(fopen64)

#define WRITE(NAME, TYPES, NAMES, HALF)                                                         \
    ssize_t NAME TYPES {                                                                        \
        REAL(NAME);                                                                             \
        if (fails_on("write", fd)) {                                                            \
            if (mode == DIE) real HALF;                                                         \
            REFUSE(-1)                                                                          \
        }                                                                                       \
        return real NAMES;                                                                      \
    }
WRITE(write, (int fd, const void *bytes, size_t n), (fd, bytes, n), (fd, bytes, n / 2))
WRITE(writev, (int fd, const struct iovec *parts, int n), (fd, parts, n), (fd, parts, n / 2))
WRITE(pwrite, (int fd, const void *bytes, size_t n, off_t o), (fd, bytes, n, o), (fd, bytes, n / 2, o))
WRITE(pwrite64, (int fd, const void *bytes, size_t n, off64_t o), (fd, bytes, n, o), (fd, bytes, n / 2, o))

#define ON_FD(NAME, WHAT, TYPES, NAMES)                                                         \
    int NAME TYPES {                                                                            \
        REAL(NAME);                                                                             \
        if (fails_on(WHAT, fd)) REFUSE(-1)                                                      \
        return real NAMES;                                                                      \
    }
ON_FD(fsync, "fsync", (int fd), (fd))
ON_FD(fdatasync, "fsync", (int fd), (fd))
ON_FD(ftruncate, "truncate", (int fd, off_t size), (fd, size))
ON_FD(ftruncate64, "truncate", (int fd, off64_t size), (fd, size))

#define ON_PATH(NAME, WHAT, TYPES, NAMES, DIR, PATH, FILLS)                                     \
    int NAME TYPES {                                                                            \
        REAL(NAME);                                                                             \
        if (fails_at(WHAT, DIR, PATH, FILLS)) REFUSE(-1)                                        \
        return real NAMES;                                                                      \
    }
ON_PATH(mkdir, "mkdir", (const char *p, mode_t m), (p, m), AT_FDCWD, p, 1)
ON_PATH(mkdirat, "mkdir", (int d, const char *p, mode_t m), (d, p, m), d, p, 1)
ON_PATH(link, "link", (const char *a, const char *b), (a, b), AT_FDCWD, b, 1)
ON_PATH(linkat, "link", (int d, const char *a, int e, const char *b, int f), (d, a, e, b, f), e, b, 1)
ON_PATH(rename, "rename", (const char *a, const char *b), (a, b), AT_FDCWD, b, 0)
ON_PATH(renameat, "rename", (int d, const char *a, int e, const char *b), (d, a, e, b), e, b, 0)
ON_PATH(unlink, "unlink", (const char *p), (p), AT_FDCWD, p, 0)
ON_PATH(unlinkat, "unlink", (int d, const char *p, int f), (d, p, f), d, p, 0)
ON_PATH(rmdir, "unlink", (const char *p), (p), AT_FDCWD, p, 0)
