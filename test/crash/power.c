/*
 * A disk that remembers: preloaded into a process (LD_PRELOAD), it answers fsync and fdatasync by copying the file, or the names of a folder, as
 * they are now, into the folder FLEETGATE_TEST_DISK. Whatever was not copied would be gone after a power loss. The call returns when the copy is
 * whole, so a process that is killed before has not been told that anything is safe. Each takes FLEETGATE_TEST_DISK_MS milliseconds, as on a slow disk.
 * Built and read by power.ts.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int copyFile(int from, const char *name, off_t size) {
  char bytes[1 << 14];
  char own[64];
  /* by a descriptor of its own: that of the caller may be open for writing only */
  snprintf(own, sizeof own, "/proc/self/fd/%d", from);
  int source = open(own, O_RDONLY | O_CLOEXEC);
  if (source < 0) return -1;
  int to = open(name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  if (to < 0) return close(source), -1;
  int failed = 0;
  for (off_t at = 0; at < size && !failed;) {
    ssize_t count = pread(source, bytes, sizeof bytes, at);
    if (count <= 0) break;
    failed = pwrite(to, bytes, count, at) != count;
    at += count;
  }
  failed |= ftruncate(to, size);
  close(source);
  close(to);
  return failed ? -1 : 0;
}

static int copyNames(int folder, const char *name) {
  char own[64], draft[4200];
  snprintf(own, sizeof own, "/proc/self/fd/%d", folder);
  snprintf(draft, sizeof draft, "%s.%d.draft", name, gettid());
  DIR *entries = opendir(own);
  FILE *list = entries ? fopen(draft, "we") : NULL;
  if (!list) return entries ? closedir(entries), -1 : -1;
  for (struct dirent *entry; (entry = readdir(entries));)
    fprintf(list, "%llu %s\n", (unsigned long long)entry->d_ino, entry->d_name);
  closedir(entries);
  return fclose(list) == 0 ? rename(draft, name) : -1;
}

static int persist(int fd) {
  const char *disk = getenv("FLEETGATE_TEST_DISK");
  struct stat what;
  char name[4096];
  if (!disk || fstat(fd, &what) < 0) return errno = EBADF, -1;
  const char *ms = getenv("FLEETGATE_TEST_DISK_MS");
  if (ms) usleep(1000 * atoi(ms));
  int isFolder = S_ISDIR(what.st_mode);
  snprintf(name, sizeof name, "%s/%llu%s", disk, (unsigned long long)what.st_ino, isFolder ? ".names" : "");
  int result = isFolder ? copyNames(fd, name) : copyFile(fd, name, what.st_size);
  snprintf(name, sizeof name, "%s/syncs", disk);
  int count = open(name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (count < 0 || write(count, ".", 1) != 1) result = -1;
  close(count);
  return result < 0 ? (errno = EIO, -1) : 0;
}

int fsync(int fd) { return persist(fd); }
int fdatasync(int fd) { return persist(fd); }
