/*
 * Copyright (c) 2026 The vmlat authors.
 *
 * Licensed under the Apache License, Version 2.0 (the "License");
 * you may not use this file except in compliance with the License.
 * You may obtain a copy of the License at:
 *
 *     http://www.apache.org/licenses/LICENSE-2.0
 *
 * Unless required by applicable law or agreed to in writing, software
 * distributed under the License is distributed on an "AS IS" BASIS,
 * WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
 * See the License for the specific language governing permissions and
 * limitations under the License.
 */

#include <config.h>

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <math.h>
#include <net/if.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "vmlat-guest-echo.h"
#include "vmlat-guest-load.h"
#include "vmlat-guest-show.h"
#include "vmlat-guest-util.h"
#include "vmlat-record-file.h"

#define PROGRAM_NAME "vmlat-guest"
#define NETNS_FILE "/proc/self/ns/net"

/* How often finished packets are taken from the kernel. */
#define POLL_MS 50

/* How often packets that are not seen again are looked for, and how old they
 * are then. */
#define EXPIRE_INTERVAL_NS UINT64_C(5000000000)
#define EXPIRE_NS UINT64_C(60000000000)

#define DEFAULT_TIMEOUT_S 3
#define DEFAULT_MAX_RECORDS 250000

/* Devices that get a name in a file of records. */
#define MAX_DEVICES 256

struct options {
    struct vmlat_guest_config config;
    double timeout_s;
    double interval_s;          /* 0: none. */
    double duration_s;          /* 0: until a signal comes. */
    double min_us;
    uint64_t count;             /* 0: no end. */
    const char *record;         /* NULL: none. */
    uint64_t max_records;
    bool json, histogram, skbs, packets, quiet;
    char filter[256];           /* As given. */
};

struct rtt {
    const struct options *options;
    struct vmlat_guest_program *program;
    struct vmlat_guest_show show;
    struct vmlat_guest_echoes echoes;
    uint64_t n_shown;           /* Complete echoes, TCP and UDP packets. */

    /* Counted by the program as dropped or ended, but that was at ICMP. */
    uint64_t n_dropped_at_icmp, n_ended_at_icmp;

    struct vmlat_record_writer *writer;
    uint32_t devices[MAX_DEVICES]; /* Interface indexes; id is index + 1. */
    size_t n_devices;
    uint64_t n_records;
    uint64_t n_left_out;        /* Beyond --max-records. */
    uint64_t n_not_whole;       /* Ended on the way: not recorded. */
    uint64_t n_no_device;       /* Records without a name of the device. */
    uint64_t n_bad_times;       /* Times that went backward. */
};

static volatile sig_atomic_t stop_signal;

static void
handle_signal(int signal)
{
    stop_signal = signal;
}

static uint64_t
monotonic_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * UINT64_C(1000000000) + t.tv_nsec;
}

static int64_t
wall_offset_ns(void)
{
    struct timespec wall;
    uint64_t now = monotonic_ns();

    clock_gettime(CLOCK_REALTIME, &wall);
    return wall.tv_sec * INT64_C(1000000000) + wall.tv_nsec - (int64_t) now;
}

/* Records. */

/* Returns the id of the device of 'p', 0 if there are too many. */
static uint16_t
device_id(struct rtt *rtt, const struct vmlat_guest_packet *p)
{
    struct vmlat_record_name name;

    for (size_t i = 0; i < rtt->n_devices; i++) {
        if (rtt->devices[i] == p->ifindex) {
            return i + 1;
        }
    }
    if (!p->ifindex || rtt->n_devices >= MAX_DEVICES) {
        rtt->n_no_device++;
        return 0;
    }
    rtt->devices[rtt->n_devices++] = p->ifindex;

    memset(&name, 0, sizeof name);
    name.id = rtt->n_devices;
    name.role = VMLAT_RECORD_PORT_DEVICE;
    name.ifindex = p->ifindex;
    snprintf(name.name, sizeof name.name, "%.*s", (int) sizeof p->device,
             p->device);
    vmlat_record_writer_name(rtt->writer, &name);
    return name.id;
}

static void
record_packet(struct rtt *rtt, const struct vmlat_guest_packet *p)
{
    uint64_t times[VMLAT_GUEST_MARKS];
    struct vmlat_record r;
    uint16_t id;

    if (p->end != VMLAT_GUEST_COMPLETE) {
        rtt->n_not_whole++;
        return;
    } else if (rtt->n_records >= rtt->options->max_records) {
        rtt->n_left_out++;
        return;
    }

    memset(&r, 0, sizeof r);
    r.kind = (p->kind == VMLAT_GUEST_OUT ? VMLAT_REC_GUEST_OUT
              : VMLAT_REC_GUEST_IN);
    memcpy(times, p->times, sizeof times);
    if (!vmlat_record_set_times(&r, times, VMLAT_GUEST_MARKS)) {
        rtt->n_bad_times++;
        return;
    }
    memcpy(r.src, p->id.src, sizeof r.src);
    memcpy(r.dst, p->id.dst, sizeof r.dst);
    r.sport = p->id.sport;
    r.dport = p->id.dport;
    r.seq = p->id.seq;
    r.ack = p->id.ack;
    r.payload = p->id.payload;
    r.ip_id = p->id.ip_id;
    r.proto = p->id.proto;
    r.l4_type = p->id.l4_type;
    r.cpu = p->cpu;
    r.segments = p->id.segments;
    r.vring = VMLAT_VRING_UNKNOWN;
    id = device_id(rtt, p);
    if (p->kind == VMLAT_GUEST_OUT) {
        r.out = id;
    } else {
        r.in = id;
    }
    vmlat_record_writer_add(rtt->writer, &r, 1);
    rtt->n_records++;
}

/* Following. */

/* Where arrival at ICMP is not seen, the end of the packet tells: it was there
 * unless something before ICMP has dropped it.  A reply that no ping socket
 * waits for counts as dropped even if a raw socket got its copy. */
static void
judge_end(struct rtt *rtt, struct vmlat_guest_packet *p)
{
    const struct vmlat_guest_config *config = &rtt->options->config;
    uint8_t deliver = (p->id.ip_version == 4 ? config->deliver4
                       : config->deliver6);

    if (p->kind != VMLAT_GUEST_IN || deliver & VMLAT_GUEST_ICMP) {
        return;
    }
    if (p->end == VMLAT_GUEST_CONSUMED) {
        p->end = VMLAT_GUEST_COMPLETE;
        rtt->n_ended_at_icmp++;
    } else if (p->end == VMLAT_GUEST_DROPPED && p->location) {
        static const char *const prefixes[] = {
            "icmp", "ping_", "ip_protocol_deliver", "ip6_protocol_deliver",
        };
        const char *function = vmlat_guest_program_function(rtt->program,
                                                            p->location);

        for (size_t i = 0; function && i < N_ELEMENTS(prefixes); i++) {
            if (!strncmp(function, prefixes[i], strlen(prefixes[i]))) {
                p->end = VMLAT_GUEST_COMPLETE;
                rtt->n_dropped_at_icmp++;
                break;
            }
        }
    }
}

static void
handle_packet(const struct vmlat_guest_packet *packet, void *rtt_)
{
    struct vmlat_guest_packet p = *packet;
    struct rtt *rtt = rtt_;
    bool icmp = vmlat_guest_is_icmp(&p);

    if (icmp) {
        judge_end(rtt, &p);
    }
    if (rtt->writer) {
        record_packet(rtt, &p);
    }
    if (icmp) {
        vmlat_guest_echoes_add(&rtt->echoes, &p);
    } else {
        vmlat_guest_show_packet(&rtt->show, &p);
        rtt->n_shown++;
    }
}

static void
handle_echo(const struct vmlat_guest_echo *echo,
            enum vmlat_guest_verdict verdict, void *rtt_)
{
    struct rtt *rtt = rtt_;

    vmlat_guest_show_echo(&rtt->show, echo, verdict);
    if (verdict == VMLAT_GUEST_ANSWERED) {
        rtt->n_shown++;
    }
}

/* Waits and shows until the time is up, or the count, or a signal comes, or
 * nobody reads what is printed. */
static void
follow(struct rtt *rtt, uint64_t start_ns)
{
    const struct options *o = rtt->options;
    uint64_t interval_ns = o->interval_s * 1e9;
    uint64_t end_ns = o->duration_s ? start_ns + (uint64_t) (o->duration_s
                                                             * 1e9)
                                    : UINT64_MAX;
    uint64_t next_interval = interval_ns ? start_ns + interval_ns : UINT64_MAX;
    uint64_t next_expire = start_ns + EXPIRE_INTERVAL_NS;
    uint64_t now = start_ns;

    while (!stop_signal && now < end_ns
           && (!o->count || rtt->n_shown < o->count)) {
        uint64_t left_ms = (end_ns - now) / 1000000 + 1;

        if (!vmlat_guest_program_poll(rtt->program, (left_ms < POLL_MS
                                                     ? left_ms : POLL_MS))) {
            /* All that ended before 'now' has been read. */
            vmlat_guest_echoes_expire(&rtt->echoes, now);
        }
        now = monotonic_ns();
        if (now >= next_interval) {
            vmlat_guest_show_interval(&rtt->show, now);
            next_interval = now + interval_ns;
        }
        if (now >= next_expire) {
            /* A guest that has just booted is younger than that. */
            vmlat_guest_program_expire(rtt->program, (now > EXPIRE_NS
                                                      ? now - EXPIRE_NS : 0));
            next_expire = now + EXPIRE_INTERVAL_NS;
        }
        if (fflush(stdout)) {
            break;
        }
    }
}

/* The summary's counts. */
#define MAX_COUNTS (VMLAT_GUEST_N_COUNTERS + 16)

static size_t
collect_counts(struct rtt *rtt, struct vmlat_guest_count *counts)
{
#define VMLAT_GUEST_COUNTER(ID, NAME, MEANING) { NAME, MEANING, 0 },
    static const struct vmlat_guest_count templates[] = {
        VMLAT_GUEST_COUNTERS
    };
#undef VMLAT_GUEST_COUNTER
    uint64_t values[VMLAT_GUEST_N_COUNTERS];
    uint64_t under_way;
    size_t n = 0;

    vmlat_guest_program_count(rtt->program, values);
    values[VMLAT_GUEST_CNT_DROPPED] -= rtt->n_dropped_at_icmp;
    values[VMLAT_GUEST_CNT_ENDED] -= rtt->n_ended_at_icmp;
    values[VMLAT_GUEST_CNT_COMPLETE] += (rtt->n_dropped_at_icmp
                                         + rtt->n_ended_at_icmp);
    under_way = values[VMLAT_GUEST_CNT_STARTED];
    for (size_t i = VMLAT_GUEST_CNT_COMPLETE; i <= VMLAT_GUEST_CNT_EXPIRED;
         i++) {
        under_way -= values[i];
    }
    for (size_t i = 0; i < VMLAT_GUEST_N_COUNTERS; i++) {
        counts[n] = templates[i];
        counts[n++].n = values[i];
    }

#define COUNT(NAME, VALUE, MEANING) \
    counts[n++] = (struct vmlat_guest_count) { NAME, MEANING, VALUE }
    COUNT("under-way", under_way, "followed packets whose way had not ended");
    COUNT("echoes-waiting", rtt->echoes.n,
          "echoes whose other packet had not come");
    COUNT("echoes-table-full", rtt->echoes.n_table_full,
          "echoes given up: too many were waiting");
    COUNT("copies", rtt->echoes.n_copies,
          "echo requests and replies that came twice");
    COUNT("missed", vmlat_guest_program_missed(rtt->program),
          "runs of programs that the kernel skipped, since one was running on "
          "that CPU: as many marks at most are missing");
    COUNT("backwards", rtt->show.total.n_backwards,
          "stages left out: their end is before their begin");
    if (rtt->writer) {
        COUNT("recorded", rtt->n_records, "packets in the file of records");
        COUNT("records-left-out", rtt->n_left_out,
              "complete packets beyond --max-records");
        COUNT("records-not-whole", rtt->n_not_whole,
              "packets not recorded: they ended on the way");
        COUNT("records-bad-times", rtt->n_bad_times,
              "packets not recorded: their times went backward");
        COUNT("records-no-device", rtt->n_no_device,
              "records without a device: too many devices");
    }
#undef COUNT
    return n;
}

static int
run_rtt(struct options *options)
{
    struct vmlat_guest_count counts[MAX_COUNTS];
    struct vmlat_record_source source;
    static struct rtt rtt;
    struct sigaction action;
    uint64_t start_ns, end_ns;
    char *error;
    int status = 0;
    size_t n;

    rtt.options = options;
    vmlat_record_source_init(&source, VMLAT_RECORD_GUEST);
    snprintf(source.software, sizeof source.software, "%s %s", PROGRAM_NAME,
             VMLAT_VERSION);
    memcpy(source.filter, options->filter, sizeof source.filter);

    memset(&action, 0, sizeof action);
    action.sa_handler = handle_signal;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
    signal(SIGPIPE, SIG_IGN);

    error = vmlat_guest_program_load(&options->config, handle_packet, &rtt,
                                     &rtt.program);
    if (error) {
        vmlat_guest_fatal("%s", error);
    }
    if (options->record) {
        rtt.writer = vmlat_record_writer_open(options->record, &source,
                                              &error);
        if (!rtt.writer) {
            vmlat_guest_fatal("%s", error);
        }
        if (!strcmp(options->record, "-")) {
            stdout = stderr;
        }
    }

    start_ns = monotonic_ns();
    rtt.echoes.timeout_ns = options->timeout_s * 1e9;
    rtt.echoes.cb = handle_echo;
    rtt.echoes.aux = &rtt;
    rtt.show.program = rtt.program;
    rtt.show.config = &options->config;
    rtt.show.json = options->json;
    rtt.show.histogram = options->histogram;
    rtt.show.skbs = options->skbs;
    rtt.show.packets = options->packets;
    rtt.show.quiet = options->quiet;
    rtt.show.min_ns = options->min_us * 1000;
    rtt.show.wall_ns = wall_offset_ns();
    vmlat_guest_stats_init(&rtt.show.total, start_ns);
    vmlat_guest_stats_init(&rtt.show.interval, start_ns);
    vmlat_guest_show_start(&rtt.show);
    fflush(stdout);
    fprintf(stderr, PROGRAM_NAME ": following packets%s\n",
            options->duration_s ? "" : ", until Ctrl-C");

    follow(&rtt, start_ns);
    vmlat_guest_program_detach(rtt.program);
    while (vmlat_guest_program_poll(rtt.program, 0)) {
        continue;
    }
    end_ns = monotonic_ns();
    vmlat_guest_echoes_expire(&rtt.echoes, end_ns);

    n = collect_counts(&rtt, counts);
    vmlat_guest_show_summary(&rtt.show, end_ns, counts, n);
    if (fflush(stdout) && errno != EPIPE) {
        fprintf(stderr, PROGRAM_NAME ": writing to stdout: %s\n",
                vmlat_guest_strerror(errno));
        status = 1;
    }
    if (rtt.writer) {
        for (size_t i = 0; i < n; i++) {
            vmlat_record_writer_counter(rtt.writer, counts[i].name,
                                        counts[i].n);
        }
        error = vmlat_record_writer_close(rtt.writer, end_ns);
        if (error) {
            fprintf(stderr, PROGRAM_NAME ": %s\n", error);
            free(error);
            status = 1;
        }
    }
    vmlat_guest_echoes_destroy(&rtt.echoes);
    vmlat_guest_program_unload(rtt.program);
    return status;
}

/* Arguments. */

/* Program name, twice, default timeout, default limit of records. */
static const char usage_format[] =
    "%s: times packets in a guest's own network stack\n"
    "usage: %s rtt [OPTION]...\n"
    "\n"
    "ICMP echoes of either direction by stages, with a summary at the end:\n"
    "  local>remote  A: ip-out, qdisc, device-tx; outside; M: device-rx,\n"
    "                ip-in, icmp; rtt\n"
    "  remote>local  F: device-rx, ip-in, icmp; G: until the reply's ip-out;\n"
    "                H: ip-out, qdisc, device-tx; inside: all of it\n"
    "TCP and UDP by packets: A/H of those sent, F/M of those received.\n"
    "\n"
    "What to follow (default: all echoes in this network namespace):\n"
    "  --proto=PROTO[,...]      icmp, tcp, udp or all (default: icmp)\n"
    "  --device=DEVICE          packets that this device sends and receives\n"
    "  --direction=out|in|both  echoes that this guest asks (out), is asked\n"
    "                           (in); TCP and UDP packets sent, received\n"
    "  --src=IP[/LENGTH]        source and destination of echo requests and\n"
    "  --dst=IP[/LENGTH]        of their replies; of TCP and UDP, either way\n"
    "  --sport=PORT             ports of TCP and UDP, either way\n"
    "  --dport=PORT\n"
    "  --timeout=SECONDS        an echo is lost then (default: %d)\n"
    "\n"
    "How long:\n"
    "  --duration=SECONDS       at most (default: until SIGINT or SIGTERM)\n"
    "  --count=N                until N echoes, TCP and UDP packets are done\n"
    "\n"
    "What to print:\n"
    "  --json                   JSON lines, for programs\n"
    "  --min-us=US              lines only for what takes as long or is lost\n"
    "  --packets                lines for TCP and UDP packets, too\n"
    "  --quiet                  no such lines at all\n"
    "  --interval=SECONDS       statistics so often, too\n"
    "  --histogram              histograms with the statistics\n"
    "  --stacks                 kernel stacks of where packets enter IP to\n"
    "                           be sent, and of where they are delivered\n"
    "  --skb                    addresses of packets in the kernel\n"
    "\n"
    "A file for \"ovs-vmlat join\":\n"
    "  --record=FILE            one record for each packet (\"-\": stdout,\n"
    "                           text goes to stderr then)\n"
    "  --max-records=N          as many at most (default: %d)\n"
    "\n"
    "Other options:\n"
    "  -h, --help               display this help message\n"
    "  -V, --version            display version information\n";

static void
usage(void)
{
    printf(usage_format, PROGRAM_NAME, PROGRAM_NAME, DEFAULT_TIMEOUT_S,
           DEFAULT_MAX_RECORDS);
}

static double
parse_number(const char *option, const char *s, double min, double max)
{
    char *tail;
    double d;

    errno = 0;
    d = strtod(s, &tail);
    if (tail == s || *tail || errno || !isfinite(d) || d < min || d > max) {
        vmlat_guest_fatal("--%s=%s: must be a number from %g to %.15g",
                          option, s, min, max);
    }
    return d;
}

static uint64_t
parse_integer(const char *option, const char *s, uint64_t min, uint64_t max)
{
    unsigned long long n;
    char *tail;

    errno = 0;
    n = strtoull(s, &tail, 10);
    if (tail == s || *tail || errno || *s == '-' || n < min || n > max) {
        vmlat_guest_fatal("--%s=%s: must be an integer from %"PRIu64
                          " to %"PRIu64, option, s, min, max);
    }
    return n;
}

/* Parses IP[/LENGTH]; IPv4 is mapped. */
static void
parse_prefix(const char *option, const char *arg, __u32 address[4],
             __u32 mask[4])
{
    char copy[INET6_ADDRSTRLEN + 8];
    unsigned int length, bits;
    struct in6_addr ip6;
    struct in_addr ip;
    char *slash;

    snprintf(copy, sizeof copy, "%s", arg);
    slash = strchr(copy, '/');
    if (slash) {
        *slash++ = '\0';
    }
    if (strlen(arg) < sizeof copy && inet_pton(AF_INET, copy, &ip) == 1) {
        address[0] = address[1] = 0;
        address[2] = htonl(0xffff);
        memcpy(&address[3], &ip, sizeof ip);
        bits = 32;
    } else if (strlen(arg) < sizeof copy
               && inet_pton(AF_INET6, copy, &ip6) == 1) {
        memcpy(address, &ip6, sizeof ip6);
        bits = 128;
    } else {
        vmlat_guest_fatal("--%s=%s: must be an IPv4 or IPv6 address, with or "
                          "without /LENGTH", option, arg);
    }
    length = slash ? parse_integer(option, slash, 0, bits) : bits;
    length += 128 - bits;
    for (int i = 0; i < 4; i++) {
        unsigned int n = length > 32u * i ? length - 32 * i : 0;

        mask[i] = n >= 32 ? UINT32_MAX : n ? htonl(UINT32_MAX << (32 - n)) : 0;
        address[i] &= mask[i];
    }
}

static uint8_t
parse_protocols(const char *arg)
{
    const char *s = arg;
    uint8_t protocols = 0;

    do {
        size_t n = strcspn(s, ",");

        if (n == 4 && !strncmp(s, "icmp", n)) {
            protocols |= VMLAT_GUEST_ICMP;
        } else if (n == 3 && !strncmp(s, "tcp", n)) {
            protocols |= VMLAT_GUEST_TCP;
        } else if (n == 3 && !strncmp(s, "udp", n)) {
            protocols |= VMLAT_GUEST_UDP;
        } else if (n == 3 && !strncmp(s, "all", n)) {
            protocols |= VMLAT_GUEST_ANY;
        } else {
            vmlat_guest_fatal("--proto=%s: must be icmp, tcp, udp or all, or "
                              "some of them with commas", arg);
        }
        s += n;
    } while (*s++);
    return protocols;
}

static uint8_t
parse_direction(const char *arg)
{
    if (!strcmp(arg, "out")) {
        return 1 << VMLAT_GUEST_OUT;
    } else if (!strcmp(arg, "in")) {
        return 1 << VMLAT_GUEST_IN;
    } else if (!strcmp(arg, "both")) {
        return 1 << VMLAT_GUEST_OUT | 1 << VMLAT_GUEST_IN;
    }
    vmlat_guest_fatal("--direction=%s: must be out, in or both", arg);
}

static uint32_t
parse_device(const char *arg)
{
    uint32_t ifindex = if_nametoindex(arg);

    if (!ifindex) {
        vmlat_guest_fatal("--device=%s: no such device in this network "
                          "namespace (see \"ip link\")", arg);
    }
    return ifindex;
}

static uint32_t
this_netns(void)
{
    struct stat s;

    if (stat(NETNS_FILE, &s)) {
        vmlat_guest_fatal(NETNS_FILE ": %s: proc has to be mounted",
                          vmlat_guest_strerror(errno));
    }
    return s.st_ino;
}

/* Adds an option that is a filter to what the file of records says. */
static void
add_filter(struct options *o, const char *name, const char *value)
{
    size_t n = strlen(o->filter);

    snprintf(o->filter + n, sizeof o->filter - n, "%s%s=%s", n ? " " : "",
             name, value);
}

static void
parse_options(int argc, char *argv[], struct options *o)
{
    enum {
        OPT_PROTO = 256, OPT_DEVICE, OPT_DIRECTION, OPT_SRC, OPT_DST,
        OPT_SPORT, OPT_DPORT, OPT_TIMEOUT, OPT_DURATION, OPT_COUNT, OPT_JSON,
        OPT_MIN_US, OPT_PACKETS, OPT_QUIET, OPT_INTERVAL, OPT_HISTOGRAM,
        OPT_STACKS, OPT_SKB, OPT_RECORD, OPT_MAX_RECORDS,
    };
    static const struct option long_options[] = {
        { "proto", required_argument, NULL, OPT_PROTO },
        { "device", required_argument, NULL, OPT_DEVICE },
        { "direction", required_argument, NULL, OPT_DIRECTION },
        { "src", required_argument, NULL, OPT_SRC },
        { "dst", required_argument, NULL, OPT_DST },
        { "sport", required_argument, NULL, OPT_SPORT },
        { "dport", required_argument, NULL, OPT_DPORT },
        { "timeout", required_argument, NULL, OPT_TIMEOUT },
        { "duration", required_argument, NULL, OPT_DURATION },
        { "count", required_argument, NULL, OPT_COUNT },
        { "json", no_argument, NULL, OPT_JSON },
        { "min-us", required_argument, NULL, OPT_MIN_US },
        { "packets", no_argument, NULL, OPT_PACKETS },
        { "quiet", no_argument, NULL, OPT_QUIET },
        { "interval", required_argument, NULL, OPT_INTERVAL },
        { "histogram", no_argument, NULL, OPT_HISTOGRAM },
        { "stacks", no_argument, NULL, OPT_STACKS },
        { "skb", no_argument, NULL, OPT_SKB },
        { "record", required_argument, NULL, OPT_RECORD },
        { "max-records", required_argument, NULL, OPT_MAX_RECORDS },
        { "help", no_argument, NULL, 'h' },
        { "version", no_argument, NULL, 'V' },
        { NULL, 0, NULL, 0 },
    };

    for (;;) {
        int index = 0;
        int c = getopt_long(argc, argv, "hV", long_options, &index);
        const char *name = long_options[index].name;

        if (c == -1) {
            break;
        }
        switch (c) {
        case OPT_PROTO:
            o->config.protocols = parse_protocols(optarg);
            break;
        case OPT_DEVICE:
            o->config.ifindex = parse_device(optarg);
            break;
        case OPT_DIRECTION:
            o->config.kinds = parse_direction(optarg);
            break;
        case OPT_SRC:
            parse_prefix(name, optarg, o->config.src, o->config.src_mask);
            break;
        case OPT_DST:
            parse_prefix(name, optarg, o->config.dst, o->config.dst_mask);
            break;
        case OPT_SPORT:
            o->config.sport = parse_integer(name, optarg, 1, 65535);
            break;
        case OPT_DPORT:
            o->config.dport = parse_integer(name, optarg, 1, 65535);
            break;
        case OPT_TIMEOUT:
            o->timeout_s = parse_number(name, optarg, 0.01, 3600);
            break;
        case OPT_DURATION:
            o->duration_s = parse_number(name, optarg, 0.01, 1e9);
            break;
        case OPT_COUNT:
            o->count = parse_integer(name, optarg, 1, UINT32_MAX);
            break;
        case OPT_JSON:
            o->json = true;
            break;
        case OPT_MIN_US:
            o->min_us = parse_number(name, optarg, 0, 1e9);
            break;
        case OPT_PACKETS:
            o->packets = true;
            break;
        case OPT_QUIET:
            o->quiet = true;
            break;
        case OPT_INTERVAL:
            o->interval_s = parse_number(name, optarg, 0.1, 1e6);
            break;
        case OPT_HISTOGRAM:
            o->histogram = true;
            break;
        case OPT_STACKS:
            o->config.stacks = 1;
            break;
        case OPT_SKB:
            o->skbs = true;
            break;
        case OPT_RECORD:
            o->record = optarg;
            break;
        case OPT_MAX_RECORDS:
            o->max_records = parse_integer(name, optarg, 1, UINT32_MAX);
            break;
        case 'h':
            usage();
            exit(0);
        case 'V':
            printf("%s (vmlat) %s\n", PROGRAM_NAME, VMLAT_VERSION);
            exit(0);
        default:
            vmlat_guest_fatal("use --help for help");
        }
        if (c <= OPT_DPORT) {
            add_filter(o, name, optarg);
        }
    }
}

int
main(int argc, char *argv[])
{
    struct options options = {
        .config = {
            .protocols = VMLAT_GUEST_ICMP,
            .kinds = 1 << VMLAT_GUEST_OUT | 1 << VMLAT_GUEST_IN,
        },
        .timeout_s = DEFAULT_TIMEOUT_S,
        .max_records = DEFAULT_MAX_RECORDS,
    };

    parse_options(argc, argv, &options);
    argc -= optind;
    argv += optind;
    if (argc < 1) {
        vmlat_guest_fatal("missing command name; use --help for help");
    } else if (strcmp(argv[0], "rtt")) {
        vmlat_guest_fatal("unknown command '%s', the only one is \"rtt\"; use "
                          "--help for help", argv[0]);
    } else if (argc > 1) {
        vmlat_guest_fatal("'%s': \"rtt\" takes options only; use --help for "
                          "help", argv[1]);
    }
    if ((options.config.sport || options.config.dport)
        && !(options.config.protocols & (VMLAT_GUEST_TCP | VMLAT_GUEST_UDP))) {
        vmlat_guest_fatal("--sport and --dport need --proto=tcp, udp or all");
    }
    options.config.netns = this_netns();
    return run_rtt(&options);
}
