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

/* Makes files of records as two hosts and two guests would, with known times,
 * for the tests of ovs-vmlat.
 *
 * usage: make-records DIRECTORY [KEY=VALUE...]
 *
 * Writes sender-host, receiver-host, sender-guest and receiver-guest there.
 * See 'settings' for the keys. */

#include <config.h>

#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "openvswitch/util.h"
#include "util.h"
#include "vmlat-record-file.h"

/* When the first packet goes out, by the clock of the sender's host. */
#define START INT64_C(5000000000)

enum part { HOST_A, HOST_B, GUEST_A, GUEST_B, N_PARTS };

static const char *part_names[N_PARTS] = {
    "sender-host", "receiver-host", "sender-guest", "receiver-guest"
};

/* SETTING(key, default): times in ns. */
#define SETTINGS                                                              \
    SETTING(trips, 100)                                                       \
    SETTING(interval, 10000000)                                               \
    SETTING(proto, 1)                   /* Of IP. */                          \
    SETTING(id, 7)                      /* Of echoes. */                      \
    SETTING(seqs, 65536)                /* Sequence numbers start again. */   \
    SETTING(seq, 1000)                  /* TCP: where the data begin. */      \
    SETTING(acks, 1)                    /* TCP: segments per ACK. */          \
    SETTING(jitter, 0)                  /* Up to as much more per segment. */ \
    SETTING(A, 18000)                                                         \
    SETTING(B1, 25000)                                                        \
    SETTING(B, 13500)                                                         \
    SETTING(C, 15000)                                                         \
    SETTING(D, 13000)                                                         \
    SETTING(E, 42000)                                                         \
    SETTING(EV, 3000)                                                         \
    SETTING(F, 24000)                                                         \
    SETTING(G, 8000)                                                          \
    SETTING(H, 7000)                                                          \
    SETTING(I1, 11000)                                                        \
    SETTING(I, 9000)                                                          \
    SETTING(J, 16000)                                                         \
    SETTING(K, 8000)                                                          \
    SETTING(L, 38000)                                                         \
    SETTING(LV, 2000)                                                         \
    SETTING(M, 16000)                                                         \
    SETTING(gap, 500)                   /* Between host and guest. */         \
    SETTING(one_kernel, 0)              /* Both hosts: one boot id, clock. */ \
    SETTING(offset, 1000000000)         /* Between two machines' clocks. */   \
    SETTING(drift, 0)                   /* ppm, of receiver host's clock. */  \
    SETTING(jump, 0)                    /* Of receiver guest's, half way. */  \
    SETTING(wall_b, 0)                  /* Receiver's time of day, later. */  \
    SETTING(run, 0)                     /* Another run: other times. */       \
    SETTING(ip_id, 1)                   /* IP ids of replies: from here. */   \
    SETTING(negative, 0)                /* So many trips: wire below 0. */    \
    SETTING(no_kick, 0)                 /* So many trips. */                  \
    SETTING(no_signal, 0)                                                     \
    SETTING(no_ip_out, 0)               /* Guests do not see that. */         \
    SETTING(running, 0)                                                       \
    SETTING(overlap, 0)                 /* Guest polls: F before E ends. */   \
    SETTING(lose_d, 0)                  /* No record at D of so many. */      \
    SETTING(lose_reply, 0)              /* No reply to so many. */            \
    SETTING(short_b, 0)                 /* So many trips less at receiver. */ \
    SETTING(copies, 0)                  /* Flood: so many copies. */          \
    SETTING(insane, 0)                  /* So many impossible records. */     \
    SETTING(other, 0)                   /* Of another conversation. */        \
    SETTING(userspace, 0)               /* Host files: PATH only. */          \
    SETTING(hostile, 0)                 /* Names that are attacks. */         \
    SETTING(lost, 0)                    /* Counter "overwritten". */          \
    SETTING(missed, 0)                  /* Counter "missed". */               \
    SETTING(twice, 0)                   /* So many trips: B there twice. */   \
    SETTING(bytes, 1000)                /* Of TCP data. */                    \
    SETTING(merge_near, 1)              /* Requests: so many are one, */      \
    SETTING(merge_far, 1)               /* from A to B, at D and E, */        \
    SETTING(merge_guest, 1)             /* at F. */

struct settings {
#define SETTING(KEY, VALUE) int64_t KEY;
    SETTINGS
#undef SETTING
};

static struct settings settings = {
#define SETTING(KEY, VALUE) VALUE,
    SETTINGS
#undef SETTING
};

static struct vmlat_record_writer *writers[N_PARTS];
static int64_t offsets[N_PARTS];
static uint64_t last_ns[N_PARTS];
static uint64_t random_state = 1;

static const char hostile_name[] =
    "<script>alert(1)</script>\033[31m\"'&\xff\xfe,\n=cmd|x";

static uint64_t
next_random(void)
{
    random_state = random_state * UINT64_C(6364136223846793005)
                   + UINT64_C(1442695040888963407);
    return random_state >> 33;
}

/* Returns 'ns' and some jitter. */
static uint64_t
with_jitter(int64_t ns)
{
    return ns + (settings.jitter ? next_random() % settings.jitter : 0);
}

static void
open_part(const char *directory, enum part part, int64_t start)
{
    char *path = xasprintf("%s/%s", directory, part_names[part]);
    bool is_host = part == HOST_A || part == HOST_B;
    struct vmlat_record_source source;
    struct vmlat_record_name name;
    char *error;

    vmlat_record_source_init(&source, (is_host ? VMLAT_RECORD_HOST
                                       : VMLAT_RECORD_GUEST));
    memset(source.boot_id, (settings.one_kernel && is_host ? 1 : part + 1),
           sizeof source.boot_id);
    memset(source.run_id, part + 1, sizeof source.run_id);
    source.start_ns = start + offsets[part] - 1000000;
    last_ns[part] = source.start_ns;
    source.start_wall_ns = UINT64_C(1700000000000000000)
                           + settings.run * UINT64_C(3600000000000);
    if (part == HOST_B) {
        source.start_wall_ns += settings.wall_b;
    }
    ovs_strlcpy(source.host, settings.hostile ? hostile_name
                             : part_names[part], sizeof source.host);
    ovs_strlcpy(source.software, "make-records", sizeof source.software);
    writers[part] = vmlat_record_writer_open(path, &source, &error);
    if (!writers[part]) {
        ovs_fatal(0, "%s", error);
    }
    memset(&name, 0, sizeof name);
    if (is_host) {
        name.id = 1;
        name.role = VMLAT_RECORD_PORT_VM;
        ovs_strlcpy(name.name, settings.hostile ? hostile_name : "vnet0",
                    sizeof name.name);
        ovs_strlcpy(name.vm, settings.hostile ? hostile_name
                    : part == HOST_A ? "vm-a" : "vm-b", sizeof name.vm);
        vmlat_record_writer_name(writers[part], &name);
        memset(&name, 0, sizeof name);
        name.id = 2;
        name.role = VMLAT_RECORD_PORT_WIRE;
        ovs_strlcpy(name.name, "eth0", sizeof name.name);
        vmlat_record_writer_name(writers[part], &name);
        memset(&name, 0, sizeof name);
        name.id = 3;
        name.role = VMLAT_RECORD_PORT_VM;
        ovs_strlcpy(name.name, "vnet1", sizeof name.name);
    } else {
        name.id = 1;
        name.role = VMLAT_RECORD_PORT_DEVICE;
        ovs_strlcpy(name.name, "eth0", sizeof name.name);
    }
    vmlat_record_writer_name(writers[part], &name);
    free(path);
}

/* The packet of trip 'i'. */
static void
set_packet(struct vmlat_record *r, uint64_t i, bool is_reply)
{
    memset(r, 0, sizeof *r);
    r->src[10] = r->src[11] = r->dst[10] = r->dst[11] = 0xff;
    r->src[12] = r->dst[12] = 10;
    r->src[15] = is_reply ? 2 : 1;
    r->dst[15] = is_reply ? 1 : 2;
    r->segments = 1;
    r->vring = VMLAT_VRING_UNKNOWN;
    r->proto = settings.proto;
    switch (settings.proto) {
    case IPPROTO_TCP:
        r->sport = is_reply ? 5001 : 40000;
        r->dport = is_reply ? 40000 : 5001;
        r->seq = is_reply ? 1 : settings.seq + i * settings.bytes;
        r->ack = is_reply ? settings.seq + (i + 1) * settings.bytes : 1;
        r->payload = is_reply ? 0 : settings.bytes;
        r->l4_type = 0x10;
        r->ip_id = settings.ip_id + i;
        break;
    case IPPROTO_UDP:
        r->sport = is_reply ? 5001 : 40000;
        r->dport = is_reply ? 40000 : 5001;
        r->seq = i;
        r->payload = 1000;
        r->ip_id = settings.ip_id + i;
        break;
    default:
        r->sport = settings.id;
        r->seq = i % settings.seqs;
        r->payload = 56;
        r->l4_type = is_reply ? 0 : 8;
        r->ip_id = is_reply ? settings.ip_id + i : 0;
        break;
    }
    for (int k = 0; k < VMLAT_RECORD_MARKS; k++) {
        r->marks[k] = VMLAT_MARK_NONE;
    }
}

/* The packet of trip 'i' where 'n' requests after each other are one packet.
 * Returns false if it is not the last one of these. */
static bool
set_merged(struct vmlat_record *r, uint64_t i, bool is_reply, int64_t n)
{
    bool is_one = is_reply || n == 1;

    set_packet(r, is_one ? i : i - i % n, is_reply);
    if (!is_one) {
        r->payload *= n;
        r->segments = n;
    }
    return is_one || !((i + 1) % n);
}

static void
put(enum part part, struct vmlat_record *r, enum vmlat_record_kind kind,
    int in, int out, const uint64_t *times, size_t n)
{
    uint64_t shifted[VMLAT_RECORD_MARKS];

    for (size_t i = 0; i < n; i++) {
        uint64_t t = times[i];

        if (t && part == HOST_B) {
            t += (int64_t) (t - START) * settings.drift / 1000000;
        } else if (t && part == GUEST_B
                   && t - START > settings.trips * settings.interval / 2) {
            t += settings.jump;
        }
        shifted[i] = t ? t + offsets[part] : 0;
        last_ns[part] = MAX(last_ns[part], shifted[i]);
    }
    r->kind = kind;
    r->in = in;
    r->out = out;
    if (!vmlat_record_set_times(r, shifted, n)) {
        ovs_fatal(0, "times go backward");
    }
    vmlat_record_writer_add(writers[part], r, 1);
}

/* One way from guest to guest, beginning at 't'.  Returns when the other
 * guest's stack has the packet. */
static uint64_t
go(uint64_t i, bool is_reply, uint64_t t)
{
    enum part guest = is_reply ? GUEST_B : GUEST_A;
    enum part host = is_reply ? HOST_B : HOST_A;
    enum part far_host = is_reply ? HOST_A : HOST_B;
    enum part far_guest = is_reply ? GUEST_A : GUEST_B;
    uint64_t a = with_jitter(is_reply ? settings.H : settings.A);
    uint64_t b1 = with_jitter(is_reply ? settings.I1 : settings.B1);
    uint64_t b = with_jitter(is_reply ? settings.I : settings.B);
    int64_t c = with_jitter(is_reply ? settings.J : settings.C);
    uint64_t d = with_jitter(is_reply ? settings.K : settings.D);
    uint64_t e = with_jitter(is_reply ? settings.L : settings.E);
    uint64_t ev = with_jitter(is_reply ? settings.LV : settings.EV);
    uint64_t f = with_jitter(is_reply ? settings.M : settings.F);
    bool no_signal = i < settings.no_signal;
    bool overlap = i < settings.overlap;
    bool at_b = i + settings.short_b < settings.trips;
    struct vmlat_record r;
    bool is_whole = set_merged(&r, i, is_reply, settings.merge_near);
    bool at_near = (is_reply ? at_b : true) && is_whole;
    bool at_far = is_reply ? true : at_b;
    uint64_t times[VMLAT_RECORD_MARKS];

    times[0] = settings.no_ip_out ? 0 : t;
    times[1] = t + a / 2;
    times[2] = t += a;
    if (is_whole) {
        put(guest, &r, VMLAT_REC_GUEST_OUT, 0, 1, times, 3);
    }

    t += settings.gap;
    if (!settings.userspace && at_near) {
        bool no_kick = i < settings.no_kick;

        r.flags = no_kick ? VMLAT_REC_NO_KICK : 0;
        times[0] = no_kick ? 0 : t;
        times[1] = no_kick ? 0 : t + b1 / 2;
        times[2] = t + b1 * 3 / 4;
        times[3] = t + b1;
        put(host, &r, VMLAT_REC_VM_TX, 1, 0, times, 4);
    }
    t += settings.userspace ? 0 : b1;

    r.flags = settings.userspace ? VMLAT_REC_USERSPACE : 0;
    memset(times, 0, sizeof times);
    times[VMLAT_MARK_PATH_RX] = t;
    times[VMLAT_MARK_PATH_OVS] = t + b / 4;
    times[VMLAT_MARK_PATH_SEND] = t + b / 2;
    times[VMLAT_MARK_PATH_TX] = t += b;
    if (at_near) {
        put(host, &r, VMLAT_REC_PATH, 1, 2, times, 8);
    }

    t += c;
    if (i < settings.negative) {
        t -= settings.C + settings.J + 1000;
    }
    at_far = set_merged(&r, i, is_reply, settings.merge_far) && at_far;
    r.flags = settings.userspace ? VMLAT_REC_USERSPACE : 0;
    times[VMLAT_MARK_PATH_RX] = t;
    times[VMLAT_MARK_PATH_OVS] = t + d / 4;
    times[VMLAT_MARK_PATH_SEND] = t + d / 2;
    times[VMLAT_MARK_PATH_TX] = t += d;
    if (at_far && (is_reply || i >= settings.lose_d)) {
        put(far_host, &r, VMLAT_REC_PATH, 2, 1, times, 8);
        if (i >= settings.lose_d && i < settings.copies) {
            r.flags |= VMLAT_REC_COPY;
            put(far_host, &r, VMLAT_REC_PATH, 2, 3, times, 8);
            r.flags &= ~VMLAT_REC_COPY;
        }
    }

    if (!settings.userspace) {
        times[0] = t;
        times[1] = t + e / 4;
        times[2] = t + e / 2;
        times[3] = no_signal ? 0 : t + e * 3 / 4;
        times[4] = no_signal ? 0 : t + e;
        times[5] = no_signal || i < settings.running ? 0 : t + e + ev;
        r.flags = (no_signal ? VMLAT_REC_NO_SIGNAL
                   : i < settings.running ? VMLAT_REC_RUNNING : 0);
        if (at_far) {
            put(far_host, &r, VMLAT_REC_VM_RX, 0, 1, times, 6);
        }
        t += (no_signal || overlap ? e / 2
              : i < settings.running ? e : e + ev);
    }
    t += overlap ? 0 : settings.gap;

    times[0] = t;
    times[1] = t + f / 2;
    times[2] = t += f;
    if (set_merged(&r, i, is_reply, settings.merge_guest)) {
        put(far_guest, &r, VMLAT_REC_GUEST_IN, 1, 0, times, 3);
    }
    return t;
}

static void
put_odd_ones(int64_t start)
{
    for (int64_t i = 0; i < settings.insane; i++) {
        struct vmlat_record r;

        set_packet(&r, i, false);
        r.time_ns = start + offsets[HOST_A] + i;
        r.kind = i % 2 ? 200 : VMLAT_REC_PATH;
        r.shift = i % 2 ? 0 : 63;
        r.marks[0] = 0;
        vmlat_record_writer_add(writers[HOST_A], &r, 1);
    }
    for (int64_t i = 0; i < settings.other; i++) {
        uint64_t times[VMLAT_RECORD_MARKS] = { 0 };
        struct vmlat_record r;

        set_packet(&r, i, false);
        r.dst[15] = 99;
        times[VMLAT_MARK_PATH_RX] = start + i;
        times[VMLAT_MARK_PATH_TX] = start + i + 1000;
        put(HOST_A, &r, VMLAT_REC_PATH, 1, 2, times, 8);
    }
}

static void
parse_setting(const char *arg)
{
    const char *value = strchr(arg, '=');
    size_t n = value ? value - arg : 0;
    long long int number;

    if (!value || !str_to_llong(value + 1, 10, &number)) {
        ovs_fatal(0, "%s: not KEY=NUMBER", arg);
    }
#define SETTING(KEY, VALUE)                                                   \
    if (n == strlen(#KEY) && !strncmp(arg, #KEY, n)) {                        \
        settings.KEY = number;                                                \
        return;                                                               \
    }
    SETTINGS
#undef SETTING
    ovs_fatal(0, "%s: unknown key", arg);
}

int
main(int argc, char *argv[])
{
    int64_t start = START;

    set_program_name(argv[0]);
    if (argc < 2) {
        ovs_fatal(0, "usage: %s DIRECTORY [KEY=NUMBER...]", argv[0]);
    }
    for (int i = 2; i < argc; i++) {
        parse_setting(argv[i]);
    }
    start += settings.run * INT64_C(3600000000000);
    random_state += settings.run;
    for (int i = 0; i < N_PARTS; i++) {
        offsets[i] = (settings.one_kernel && i == HOST_B ? 0
                      : i * settings.offset);
        open_part(argv[1], i, start);
    }
    put_odd_ones(start);
    for (int64_t i = 0; i < settings.trips; i++) {
        int64_t t = start + i * settings.interval;

        /* Runs differ in when exactly packets go out. */
        if (settings.run) {
            t += next_random() % (settings.interval / 2 + 1);
        }
        t = go(i, false, t);
        if (i < settings.lose_reply || (i + 1) % settings.acks) {
            continue;
        }
        go(i, true, t + with_jitter(settings.G));
        if (i < settings.twice) {
            uint64_t times[VMLAT_RECORD_MARKS] = { 0 };
            struct vmlat_record r;

            set_packet(&r, i, false);
            times[VMLAT_MARK_PATH_RX] = t;
            times[VMLAT_MARK_PATH_TX] = t + 1000;
            put(HOST_A, &r, VMLAT_REC_PATH, 1, 2, times, 8);
        }
    }
    for (int i = 0; i < N_PARTS; i++) {
        char *error;

        if (settings.lost) {
            vmlat_record_writer_counter(writers[i], "overwritten",
                                        settings.lost);
        }
        if (settings.missed) {
            vmlat_record_writer_counter(writers[i], "missed",
                                        settings.missed);
        }
        error = vmlat_record_writer_close(writers[i], last_ns[i] + 1);
        if (error) {
            ovs_fatal(0, "%s", error);
        }
    }
    return 0;
}
