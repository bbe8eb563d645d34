/* Stands between a process and its disk, by LD_PRELOAD: what is written below one folder is slow, or fails.
 *
 * DISK_FAULT names a file that is mapped here and written by the attacker while the process runs: two 32-bit integers, the
 * milliseconds each write or sync takes longer, and the errno it fails with (0: none). DISK_FOLDER is the folder, as
 * /proc/self/fd shows it. Everything else passes untouched, pipes and sockets too.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

struct fault {
    volatile int32_t delay_ms;
    volatile int32_t error;
};

static struct fault *fault;
static const char *folder;

__attribute__((constructor)) static void map_fault(void)
{
    const char *path = getenv("DISK_FAULT");
    folder = getenv("DISK_FOLDER");
    if (path == NULL || folder == NULL)
        return;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    void *mapped = mmap(NULL, sizeof(struct fault), PROT_READ, MAP_SHARED, fd, 0);
    close(fd);
    if (mapped != MAP_FAILED)
        fault = mapped;
}

/* 1 where the call must fail, with errno set; waits where it must be slow. */
static int befalls(int fd)
{
    char link[32], target[PATH_MAX];
    if (fault == NULL || (fault->delay_ms == 0 && fault->error == 0))
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, target, sizeof target - 1);
    if (length <= 0)
        return 0;
    target[length] = 0;
    if (strncmp(target, folder, strlen(folder)) != 0)
        return 0;
    int32_t left = fault->delay_ms;
    while (left > 0 && fault->delay_ms > 0) { /* ends early when the fault does */
        struct timespec step = {0, 10 * 1000000L};
        nanosleep(&step, NULL);
        left -= 10;
    }
    if (fault->error == 0)
        return 0;
    errno = fault->error;
    return 1;
}

#define REAL(name) \
    static __typeof__(&name) real; \
    if (real == NULL) \
        real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

ssize_t write(int fd, const void *data, size_t size)
{
    REAL(write);
    return befalls(fd) ? -1 : real(fd, data, size);
}

ssize_t writev(int fd, const struct iovec *pieces, int count)
{
    REAL(writev);
    return befalls(fd) ? -1 : real(fd, pieces, count);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t at)
{
    REAL(pwrite);
    return befalls(fd) ? -1 : real(fd, data, size, at);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at)
{
    REAL(pwrite64);
    return befalls(fd) ? -1 : real(fd, data, size, at);
}

int ftruncate(int fd, off_t size)
{
    REAL(ftruncate);
    return befalls(fd) ? -1 : real(fd, size);
}

int ftruncate64(int fd, off64_t size)
{
    REAL(ftruncate64);
    return befalls(fd) ? -1 : real(fd, size);
}

int fsync(int fd)
{
    REAL(fsync);
    return befalls(fd) ? -1 : real(fd);
}

int fdatasync(int fd)
{
    REAL(fdatasync);
    return befalls(fd) ? -1 : real(fd);
}
