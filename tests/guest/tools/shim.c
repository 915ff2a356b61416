/* shim.c: stands for the kernel's calls where no virtual driver can be made to fail so. Preloaded into Eyrie, it reads from
   /tmp/shim what is to happen, one word and a number:
     enospc        STREAMON of a camera answers that the USB bus has no bandwidth left
     stuck CALL    DQBUF, STREAMOFF or STREAMON (CALL is the word) does not return until the file says otherwise
     clock PPM     the stamps of pictures run that much too fast, from the first one on
     mute          a sound card never has samples: its descriptors are never ready
   Without the file every call goes to the kernel as it is. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <linux/videodev2.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The word after `what` in /tmp/shim; NULL if something else is to happen. In `rest`, which holds 32 bytes. */
static const char *told(const char *what, char *rest) {
  char text[64] = "", word[32] = "";
  FILE *f = fopen("/tmp/shim", "re");
  if (!f) return NULL;
  rest[0] = 0;
  if (fgets(text, sizeof text, f)) sscanf(text, "%31s %31s", word, rest);
  fclose(f);
  return strcmp(word, what) ? NULL : rest;
}

static void stuck_while(const char *call) {
  char rest[32];
  for (const char *now; (now = told("stuck", rest)) && !strcmp(now, call);) usleep(20000);
}

/* The stamp as a clock would tell it that runs `ppm` too fast since its first picture. */
static void hurry(struct v4l2_buffer *buffer, double ppm) {
  static pthread_mutex_t guard = PTHREAD_MUTEX_INITIALIZER;
  static double first;
  double stamp = buffer->timestamp.tv_sec + buffer->timestamp.tv_usec / 1e6;
  pthread_mutex_lock(&guard);
  if (first == 0) first = stamp;
  stamp += (stamp - first) * ppm / 1e6;
  pthread_mutex_unlock(&guard);
  buffer->timestamp.tv_sec = stamp;
  buffer->timestamp.tv_usec = (stamp - (long)stamp) * 1e6;
}

static long kernel(long number, long a, long b, long c, long d, long e, long f) {
  static long (*next)(long, ...);
  if (!next) next = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
  return next(number, a, b, c, d, e, f);
}

static long control(int fd, unsigned long request, void *argument) {
  char rest[32];
  const char *word;
  switch (request) {
  case VIDIOC_STREAMON:
    if (told("enospc", rest)) return errno = ENOSPC, -1;
    stuck_while("STREAMON");
    break;
  case VIDIOC_STREAMOFF:
    stuck_while("STREAMOFF");
    break;
  case VIDIOC_DQBUF:
    stuck_while("DQBUF");
    break;
  }
  long result = kernel(SYS_ioctl, fd, request, (long)argument, 0, 0, 0);
  if (request == VIDIOC_DQBUF && result == 0 && (word = told("clock", rest))) hurry(argument, atof(word));
  return result;
}

int ioctl(int fd, unsigned long request, ...) {
  va_list rest;
  va_start(rest, request);
  void *argument = va_arg(rest, void *);
  va_end(rest);
  return control(fd, request, argument);
}

long syscall(long number, ...) {
  long a[6];
  va_list rest;
  va_start(rest, number);
  for (int i = 0; i < 6; i++) a[i] = va_arg(rest, long);
  va_end(rest);
  if (number == SYS_ioctl) return control(a[0], a[1], (void *)a[2]);
  return kernel(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

static int is_sound(int fd) {
  char link[32], path[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path - 1);
  return length > 0 && (path[length] = 0, !strncmp(path, "/dev/snd/pcm", 12));
}

/* libasound waits with poll. Asleep for the time given, no longer, the caller finds nothing ready. */
int poll(struct pollfd *fds, nfds_t count, int timeout) {
  static int (*next)(struct pollfd *, nfds_t, int);
  if (!next) next = (int (*)(struct pollfd *, nfds_t, int))dlsym(RTLD_NEXT, "poll");
  char rest[32];
  if (count > 0 && is_sound(fds[0].fd) && told("mute", rest)) {
    for (nfds_t i = 0; i < count; i++) fds[i].revents = 0;
    return usleep(timeout < 0 ? 20000 : timeout * 1000), 0;
  }
  return next(fds, count, timeout);
}
