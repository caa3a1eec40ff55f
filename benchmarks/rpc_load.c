/*
 * rpc_load: calls sources, side inputs or serving stores as the platform does, and reports throughput, latency and the
 * CPU time of the servers.
 *
 *   build:  cc -O2 -o rpc_load rpc_load.c -lnghttp2     (Debian: libnghttp2-dev)
 *   usage:  rpc_load KIND SECONDS SOCK [SOCK ...]
 *   KIND    source | sideinput | servingstore
 *
 * With several servers, they are called in turns, one batch or one call each, so that a busy machine is as busy for all
 * of them. One line for each server and RPC: what it did per second of its own turns, the medians, and the CPU time of
 * its process (not of children).
 *
 * A source is read in batches of 500, and each batch is acknowledged in one request, one after the other, on one
 * connection. Every offset is checked: the server has to number its messages from 1 on, in decimal. The other kinds are
 * called one call after the other.
 *
 * It is in C, on nghttp2, so that what is measured is the server. Any wrong answer ends it with status 1.
 */
#define _GNU_SOURCE
#include <nghttp2/nghttp2.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { BATCH = 500, TIMEOUT_MS = 60000, MOST_SERVERS = 16, MOST_RPCS = 2 };
static const double WARM_UP = 1.0; /* seconds */

static void fail(const char *what, const char *detail) {
    fprintf(stderr, "rpc_load: %s: %s\n", what, detail);
    exit(1);
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

/* ---- bytes, protobuf, and gRPC's framing --------------------------------- */

typedef struct {
    uint8_t *data;
    size_t length, capacity;
} Bytes;

static void append(Bytes *bytes, const void *data, size_t length) {
    if (bytes->length + length > bytes->capacity) {
        bytes->capacity = 2 * (bytes->length + length);
        bytes->data = realloc(bytes->data, bytes->capacity);
        if (!bytes->data) fail("memory", "none left");
    }
    memcpy(bytes->data + bytes->length, data, length);
    bytes->length += length;
}

static void append_varint(Bytes *bytes, uint64_t number) {
    uint8_t byte;
    for (; number > 127; number >>= 7) {
        byte = number | 128;
        append(bytes, &byte, 1);
    }
    byte = number;
    append(bytes, &byte, 1);
}

static void append_field(Bytes *bytes, unsigned number, const void *data, size_t length) {
    append_varint(bytes, number << 3 | 2);
    append_varint(bytes, length);
    append(bytes, data, length);
}

static void append_message(Bytes *bytes, const void *data, size_t length) {
    uint8_t prefix[5] = {0, length >> 24, length >> 16, length >> 8, length};
    append(bytes, prefix, sizeof prefix);
    append(bytes, data, length);
}

typedef struct {
    const uint8_t *at, *end;
} Span;

static uint64_t take_varint(Span *span) {
    uint64_t number = 0;
    for (int shift = 0; span->at < span->end; shift += 7) {
        uint8_t byte = *span->at++;
        number |= (uint64_t)(byte & 127) << shift;
        if (byte < 128) return number;
    }
    fail("reply", "a varint is cut off");
    return 0;
}

/* The content of the last field with that number; empty with at == NULL where there is none. */
static Span find_field(Span message, unsigned number) {
    Span found = {NULL, NULL};
    while (message.at < message.end) {
        uint64_t tag = take_varint(&message);
        if ((tag & 7) == 0) {
            take_varint(&message);
            continue;
        }
        uint64_t length = take_varint(&message);
        if ((tag & 7) != 2 || length > (uint64_t)(message.end - message.at)) fail("reply", "no protobuf");
        if (tag >> 3 == number) found = (Span){message.at, message.at + length};
        message.at += length;
    }
    return found;
}

/* ---- RPCs ------------------------------------------------------------------ */

typedef struct Rpc Rpc;
typedef void (*OnMessage)(Rpc *, Span);

typedef struct {
    int fd;
    pid_t pid;
    nghttp2_session *session;
} Connection;

struct Rpc {
    Connection *connection;
    int32_t stream;
    Bytes out, in;
    size_t sent;
    int half_closed, deferred, closed, status;
    OnMessage on_message;
    long messages; /* since the latest call */
    long expected; /* a source's next offset */
    int ended;     /* the latest read has */
};

static ssize_t on_read(nghttp2_session *session, int32_t stream, uint8_t *to, size_t room, uint32_t *flags,
                       nghttp2_data_source *source, void *user) {
    Rpc *rpc = source->ptr;
    (void)session, (void)stream, (void)user;
    size_t length = rpc->out.length - rpc->sent;
    if (!length && !rpc->half_closed) {
        rpc->deferred = 1;
        return NGHTTP2_ERR_DEFERRED;
    }
    if (length > room) length = room;
    if (length) memcpy(to, rpc->out.data + rpc->sent, length);
    rpc->sent += length;
    if (rpc->sent == rpc->out.length) {
        rpc->sent = rpc->out.length = 0;
        if (rpc->half_closed) *flags |= NGHTTP2_DATA_FLAG_EOF;
    }
    return length;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t stream, const uint8_t *data, size_t length,
                   void *user) {
    Rpc *rpc = nghttp2_session_get_stream_user_data(session, stream);
    (void)flags, (void)user;
    append(&rpc->in, data, length);
    size_t start = 0;
    while (rpc->in.length - start >= 5) {
        const uint8_t *prefix = rpc->in.data + start;
        size_t size = (size_t)prefix[1] << 24 | prefix[2] << 16 | prefix[3] << 8 | prefix[4];
        if (rpc->in.length - start - 5 < size) break;
        rpc->messages++;
        rpc->on_message(rpc, (Span){prefix + 5, prefix + 5 + size});
        start += 5 + size;
    }
    memmove(rpc->in.data, rpc->in.data + start, rpc->in.length - start);
    rpc->in.length -= start;
    return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_length,
                     const uint8_t *value, size_t length, uint8_t flags, void *user) {
    Rpc *rpc = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    (void)flags, (void)user;
    if (name_length == 11 && !memcmp(name, "grpc-status", 11)) rpc->status = length == 1 ? value[0] - '0' : 99;
    if (name_length == 12 && !memcmp(name, "grpc-message", 12) && length)
        fprintf(stderr, "rpc_load: %.*s\n", (int)length, value);
    return 0;
}

static int on_close(nghttp2_session *session, int32_t stream, uint32_t code, void *user) {
    Rpc *rpc = nghttp2_session_get_stream_user_data(session, stream);
    (void)user;
    rpc->closed = 1;
    if (code || rpc->status) fail("an RPC", "has not ended well");
    return 0;
}

static void connect_to(Connection *connection, const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct ucred peer;
    socklen_t size = sizeof peer;
    if (strlen(path) >= sizeof address.sun_path) fail(path, "too long for a socket");
    strcpy(address.sun_path, path);
    connection->fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (connect(connection->fd, (struct sockaddr *)&address, sizeof address)) {
        perror(path);
        exit(1);
    }
    getsockopt(connection->fd, SOL_SOCKET, SO_PEERCRED, &peer, &size);
    connection->pid = peer.pid;
    nghttp2_session_callbacks *callbacks;
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
    nghttp2_session_client_new(&connection->session, callbacks, NULL);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 2 << 20},
                                         {NGHTTP2_SETTINGS_ENABLE_PUSH, 0}};
    nghttp2_submit_settings(connection->session, 0, settings, 2);
    nghttp2_session_set_local_window_size(connection->session, 0, 0, 5 << 20);
}

static void start(Rpc *rpc, Connection *connection, const char *path, OnMessage on_message) {
    rpc->connection = connection;
    rpc->on_message = on_message;
    rpc->status = -1;
    rpc->closed = rpc->half_closed = rpc->deferred = 0;
#define HEADER(name, value) {(uint8_t *)(name), (uint8_t *)(value), sizeof(name) - 1, strlen(value), 0}
    nghttp2_nv headers[] = {HEADER(":method", "POST"),           HEADER(":scheme", "http"), HEADER(":path", path),
                            HEADER(":authority", "[::1]:50051"), HEADER("te", "trailers"),
                            HEADER("content-type", "application/grpc")};
    nghttp2_data_provider body = {.source.ptr = rpc, .read_callback = on_read};
    rpc->stream = nghttp2_submit_request(connection->session, NULL, headers, 6, &body, rpc);
}

static void send_message(Rpc *rpc, const void *data, size_t length) {
    append_message(&rpc->out, data, length);
    if (rpc->deferred) {
        rpc->deferred = 0;
        nghttp2_session_resume_data(rpc->connection->session, rpc->stream);
    }
}

/* Write what there is to write, wait for the server, and read what it has sent. */
static void converse(Connection *connection) {
    static uint8_t chunk[1 << 17];
    const uint8_t *data;
    ssize_t length;
    while ((length = nghttp2_session_mem_send(connection->session, &data)) > 0)
        for (ssize_t written; length; data += written, length -= written)
            if ((written = write(connection->fd, data, length)) < 0) fail("write", "the server has gone");
    struct pollfd readable = {connection->fd, POLLIN, 0};
    if (poll(&readable, 1, TIMEOUT_MS) <= 0) fail("reply", "none in 60 s");
    if ((length = read(connection->fd, chunk, sizeof chunk)) <= 0) fail("read", "the server has gone");
    if (nghttp2_session_mem_recv(connection->session, chunk, length) < 0) fail("reply", "no HTTP/2");
}

/* ---- what is measured ------------------------------------------------------ */

typedef struct {
    double *values;
    size_t count, capacity;
} Times;

static void note(Times *times, double value) {
    if (times->count == times->capacity) {
        times->capacity = 2 * times->capacity + 1024;
        times->values = realloc(times->values, times->capacity * sizeof *times->values);
        if (!times->values) fail("memory", "none left");
    }
    times->values[times->count++] = value;
}

static int by_value(const void *one, const void *other) {
    double a = *(const double *)one, b = *(const double *)other;
    return (a > b) - (a < b);
}

static double quantile(Times *times, double q) {
    qsort(times->values, times->count, sizeof *times->values, by_value);
    return times->values[(size_t)(q * (times->count - 1))];
}

static double sum(const Times *times) {
    double total = 0;
    for (size_t i = 0; i < times->count; i++) total += times->values[i];
    return total;
}

static double cpu_seconds(pid_t pid) {
    char path[64], text[1024] = {0};
    unsigned long user = 0, system = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *file = fopen(path, "r");
    if (!file) return 0;
    size_t length = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[length] = 0;
    char *after = strrchr(text, ')');
    if (!after || sscanf(after, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) != 2)
        fail(path, "cannot be parsed");
    return (user + system) / (double)sysconf(_SC_CLK_TCK);
}

typedef struct {
    const char *sock;
    Connection connection;
    Rpc rpcs[MOST_RPCS];
    Times times[MOST_RPCS];
    double cpu;
} Server;

/* ---- sources --------------------------------------------------------------- */

static const uint8_t HANDSHAKE[] = {0x12, 2, 8, 1};           /* handshake = 2 { sot = 1 } of a read and of an ack */
static const uint8_t READ[] = {10, 6, 8, 0xf4, 3, 16, 0xe8, 7}; /* request = 1 { num_records = 500, timeout_in_ms = 1000 } */

static void on_shake(Rpc *rpc, Span message) { (void)rpc, (void)message; }

static void on_read_reply(Rpc *rpc, Span message) {
    Span result = find_field(message, 1);
    if (!result.at) {
        if (!find_field(message, 2).at) fail("a read", "neither a message nor a status");
        rpc->ended = 1;
        return;
    }
    char expected[24];
    size_t length = snprintf(expected, sizeof expected, "%ld", rpc->expected++);
    Span offset = find_field(find_field(result, 2), 1);
    if (!offset.at || (size_t)(offset.end - offset.at) != length || memcmp(offset.at, expected, length))
        fail("a read, expected offset", expected);
}

static void open_source(Server *server) {
    const char *paths[] = {"/source.v1.Source/ReadFn", "/source.v1.Source/AckFn"};
    for (int i = 0; i < 2; i++) {
        Rpc *rpc = &server->rpcs[i];
        start(rpc, &server->connection, paths[i], on_shake);
        send_message(rpc, HANDSHAKE, sizeof HANDSHAKE);
        while (!rpc->messages) converse(&server->connection);
    }
    server->rpcs[0].on_message = on_read_reply;
    server->rpcs[0].expected = 1;
}

static void read_and_ack(Server *server) {
    Rpc *read = &server->rpcs[0], *ack = &server->rpcs[1];
    double begin = now();
    long first = read->expected;
    read->messages = read->ended = 0;
    send_message(read, READ, sizeof READ);
    while (!read->ended) converse(&server->connection);
    if (read->messages != BATCH + 1) fail("a read", "not 500 messages");
    double between = now();
    static Bytes offsets, request;
    offsets.length = request.length = 0;
    for (long number = first; number < first + BATCH; number++) {
        uint8_t offset[32] = {10};
        offset[1] = sprintf((char *)offset + 2, "%ld", number);
        append_field(&offsets, 1, offset, 2 + offset[1]);
    }
    append_field(&request, 1, offsets.data, offsets.length);
    ack->messages = 0;
    send_message(ack, request.data, request.length);
    while (!ack->messages) converse(&server->connection);
    note(&server->times[0], between - begin);
    note(&server->times[1], now() - between);
}

static void report_source(Server *server) {
    double total = sum(&server->times[0]) + sum(&server->times[1]);
    double read = quantile(&server->times[0], 0.5), ack = quantile(&server->times[1], 0.5);
    double count = (double)BATCH * server->times[0].count;
    printf("%s: %.0f msg/s read and acked; by the medians %.0f (a read %.2f ms, an ack %.2f ms); %.2f us cpu/msg\n",
           server->sock, count / total, BATCH / (read + ack), read * 1e3, ack * 1e3, server->cpu / count * 1e6);
}

/* ---- unary calls ----------------------------------------------------------- */

typedef struct {
    const char *path, *message;
    size_t length;
} Call;

static const Call RETRIEVE[] = {{"/sideinput.v1.SideInput/RetrieveSideInput", "", 0}};
static const Call PUT_AND_GET[] = {
    {"/serving.v1.ServingStore/Put", "\x0a\x02id\x12\x0a\x0a\x02in\x12\x04" "done", 16},
    {"/serving.v1.ServingStore/Get", "\x0a\x02id", 4},
};
static const Call *calls;
static int n_calls;

static void call(Server *server) {
    for (int i = 0; i < n_calls; i++) {
        Rpc *rpc = &server->rpcs[i];
        double begin = now();
        rpc->messages = 0;
        start(rpc, &server->connection, calls[i].path, on_shake);
        send_message(rpc, calls[i].message, calls[i].length);
        rpc->half_closed = 1;
        while (!rpc->closed) converse(&server->connection);
        if (rpc->messages != 1) fail(calls[i].path, "not one reply");
        note(&server->times[i], now() - begin);
    }
}

static void report_calls(Server *server) {
    double count = 0;
    for (int i = 0; i < n_calls; i++) count += server->times[i].count;
    for (int i = 0; i < n_calls; i++) {
        Times *times = &server->times[i];
        printf("%s: %s: p50 %.0f us, p99 %.0f us, %zu calls; %.1f us cpu/call\n", server->sock, calls[i].path,
               quantile(times, 0.5) * 1e6, quantile(times, 0.99) * 1e6, times->count, server->cpu / count * 1e6);
    }
}

int main(int argc, char **argv) {
    const char *kind = argc > 3 ? argv[1] : "";
    int is_source = !strcmp(kind, "source"), n_servers = argc - 3;
    if (!strcmp(kind, "sideinput")) calls = RETRIEVE, n_calls = 1;
    if (!strcmp(kind, "servingstore")) calls = PUT_AND_GET, n_calls = 2;
    if ((!is_source && !n_calls) || n_servers > MOST_SERVERS || atof(argv[2]) <= 0) {
        fprintf(stderr, "usage: rpc_load source|sideinput|servingstore SECONDS SOCK [SOCK ...]\n");
        return 2;
    }
    static Server servers[MOST_SERVERS];
    for (int i = 0; i < n_servers; i++) {
        servers[i].sock = argv[3 + i];
        connect_to(&servers[i].connection, argv[3 + i]);
        if (is_source) open_source(&servers[i]);
    }
    for (int warm = 0; warm < 2; warm++) {
        for (int i = 0; i < n_servers; i++) {
            for (int j = 0; j < MOST_RPCS; j++) servers[i].times[j].count = 0;
            servers[i].cpu = -cpu_seconds(servers[i].connection.pid);
        }
        double end = now() + (warm ? atof(argv[2]) : WARM_UP);
        while (now() < end)
            for (int i = 0; i < n_servers; i++) is_source ? read_and_ack(&servers[i]) : call(&servers[i]);
        for (int i = 0; i < n_servers; i++) servers[i].cpu += cpu_seconds(servers[i].connection.pid);
    }
    for (int i = 0; i < n_servers; i++) is_source ? report_source(&servers[i]) : report_calls(&servers[i]);
    return 0;
}
