/*
 * Thousands of clients in one process, cheap enough to share a machine with what they measure: one thread, one epoll loop, one read() an
 * event, some 150 bytes each. Each client asks for a path of its own, and checks what comes: the numbers of its chunks, and broadcasts.
 *
 *   clients PORT SOURCE FIRST COUNT RATE RETRY BEFORE AFTER
 *
 * connects from the address SOURCE, RATE times a second, and asks for BEFORE <n> AFTER, n from FIRST on. One that is refused, or closed
 * without an answer, comes back after RETRY milliseconds; 0: never. A command is a line of stdin, and its answer a line of JSON on stdout.
 * The end of stdin ends the process, which resets its connections.
 *
 *   report         counts so far
 *   first          milliseconds until the first byte, of each client that got one
 *   watch MS       counts chunks and silence anew; a chunk is due every MS
 *   broadcast N    counts the broadcast that has this number
 *   stop           opens no more
 *   give up        closes those that still wait for an answer
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* Of a line, no more than its beginning is kept where it comes in two pieces. */
#define LONGEST_LINE 100
#define LONGEST_REQUEST 1024
/* Ports that clients have one after the other: the kernel would look for a free one among thousands. */
#define FIRST_PORT 16384
#define LAST_PORT 65535
/* Connections opened in a turn of the loop. */
#define MOST_AT_ONCE 32

enum state { AWAY, CONNECTING, ASKING, OPEN, REFUSED, DROPPED, ENDED };

struct client {
  int fd;
  unsigned char state, length; /* length of the line so far */
  float first;                 /* milliseconds until the first byte; negative before */
  unsigned number;             /* of the last chunk */
  unsigned chunks, gaps;       /* since the watch began */
  unsigned broadcast;          /* the last one */
  long long at;                /* microseconds: when it connected, then its last chunk; when it comes back */
  long long silence;
  char line[LONGEST_LINE + 1];
};

static struct client *clients;
static int port, epoll, count, opened, asked;
/* Those that come back, in the order in which they left: all are away for as long. */
static int *away, away_first, away_count;
static long long retry;
static unsigned first;
static const char *before, *after;
static struct sockaddr_in source, server = {.sin_family = AF_INET};

static unsigned states[ENDED + 1];
static long long refused, dropped, chunks, misdelivered, bytes, watched, period;
static unsigned broadcast, got, repeated;
static long long last_at;
static int last_status, last_errno;

static long long now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1000000LL + time.tv_nsec / 1000;
}

static void become(struct client *client, enum state state) {
  states[client->state]--;
  states[state]++;
  client->state = state;
}

static void leave(struct client *client, enum state state) {
  become(client, state);
  close(client->fd);
  client->fd = -1;
}

/* Without a response. */
static void fail(struct client *client, enum state state) {
  leave(client, state);
  (*(state == REFUSED ? &refused : &dropped))++;
  if (retry == 0) return;
  become(client, AWAY);
  client->at = now() + retry;
  away[(away_first + away_count++) % count] = client - clients;
}

/* It asks as soon as it is connected: on loopback that is at once, unless the server's queue is full. */
static int ask(struct client *client) {
  char text[LONGEST_REQUEST];
  int length = snprintf(text, sizeof text, "GET %s%u%s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nAccept: text/plain\r\n\r\n", before,
                        first + (unsigned)(client - clients), after, port);
  if (write(client->fd, text, length) != length) return 0;
  become(client, ASKING);
  return 1;
}

/* A free port, one after the other. */
static void take_port(int fd) {
  static int next = FIRST_PORT;
  for (int tried = FIRST_PORT; tried <= LAST_PORT; tried++) {
    source.sin_port = htons(next);
    next = next == LAST_PORT ? FIRST_PORT : next + 1;
    if (bind(fd, (struct sockaddr *)&source, sizeof source) == 0) return;
  }
  perror("bind");
  exit(1);
}

static void begin(struct client *client) {
  *client = (struct client){.state = CONNECTING, .first = -1, .at = now()};
  states[CONNECTING]++;
  client->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (client->fd < 0) {
    perror("socket");
    exit(1);
  }
  /* Closed with a reset: nothing of it stays behind. */
  setsockopt(client->fd, SOL_SOCKET, SO_LINGER, &(struct linger){.l_onoff = 1}, sizeof(struct linger));
  take_port(client->fd);
  if (connect(client->fd, (struct sockaddr *)&server, sizeof server) < 0 && errno != EINPROGRESS) {
    last_errno = errno;
    fail(client, DROPPED);
    return;
  }
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = client};
  if (!ask(client)) event.events |= EPOLLOUT;
  epoll_ctl(epoll, EPOLL_CTL_ADD, client->fd, &event);
}

static void take_chunk(struct client *client, char *text, long long time) {
  char *rest;
  unsigned number = strtoul(text, &rest, 10);
  size_t length = strlen(before);
  if (strncmp(rest, " for id ", 8) != 0 || strncmp(rest + 8, before, length) != 0 ||
      strtoul(rest + 8 + length, NULL, 10) != first + (unsigned)(client - clients))
    misdelivered++;
  if (number != client->number + 1) client->gaps += number > client->number ? number - client->number - 1 : 1;
  if (client->number > 0 && time - client->at > client->silence) client->silence = time - client->at;
  client->number = number;
  client->at = time;
  client->chunks++;
  chunks++;
}

static void take_broadcast(struct client *client, unsigned number, long long time) {
  if (number != broadcast || client->broadcast == number) {
    repeated++;
    return;
  }
  client->broadcast = number;
  got++;
  last_at = time;
}

static void take_line(struct client *client, char *text, long long time) {
  if (client->state <= ASKING) {
    last_status = strncmp(text, "HTTP/1.1 ", 9) == 0 ? atoi(text + 9) : 0;
    become(client, last_status == 200 ? OPEN : last_status == 503 ? REFUSED : DROPPED);
    return;
  }
  /* Of several feeds, the name and a tab come first. */
  char *tab = strchr(text, '\t'), *data = tab ? tab + 1 : text;
  if (strncmp(data, "Chunk ", 6) == 0) take_chunk(client, data + 6, time);
  else if (strncmp(data, "Broadcast ", 10) == 0) take_broadcast(client, strtoul(data + 10, NULL, 10), time);
}

static void take(struct client *client, char *text, char *end, long long time) {
  while (text < end) {
    char *close = memchr(text, '\n', end - text), *stop = close ? close : end;
    if (close && client->length == 0) {
      *close = 0;
      take_line(client, text, time);
    } else {
      int room = LONGEST_LINE - client->length, more = stop - text < room ? stop - text : room;
      memcpy(client->line + client->length, text, more);
      client->length += more;
      if (close) {
        client->line[client->length] = 0;
        client->length = 0;
        take_line(client, client->line, time);
      }
    }
    text = stop + 1;
  }
}

static void receive(struct client *client) {
  static char buffer[65536];
  ssize_t length = read(client->fd, buffer, sizeof buffer);
  if (length < 0 && errno == EAGAIN) return;
  if (length <= 0) {
    if (length < 0) last_errno = errno;
    if (client->state == OPEN) leave(client, ENDED);
    else fail(client, DROPPED);
    return;
  }
  long long time = now();
  if (client->first < 0) client->first = (time - client->at) / 1000.0f;
  bytes += length;
  take(client, buffer, buffer + length, time);
  if (client->state > OPEN) fail(client, client->state);
}

static void on_event(struct client *client, unsigned events) {
  if (client->fd < 0) return;
  if (client->state == CONNECTING && (events & EPOLLOUT) && !(events & (EPOLLERR | EPOLLHUP))) {
    if (!ask(client)) return;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = client};
    epoll_ctl(epoll, EPOLL_CTL_MOD, client->fd, &event);
  }
  if (events & (EPOLLIN | EPOLLERR | EPOLLHUP)) receive(client);
}

/* A client must have got what was due since the watch began, but for one that may come at its very end. */
static void report(void) {
  long long time = now(), missing = 0, silence = 0, due = period ? (time - watched) / period - 1 : 0;
  for (struct client *client = clients; client < clients + opened; client++) {
    long long lacking = client->state == OPEN && client->chunks < due ? due - client->chunks : 0;
    missing += lacking > client->gaps ? lacking : client->gaps;
    if (client->silence > silence) silence = client->silence;
    if (client->state == OPEN && client->number > 0 && time - client->at > silence) silence = time - client->at;
  }
  printf("{\"asked\":%d,\"waiting\":%u,\"away\":%u,\"open\":%u,\"refused\":%lld,\"dropped\":%lld,\"ended\":%u,\"chunks\":%lld,\"missing\":%lld,"
         "\"misdelivered\":%lld,\"silenceMs\":%.1f,\"got\":%u,\"repeated\":%u,\"lastAtMs\":%.3f,\"bytes\":%lld,\"status\":%d,\"errno\":%d}\n",
         opened, states[CONNECTING] + states[ASKING], states[AWAY], states[OPEN], refused, dropped, states[ENDED], chunks, missing,
         misdelivered, silence / 1000.0, got, repeated, last_at / 1000.0, bytes, last_status, last_errno);
}

static void obey(char *command) {
  if (strcmp(command, "report") == 0) {
    report();
  } else if (strcmp(command, "first") == 0) {
    const char *comma = "";
    printf("[");
    for (struct client *client = clients; client < clients + opened; client++) {
      if (client->first < 0) continue;
      printf("%s%.1f", comma, client->first);
      comma = ",";
    }
    printf("]\n");
  } else if (strncmp(command, "watch ", 6) == 0) {
    period = atoll(command + 6) * 1000;
    watched = now();
    chunks = bytes = 0;
    for (struct client *client = clients; client < clients + opened; client++) client->chunks = client->gaps = client->silence = 0;
    report();
  } else if (strncmp(command, "broadcast ", 10) == 0) {
    broadcast = atoi(command + 10);
    got = repeated = 0;
    last_at = 0;
    report();
  } else if (strcmp(command, "stop") == 0) {
    asked = opened;
    report();
  } else if (strcmp(command, "give up") == 0) {
    for (struct client *client = clients; client < clients + opened; client++)
      if (client->state <= ASKING && client->fd >= 0) leave(client, client->state);
    away_count = 0;
    report();
  }
  fflush(stdout);
}

static void hear(void) {
  static char text[4096];
  static int length;
  ssize_t more = read(STDIN_FILENO, text + length, sizeof text - 1 - length);
  if (more <= 0) exit(0);
  length += more;
  text[length] = 0;
  for (char *close; (close = strchr(text, '\n'));) {
    *close = 0;
    obey(text);
    length -= close + 1 - text;
    memmove(text, close + 1, length + 1);
  }
}

int main(int argc, char **argv) {
  if (argc != 9) return 2;
  port = atoi(argv[1]);
  source = (struct sockaddr_in){.sin_family = AF_INET};
  inet_pton(AF_INET, argv[2], &source.sin_addr);
  first = atoi(argv[3]);
  asked = count = atoi(argv[4]);
  double rate = atof(argv[5]);
  retry = atoll(argv[6]) * 1000;
  before = argv[7];
  after = argv[8];
  server.sin_port = htons(port);
  inet_pton(AF_INET, "127.0.0.1", &server.sin_addr);
  clients = calloc(count, sizeof *clients);
  away = calloc(count, sizeof *away);
  if (!clients || !away) abort();
  signal(SIGPIPE, SIG_IGN);
  signal(SIGINT, SIG_IGN); /* of the terminal: what started it ends it */
  struct rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);

  epoll = epoll_create1(EPOLL_CLOEXEC);
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
  epoll_ctl(epoll, EPOLL_CTL_ADD, STDIN_FILENO, &event);
  struct epoll_event events[512];
  for (long long begun = now();;) {
    int found = epoll_wait(epoll, events, 512, opened < asked || away_count > 0 ? 1 : -1);
    for (int n = 0; n < found; n++) {
      if (events[n].data.ptr) on_event(events[n].data.ptr, events[n].events);
      else hear();
    }
    long long time = now();
    double due = (time - begun) * rate / 1e6;
    for (int n = 0; n < MOST_AT_ONCE && opened < asked && opened < due; n++) begin(&clients[opened++]);
    for (int n = 0; n < MOST_AT_ONCE && away_count > 0 && clients[away[away_first]].at <= time; n++) {
      struct client *client = &clients[away[away_first]];
      away_first = (away_first + 1) % count;
      away_count--;
      states[AWAY]--;
      begin(client);
    }
  }
}
