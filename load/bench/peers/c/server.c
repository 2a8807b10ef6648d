/*
 * The floor: what the kernel itself asks for a connection and for a chunk. One thread, one epoll loop, one write() a chunk.
 * Every period is equal, so the connections wait in one queue: whoever was served last is due last. What is posted goes to
 * all of them, whatever the path: here they all follow one feed.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define LONGEST_REQUEST 65536
#define LONGEST_PATH 512

struct connection {
  struct connection *next, *previous; /* in the queue; only once it is served */
  long long due;                      /* microseconds */
  unsigned number;
  int fd;
  int served;
  char path[];
};

static struct connection *first, *last;
static long long period;
static int epoll;

static long long now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1000000LL + time.tv_nsec / 1000;
}

static void enqueue(struct connection *connection) {
  connection->next = NULL;
  connection->previous = last;
  *(last ? &last->next : &first) = connection;
  last = connection;
}

static void dequeue(struct connection *connection) {
  *(connection->previous ? &connection->previous->next : &first) = connection->next;
  *(connection->next ? &connection->next->previous : &last) = connection->previous;
}

static void end(struct connection *connection) {
  if (connection->served) dequeue(connection);
  close(connection->fd);
  free(connection);
}

/* What does not go out at once is a reader that has stalled: its connection ends, as after any failed write. */
static int put(int fd, const char *bytes, int length) {
  return write(fd, bytes, length) == length;
}

static void chunk(struct connection *connection) {
  char body[LONGEST_PATH + 64], frame[LONGEST_PATH + 96];
  int length = snprintf(body, sizeof body, "Chunk %u for id %s\n", ++connection->number, connection->path);
  length = snprintf(frame, sizeof frame, "%x\r\n%s\r\n", length, body);
  if (!put(connection->fd, frame, length)) {
    end(connection);
    return;
  }
  dequeue(connection);
  connection->due += period;
  enqueue(connection);
}

static void refuse(struct connection *connection) {
  static const char refusal[] = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
  put(connection->fd, refusal, sizeof refusal - 1);
  end(connection);
}

static void follow(struct connection *connection, const char *path) {
  char body[LONGEST_PATH + 64], frame[LONGEST_PATH + 256];
  struct connection *served = malloc(sizeof *served + strlen(path) + 1);
  if (!served) abort();
  *served = (struct connection){.fd = connection->fd, .served = 1, .due = now() + period};
  strcpy(served->path, path);
  free(connection);
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = served};
  epoll_ctl(epoll, EPOLL_CTL_MOD, served->fd, &event);
  enqueue(served);
  int size = snprintf(body, sizeof body, "C welcomes you! Your Id: %s\n", path);
  size = snprintf(frame, sizeof frame,
                  "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n", size, body);
  if (!put(served->fd, frame, size)) end(served);
}

static void publish(struct connection *publisher, const char *message, int length) {
  static const char answer[] = "HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";
  char frame[LONGEST_REQUEST + 32];
  length = snprintf(frame, sizeof frame, "%x\r\n%.*s\n\r\n", length + 1, length, message);
  /* Whom it fails for may have an event in this batch, which must not point to nothing: that event, or the next, ends it. */
  for (struct connection *connection = first; connection; connection = connection->next)
    if (!put(connection->fd, frame, length)) shutdown(connection->fd, SHUT_RDWR);
  if (!put(publisher->fd, answer, sizeof answer - 1)) end(publisher);
}

/* A request; flood sends it in one piece, its body included, and so this server asks for that. */
static void request(struct connection *connection) {
  static char text[LONGEST_REQUEST];
  char path[LONGEST_PATH];
  ssize_t length = read(connection->fd, text, sizeof text - 1);
  if (length < 0 && errno == EAGAIN) return;
  if (length <= 0) {
    end(connection);
    return;
  }
  if (connection->served) return; /* nothing that a client says later matters */
  text[length] = 0;
  const char *blank = strstr(text, "\r\n\r\n"), *body = blank ? blank + 4 : NULL, *size = strcasestr(text, "\r\nContent-Length:");
  if (body && sscanf(text, "GET %511s", path) == 1 && strncmp(path, "/test/", 6) == 0) {
    follow(connection, path);
  } else if (size && size < body && strncmp(text, "POST /test/", 11) == 0 && atoll(size + 17) == text + length - body) {
    publish(connection, body, text + length - body);
  } else {
    refuse(connection);
  }
}

static void welcome(int listener) {
  for (;;) {
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    struct connection *connection = calloc(1, sizeof *connection + 1);
    if (!connection) abort();
    connection->fd = fd;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
  }
}

int main(void) {
  const char *milliseconds = getenv("FEED_INTERVAL_MS");
  period = (milliseconds ? atoll(milliseconds) : 1000) * 1000;
  if (period < 0) return 2;
  signal(SIGPIPE, SIG_IGN);

  int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof address;
  if (bind(listener, (struct sockaddr *)&address, size) < 0 || listen(listener, 1024) < 0) {
    perror("listen");
    return 1;
  }
  getsockname(listener, (struct sockaddr *)&address, &size);
  epoll = epoll_create1(EPOLL_CLOEXEC);
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
  epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
  printf("listening on http://127.0.0.1:%d\n", ntohs(address.sin_port));
  fflush(stdout);

  struct epoll_event events[256];
  for (;;) {
    int wait = -1;
    if (first && period) {
      long long left = first->due - now();
      wait = left <= 0 ? 0 : (int)((left + 999) / 1000);
    }
    /* A connection has one event at the most in a batch, so none of them can point to one that has ended. */
    int count = epoll_wait(epoll, events, 256, wait);
    for (int n = 0; n < count; n++) {
      if (events[n].data.ptr) request(events[n].data.ptr);
      else welcome(listener);
    }
    for (long long time = now(); first && period && first->due <= time;) chunk(first);
  }
}
