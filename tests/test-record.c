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

/* Tests of files of records: what is written is read again, and no file, made
 * by whomever, does harm. */

#include <config.h>
#undef NDEBUG

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "command-line.h"
#include "openvswitch/dynamic-string.h"
#include "packets.h"
#include "test-vmlat.h"
#include "util.h"
#include "vmlat-packet.h"
#include "vmlat-record-file.h"

/* Where blocks of the file that make_file() makes are. */
enum {
    SOURCE_OFS = 8,
    NAME_OFS = SOURCE_OFS + 8 + sizeof(struct vmlat_record_source),
    NAME2_OFS = NAME_OFS + 8 + sizeof(struct vmlat_record_name),
    RECORDS_OFS = NAME2_OFS + 8 + sizeof(struct vmlat_record_name),
    N_RECORDS = 3,
    COUNTER_OFS = RECORDS_OFS + 8 + N_RECORDS * sizeof(struct vmlat_record),
    END_OFS = COUNTER_OFS + 8 + sizeof(struct vmlat_record_counter),
    FILE_SIZE = END_OFS + 8 + sizeof(struct vmlat_record_end),
};

static void
make_record(struct vmlat_record *r, uint32_t i)
{
    uint64_t times[VMLAT_RECORD_MARKS] = { [VMLAT_MARK_PATH_RX] = 1000 + i,
                                           [VMLAT_MARK_PATH_TX] = 2000 + i };

    memset(r, 0, sizeof *r);
    r->kind = VMLAT_REC_PATH;
    r->proto = IPPROTO_UDP;
    r->seq = i;
    r->in = 1;
    r->out = 2;
    r->segments = 1;
    if (!vmlat_record_set_times(r, times, VMLAT_RECORD_MARKS)) {
        fail("record %"PRIu32" has no times", i);
    }
}

/* Writes a file with 'n' records. */
static char *
write_file(const char *name, size_t n)
{
    struct vmlat_record_name port = {
        .id = 1, .role = VMLAT_RECORD_PORT_VM, .ifindex = 7,
        .name = "vnet0", .vm = "web",
    };
    struct vmlat_record_source source;
    struct vmlat_record_writer *w;
    struct vmlat_record r;
    char *error;

    vmlat_record_source_init(&source, VMLAT_RECORD_HOST);
    ovs_strlcpy(source.software, "test", sizeof source.software);
    ovs_strlcpy(source.filter, "proto=udp", sizeof source.filter);
    w = vmlat_record_writer_open(name, &source, &error);
    if (!w) {
        return error;
    }
    vmlat_record_writer_name(w, &port);
    port.id = 2;
    port.role = VMLAT_RECORD_PORT_WIRE;
    memset(port.name, 'x', sizeof port.name);
    vmlat_record_writer_name(w, &port);
    for (size_t i = 0; i < n; i++) {
        make_record(&r, i);
        vmlat_record_writer_add(w, &r, 1);
    }
    vmlat_record_writer_counter(w, "overwritten", 77);
    return vmlat_record_writer_close(w, source.start_ns + 5);
}

/* Reads a file that consists of the 'size' bytes at 'data'. */
static struct vmlat_record_file *
open_bytes(const void *data, size_t size, char **errorp)
{
    int fd = memfd_create("records", MFD_CLOEXEC);
    struct vmlat_record_file *f;
    char name[64];

    ovs_assert(fd >= 0 && write(fd, data, size) == size);
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    f = vmlat_record_file_open(name, errorp);
    if (!f && (!*errorp || strncmp(*errorp, name, strlen(name))
               || strchr(*errorp, '\n'))) {
        fail("\"%s\" is not one line about the file", *errorp);
    }
    close(fd);
    return f;
}

/* Looks at all that there is in 'f'. */
static uint64_t
look_at(const struct vmlat_record_file *f)
{
    uint64_t sum = (strlen(f->source->host) + strlen(f->source->software)
                    + strlen(f->source->filter));
    size_t n = 0;

    for (size_t i = 0; i < f->n_names; i++) {
        if (f->names[i]) {
            sum += strlen(f->names[i]->name) + strlen(f->names[i]->vm);
        }
    }
    for (size_t i = 0; i < f->n_counters; i++) {
        sum += strlen(f->counters[i]->name) + f->counters[i]->value;
    }
    for (size_t i = 0; i < f->n_runs; i++) {
        n += f->runs[i].n;
        for (size_t j = 0; j < f->runs[i].n; j++) {
            const struct vmlat_record *r = &f->runs[i].records[j];

            if (vmlat_record_is_sane(r)) {
                for (size_t k = 0; k < VMLAT_RECORD_MARKS; k++) {
                    uint64_t t = vmlat_record_mark(r, k);

                    if (t && t < r->time_ns) {
                        fail("a mark is before the first one");
                    }
                    sum += t;
                }
            }
        }
    }
    if (n != f->n_records) {
        fail("%"PRIuSIZE" records, not %"PRIuSIZE, n, f->n_records);
    }
    return sum;
}

/* Checks that a file opens, with 'n' records, or does not if 'what' is a part
 * of the error. */
static void
check_bytes(const uint8_t *data, size_t size, const char *what, size_t n,
            bool truncated)
{
    struct vmlat_record_file *f;
    char *error;

    f = open_bytes(data, size, &error);
    if (what) {
        if (f) {
            fail("opens, but: %s", what);
        } else if (!strstr(error, what)) {
            fail("\"%s\" does not say: %s", error, what);
        }
    } else if (!f) {
        fail("%s (%"PRIuSIZE" bytes)", error, size);
    } else {
        look_at(f);
        if (f->n_records != n || f->truncated != truncated
            || !f->end_ns != truncated) {
            fail("%"PRIuSIZE" bytes: %"PRIuSIZE" records, not %"PRIuSIZE
                 "%s", size, f->n_records, n, f->truncated ? ", cut off" : "");
        }
    }
    vmlat_record_file_close(f);
    free(error);
}

static uint8_t *
read_bytes(const char *name, size_t *size)
{
    FILE *file = fopen(name, "r");
    struct stat s;
    uint8_t *data;

    ovs_assert(file && !fstat(fileno(file), &s));
    *size = s.st_size;
    data = xmalloc(*size + 1);
    ovs_assert(fread(data, 1, *size, file) == *size);
    fclose(file);
    return data;
}

static void
test_round_trip(const char *name, size_t n)
{
    char *error = write_file(name, n);
    struct vmlat_record_file *f;
    struct vmlat_record want;
    uint32_t k = 0;

    if (error) {
        fail("%s", error);
        free(error);
        return;
    }
    f = vmlat_record_file_open(name, &error);
    if (!f) {
        fail("%s", error);
        free(error);
        return;
    }
    look_at(f);
    if (f->truncated || f->n_records != n || f->n_names != 3
        || f->names[0] || f->n_counters != 1
        || f->end_ns != f->source->start_ns + 5
        || f->source->role != VMLAT_RECORD_HOST
        || strcmp(f->source->filter, "proto=udp")
        || strcmp(f->names[1]->name, "vnet0") || strcmp(f->names[1]->vm, "web")
        || f->names[1]->ifindex != 7 || strlen(f->names[2]->name) != 63
        || f->names[2]->role != VMLAT_RECORD_PORT_WIRE
        || strcmp(f->counters[0]->name, "overwritten")
        || f->counters[0]->value != 77) {
        fail("%"PRIuSIZE" records: not what was written", n);
    }
    for (size_t i = 0; i < f->n_runs; i++) {
        for (size_t j = 0; j < f->runs[i].n; j++) {
            make_record(&want, k++);
            if (memcmp(&f->runs[i].records[j], &want, sizeof want)) {
                fail("record %"PRIu32" differs", k - 1);
            }
        }
    }
    vmlat_record_file_close(f);
}

/* Writes that fail leave nothing behind. */
static void
test_write_errors(const char *dir)
{
    static const struct {
        const char *name;
        const char *what;
    } cases[] = {
        { "/no-such-dir/x", "No such file" },
        { "/", "Is a directory" },
        { "/dev/null", "not a regular file" },
    };
    struct rlimit limit, small = { 4096, RLIM_INFINITY };
    char *name = xasprintf("%s/full", dir);
    struct dirent *entry;
    char *error;
    DIR *d;

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        error = write_file(cases[i].name, 1);
        if (!error || !strstr(error, cases[i].what)
            || strncmp(error, cases[i].name, strlen(cases[i].name))) {
            fail("%s: \"%s\", not: %s", cases[i].name, error, cases[i].what);
        }
        free(error);
    }

    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &limit);
    small.rlim_max = limit.rlim_max;
    setrlimit(RLIMIT_FSIZE, &small);
    error = write_file(name, 1000);
    setrlimit(RLIMIT_FSIZE, &limit);
    if (!error || !strstr(error, "too large")) {
        fail("a file that is too large: \"%s\"", error);
    }
    free(error);
    free(name);

    d = opendir(dir);
    ovs_assert(d);
    while ((entry = readdir(d))) {
        if (entry->d_name[0] != '.') {
            fail("%s is left", entry->d_name);
        }
    }
    closedir(d);
}

static void
test_truncated(const uint8_t *data, size_t size)
{
    for (size_t n = 0; n <= size; n++) {
        size_t n_records = (n < RECORDS_OFS + 8 ? 0
                            : MIN((n - RECORDS_OFS - 8)
                                  / sizeof(struct vmlat_record), N_RECORDS));

        check_bytes(data, n,
                    (!n ? "is empty"
                     : n < 8 ? "is not a file of records"
                     : n < NAME_OFS ? "was cut off before it says who"
                     : NULL),
                    n_records, n < size);
    }
}

/* Changes that have to be noticed, each made to the whole file. */
static void
test_changes(const uint8_t *data, size_t size)
{
    static const struct {
        size_t ofs, n;              /* Bytes to set ... */
        uint8_t to;                 /* ... to this. */
        const char *what;           /* NULL: cut off, with 'n_records'. */
        size_t n_records;
    } changes[] = {
        { 0, 1, 'v', "is not a file of records", 0 },
        { SOURCE_OFS, 1, 2, "does not begin with a SOURCE block", 0 },
        { SOURCE_OFS, 1, 99, "does not begin with a SOURCE block", 0 },
        { SOURCE_OFS + 2, 1, 2, "version 2", 0 },
        { SOURCE_OFS + 4, 1, 0, "wrong length", 0 },
        { SOURCE_OFS + 8, 1, 3, "neither of a host nor of a guest", 0 },
        { SOURCE_OFS + 12, 1, 104, "another size", 0 },
        { SOURCE_OFS + 8 + 56, 64, 'x', "string without an end", 0 },
        { SOURCE_OFS + 8 + 120, 64, 'x', "string without an end", 0 },
        { SOURCE_OFS + 8 + 184, 256, 'x', "string without an end", 0 },
        { NAME_OFS, 1, 1, "wrong length", 0 },
        { NAME_OFS + 3, 1, 1, "version 257", 0 },
        { NAME_OFS + 4, 4, 0xff, "wrong length", 0 },
        { NAME_OFS + 8, 2, 0, "port id 0", 0 },
        { NAME_OFS + 10, 1, 0, "unknown role", 0 },
        { NAME_OFS + 10, 1, 9, "unknown role", 0 },
        { NAME_OFS + 16, 64, 'x', "string without an end", 0 },
        { NAME_OFS + 80, 64, 'x', "string without an end", 0 },
        { NAME2_OFS + 8, 1, 1, "two names", 0 },
        { NAME2_OFS, 1, 77, NULL, N_RECORDS },  /* Unknown: skipped. */
        { RECORDS_OFS, 1, 77, "another number of records", 0 },
        { RECORDS_OFS + 4, 1, 1, "wrong length", 0 },
        { RECORDS_OFS + 4, 1, 8, "wrong length", 0 },
        { COUNTER_OFS + 16, 56, 'x', "string without an end", 0 },
        { END_OFS + 8, 8, 0, "ends before it begins", 0 },
        { END_OFS + 16, 1, 4, "another number of records", 0 },
        { END_OFS + 16, 8, 0xff, "another number of records", 0 },
    };
    uint8_t *copy = xmalloc(size + 8);
    uint32_t huge = UINT32_MAX / 112 * 112 / 16 * 16;

    for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
        memcpy(copy, data, size);
        memset(copy + changes[i].ofs, changes[i].to, changes[i].n);
        check_bytes(copy, size, changes[i].what, changes[i].n_records, false);
    }

    /* Blocks that go beyond the end. */
    memcpy(copy, data, size);
    while (huge % 112 || huge % 8) {
        huge--;
    }
    memcpy(copy + RECORDS_OFS + 4, &huge, 4);
    check_bytes(copy, size, NULL, (size - RECORDS_OFS - 8) / 112, true);
    memcpy(copy, data, size);
    copy[NAME2_OFS] = 77;
    memset(copy + NAME2_OFS + 4, 0xf8, 4);
    check_bytes(copy, size, NULL, 0, true);

    memcpy(copy, data, size);
    memset(copy + size, 0, 8);
    check_bytes(copy, size + 8, "goes on behind its END", 0, false);

    /* The SOURCE once more, in the place of others that are as long. */
    copy = xrealloc(copy, 2 * size);
    memcpy(copy, data, NAME_OFS);
    memcpy(copy + NAME_OFS, data + SOURCE_OFS, NAME_OFS - SOURCE_OFS);
    check_bytes(copy, 2 * NAME_OFS - SOURCE_OFS, "two SOURCE", 0, true);
    free(copy);
}

/* Each bit, and many at random: anything but harm. */
static void
test_flips(const uint8_t *data, size_t size, unsigned int n)
{
    uint8_t *copy = xmalloc(size);
    uint64_t state = 1;
    unsigned int n_opened = 0;

    for (size_t i = 0; i < size * 8 + n; i++) {
        struct vmlat_record_file *f;
        char *error;

        memcpy(copy, data, size);
        if (i < size * 8) {
            copy[i / 8] ^= 1 << i % 8;
        } else {
            unsigned int k = random_below(&state, 8);

            do {
                copy[random_below(&state, size)] = next_random(&state);
            } while (k--);
        }
        f = open_bytes(copy, i % 3 ? size : random_below(&state, size),
                       &error);
        if (f) {
            look_at(f);
            n_opened++;
        }
        vmlat_record_file_close(f);
        free(error);
    }
    free(copy);
    if (!n_opened) {
        fail("none of the changed files opens");
    }
}

static void
test_times(void)
{
    static const struct {
        uint64_t times[4];
        int shift;                  /* -1: refused. */
    } cases[] = {
        { { 5, 6, 6, 9 }, 0 },
        { { 0, 0, 7, 0 }, 0 },
        { { 1, 0xffffffff, 0, 0 }, 0 },
        { { 1, UINT64_C(0x100000000), 0, 0 }, 1 },
        { { 1, UINT64_C(60000000000), 0, UINT64_C(60000000001) }, 4 },
        { { 1, 0, 0, (UINT64_C(1) << 62) - (UINT64_C(1) << 31) }, 30 },
        { { 1, 0, 0, (UINT64_C(1) << 62) - 1 }, 31 },
        { { 1, 0, 0, UINT64_C(1) << 62 }, -1 },
        { { 1, 0, 0, UINT64_MAX }, -1 },
        { { 0, 0, 0, 0 }, -1 },
        { { 5, 4, 0, 0 }, -1 },
        { { 5, 0, 7, 6 }, -1 },
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct vmlat_record r;
        bool ok;

        memset(&r, 0, sizeof r);
        r.kind = VMLAT_REC_VM_TX;
        r.proto = IPPROTO_TCP;
        ok = vmlat_record_set_times(&r, cases[i].times, 4);
        if (ok != (cases[i].shift >= 0)) {
            fail("times %"PRIuSIZE": %s", i, ok ? "taken" : "refused");
        } else if (ok) {
            if (r.shift != cases[i].shift || !vmlat_record_is_sane(&r)) {
                fail("times %"PRIuSIZE": shift %d", i, r.shift);
            }
            for (size_t j = 0; j < 4; j++) {
                uint64_t want = cases[i].times[j];
                uint64_t t = vmlat_record_mark(&r, j);

                if (!want != !t || t > want
                    || want - t >= UINT64_C(1) << r.shift) {
                    fail("times %"PRIuSIZE": %"PRIu64" became %"PRIu64,
                         i, want, t);
                }
            }
        }
    }
    if (vmlat_record_set_times(&(struct vmlat_record) { .kind = 0 },
                               cases[0].times, VMLAT_RECORD_MARKS + 1)) {
        fail("more marks than there are");
    }
}

static void
test_sane(void)
{
    struct vmlat_record good, r;

    make_record(&good, 1);
#define CHECK(CHANGE)                                           \
    r = good;                                                   \
    CHANGE;                                                     \
    if (vmlat_record_is_sane(&r)) {                             \
        fail("sane with %s", #CHANGE);                          \
    }
    CHECK(r.kind = VMLAT_REC_N_KINDS);
    CHECK(r.kind = 255);
    CHECK(r.kind = VMLAT_REC_GUEST_IN);         /* Has no such mark. */
    CHECK(r.shift = 32);
    CHECK(r.time_ns = 0);
    CHECK(r.time_ns = UINT64_C(1) << 62);
    CHECK(r.marks[0] = 1);
    CHECK(r.marks[0] = VMLAT_MARK_NONE);
    CHECK(r.marks[VMLAT_MARK_PATH_OUTER] = 3);
    CHECK(memset(r.marks, 0xff, sizeof r.marks));
    CHECK(r.proto = IPPROTO_ICMP; r.dport = 1);
    CHECK(r.proto = IPPROTO_ICMPV6; r.ack = 1);
    CHECK(r.proto = IPPROTO_ICMP; r.seq = 65536);
    CHECK(memset(&r, 0, sizeof r));
#undef CHECK
    if (!vmlat_record_is_sane(&good)) {
        fail("not sane");
    }

    for (unsigned int kind = 0; kind < VMLAT_REC_N_KINDS + 2; kind++) {
        unsigned int n = vmlat_record_n_marks(kind);
        bool exists = kind < VMLAT_REC_N_KINDS;

        if ((n > 0) != exists || n > VMLAT_RECORD_MARKS
            || (vmlat_record_kind_name(kind)[0] != '?') != exists
            || vmlat_record_mark_name(kind, n)[0] != '?'
            || (exists && vmlat_record_mark_name(kind, n - 1)[0] == '?')) {
            fail("kind %u, %u marks", kind, n);
        }
    }
    if (strcmp(vmlat_record_mark_name(VMLAT_REC_VM_RX,
                                      VMLAT_MARK_VM_RX_IRQFD), "irqfd")
        || strcmp(vmlat_record_kind_name(VMLAT_REC_GUEST_IN), "guest-in")) {
        fail("wrong names");
    }
}

#define MACS "020000000002 020000000001 "
#define V4(LENGTH, FRAGMENT, PROTO) \
    "0800 4500" LENGTH "abcd" FRAGMENT "40" PROTO "0000 0a000001 0a000002 "
#define V6(LENGTH, NEXT) \
    "86dd 60000000" LENGTH NEXT "40" \
    "fd000000000000000000000000000001 fd000000000000000000000000000002 "
#define TCP "1f900050 01020304 0a0b0c0d 5012 0000 0000 0000 "

static const struct header_case {
    const char *name;
    const char *hex;
    bool ok;
    uint16_t sport, dport;
    uint32_t seq, ack, payload;
    uint8_t proto, l4_type;
    bool fragment;
} header_cases[] = {
    { "tcp", MACS V4("0032", "0000", "06") TCP "00", true,
      8080, 80, 0x01020304, 0x0a0b0c0d, 10, IPPROTO_TCP, 0x12, false },
    { "tcp with options that were not captured",
      MACS V4("0050", "4000", "06")
      "1f900050 01020304 0a0b0c0d 8010 0000 0000 0000", true,
      8080, 80, 0x01020304, 0x0a0b0c0d, 28, IPPROTO_TCP, 0x10, false },
    { "tcp, GSO above 64 KiB", MACS V4("0000", "4000", "06") TCP, true,
      8080, 80, 0x01020304, 0x0a0b0c0d, 0, IPPROTO_TCP, 0x12, false },
    { "udp in two VLANs", "020000000002 020000000001 88a80064 810000c8 "
      V4("0026", "0000", "11") "1f900050 00120000 0102030405060708 0910",
      true, 8080, 80, 0x01020304, 0x05060708, 10, IPPROTO_UDP, 0, false },
    { "udp with 6 bytes and padding", MACS V4("0022", "0000", "11")
      "1f900050 000e0000 010203040506ffff", true,
      8080, 80, 0x01020304, 0, 6, IPPROTO_UDP, 0, false },
    { "udp with 3 bytes and padding", MACS V4("001f", "0000", "11")
      "1f900050 000b0000 010203ffffffffff", true,
      8080, 80, 0, 0, 3, IPPROTO_UDP, 0, false },
    { "icmp echo", MACS V4("0054", "0000", "01") "0800f7ff 00070003 00", true,
      7, 0, 3, 0, 56, IPPROTO_ICMP, 8, false },
    { "icmp unreachable", MACS V4("0038", "0000", "01") "0301f7ff 00070003",
      true, 0, 0, 0, 0, 28, IPPROTO_ICMP, 3, false },
    { "icmp6 echo reply", MACS V6("0040", "3a") "8100f7ff 00070003", true,
      7, 0, 3, 0, 56, IPPROTO_ICMPV6, 129, false },
    { "icmp6 behind hop-by-hop", MACS V6("0020", "00")
      "3a00050200000000 8f00f7ff 00000001", true,
      0, 0, 0, 0, 20, IPPROTO_ICMPV6, 143, false },
    { "first fragment", MACS V4("0024", "2000", "11")
      "1f900050 08000000 0102030405060708", true,
      8080, 80, 0x01020304, 0x05060708, 8, IPPROTO_UDP, 0, true },
    { "later fragment", MACS V4("0024", "0010", "11")
      "1f900050 08000000 0102030405060708", true,
      0, 0, 0, 0, 16, IPPROTO_UDP, 0, true },
    { "later fragment of IPv6", MACS V6("0018", "2c")
      "11000010 00000001 1f900050 08000000 0102030405060708", true,
      0, 0, 0, 0, 16, IPPROTO_UDP, 0, true },
    { "sctp", MACS V4("0030", "0000", "84")
      "1f900050 00000000 00000000 00", true,
      8080, 80, 0, 0, 16, IPPROTO_SCTP, 0, false },
    { "gre", MACS V4("0030", "0000", "2f") "00", true,
      0, 0, 0, 0, 28, 47, 0, false },
    { "arp", MACS "0806 0001 0800 0604 0001", .ok = false },
    { "three VLANs", "020000000002 020000000001 81000064 81000064 81000064 "
      V4("0024", "0000", "11") "1f900050 00120000", .ok = false },
    { "short IPv4", MACS "0800 4500", .ok = false },
    { "short udp", MACS V4("0024", "0000", "11") "1f9000", .ok = false },
    { "tcp longer than its packet", MACS V4("0020", "0000", "06") TCP,
      .ok = false },
    { "tcp header too small", MACS V4("0032", "0000", "06")
      "1f900050 01020304 0a0b0c0d 4012 0000 0000 0000", .ok = false },
    { "IPv4 header too small", MACS "0800 4400 0032 abcd 0000 4006 0000 "
      "0a000001 0a000002" TCP, .ok = false },
    { "IPv4 with version 6", MACS "0800 6500 0032 abcd 0000 4006 0000 "
      "0a000001 0a000002" TCP, .ok = false },
    { "extension beyond the packet", MACS V6("0010", "00")
      "3aff050200000000 8f00f7ff 00000001", .ok = false },
    { "extensions without end", MACS V6("0100", "00")
      "0000000000000000 0000000000000000 0000000000000000 0000000000000000 "
      "0000000000000000 0000000000000000 0000000000000000 0000000000000000 "
      "0000000000000000 0000000000000000 0000000000000000 0000000000000000",
      .ok = false },
};

static size_t
parse_hex(const char *hex, uint8_t *bytes)
{
    size_t n = 0;

    while (*hex) {
        if (*hex == ' ') {
            hex++;
        } else {
            bool ok;

            bytes[n++] = hexits_value(hex, 2, &ok);
            ovs_assert(ok);
            hex += 2;
        }
    }
    return n;
}

static void
test_headers(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(header_cases); i++) {
        const struct header_case *c = &header_cases[i];
        uint8_t buf[512], *bytes;
        struct vmlat_record r;
        size_t size;
        bool ok;

        /* On the heap, so that ASan sees reads behind the end. */
        size = parse_hex(c->hex, buf);
        bytes = xmemdup(buf, size);
        memset(&r, 0xff, sizeof r);
        r.flags = VMLAT_REC_COPY | VMLAT_REC_FRAGMENT;
        ok = vmlat_record_set_headers(&r, bytes, size);
        if (ok != c->ok) {
            fail("%s: %s", c->name, ok ? "taken" : "refused");
        } else if (ok
                   && (r.sport != c->sport || r.dport != c->dport
                       || r.seq != c->seq || r.ack != c->ack
                       || r.payload != c->payload || r.proto != c->proto
                       || r.l4_type != c->l4_type || r.kind != 255
                       || r.in != UINT16_MAX || r.vring != UINT16_MAX
                       || r.flags != (VMLAT_REC_COPY
                                      | (c->fragment ? VMLAT_REC_FRAGMENT
                                         : 0)))) {
            fail("%s: %"PRIu16" > %"PRIu16" seq %"PRIx32" ack %"PRIx32
                 " payload %"PRIu32" proto %"PRIu8" type %"PRIu8
                 " flags %"PRIu16, c->name, r.sport, r.dport, r.seq, r.ack,
                 r.payload, r.proto, r.l4_type, r.flags);
        }
        for (size_t n = 0; n < size; n++) {
            uint8_t *part = xmemdup(bytes, n);

            vmlat_record_set_headers(&r, part, n);
            free(part);
        }
        free(bytes);
    }
}

/* What both parsers understand they understand alike. */
static void
test_headers_at_random(unsigned int n)
{
    uint64_t state = 1;
    unsigned int n_ok = 0;

    for (unsigned int i = 0; i < n; i++) {
        const struct header_case *c;
        uint8_t bytes[512];
        size_t size;
        unsigned int k = random_below(&state, 4);

        c = &header_cases[random_below(&state, ARRAY_SIZE(header_cases))];
        size = parse_hex(c->hex, bytes);
        while (k--) {
            bytes[random_below(&state, size)] ^= 1 << random_below(&state, 8);
        }
        n_ok += check_record_headers(bytes, random_below(&state, size + 1));
    }
    if (!n_ok) {
        fail("no packet was understood");
    }
}

/* Returns true if there are headers in the 'size' bytes at 'bytes', and then
 * checks that vmlat_packet_parse() sees the same ones. */
bool
check_record_headers(const void *bytes, size_t size)
{
    struct vmlat_packet packet;
    struct vmlat_record r;

    memset(&r, 0, sizeof r);
    if (!vmlat_record_set_headers(&r, bytes, size)) {
        return false;
    }
    vmlat_packet_parse(bytes, size, &packet);
    if (!(packet.fields & VMLAT_PACKET_IP)
        || memcmp(r.src, &packet.src, 16) || memcmp(r.dst, &packet.dst, 16)) {
        fail("addresses differ");
    } else if (packet.fields & VMLAT_PACKET_PROTO
               && r.proto != packet.proto) {
        fail("protocol %d is not %d", r.proto, packet.proto);
    } else if (packet.fields & VMLAT_PACKET_PORTS
               && (r.sport != packet.src_port || r.dport != packet.dst_port)) {
        fail("ports differ");
    } else if (packet.fields & VMLAT_PACKET_TCP_SEQ
               && r.seq != packet.tcp_seq) {
        fail("sequence numbers differ");
    } else if (packet.fields & VMLAT_PACKET_ECHO
               && (r.sport != packet.echo_id || r.seq != packet.echo_seq)) {
        fail("echoes differ");
    }
    return true;
}

/* Runs all of these. */
void
test_record(struct ovs_cmdl_context *ctx OVS_UNUSED)
{
    char dir[] = "/tmp/test-record.XXXXXX";
    static const size_t sizes[] = { 0, 1, 2047, 2048, 2049, 10000 };
    uint8_t *data;
    size_t size;
    char *name, *error;

    ovs_assert(mkdtemp(dir));
    name = xasprintf("%s/file", dir);
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        test_round_trip(name, sizes[i]);
    }
    error = write_file(name, N_RECORDS);
    ovs_assert(!error);
    data = read_bytes(name, &size);
    unlink(name);
    ovs_assert(size == FILE_SIZE);

    test_write_errors(dir);
    test_truncated(data, size);
    test_changes(data, size);
    test_flips(data, size, 20000);
    test_times();
    test_sane();
    test_headers();
    test_headers_at_random(200000);
    rmdir(dir);
    free(name);
    free(data);
    printf("%"PRIuSIZE" bytes, %"PRIuSIZE" packets\n", size,
           ARRAY_SIZE(header_cases));
}

static int
compare_lines(const void *a, const void *b)
{
    return strcmp(*(char *const *) a, *(char *const *) b);
}

/* Prints the file 'ctx->argv[1]': for each sort of record one line with their
 * number, and counters. */
void
test_record_print(struct ovs_cmdl_context *ctx)
{
    struct vmlat_record_file *f;
    char **lines, *error;
    size_t n = 0;

    f = vmlat_record_file_open(ctx->argv[1], &error);
    if (!f) {
        ovs_fatal(0, "%s", error);
    }
    printf("%s, filter %s, %"PRIuSIZE" records%s\n",
           f->source->role == VMLAT_RECORD_HOST ? "host" : "guest",
           f->source->filter[0] ? f->source->filter : "none", f->n_records,
           f->truncated ? ", cut off" : "");
    for (size_t i = 0; i < f->n_names; i++) {
        const struct vmlat_record_name *name = f->names[i];

        if (name) {
            printf("port %s vm \"%s\" role %d\n", name->name, name->vm,
                   name->role);
        }
    }
    for (size_t i = 0; i < f->n_counters; i++) {
        printf("counter %s %"PRIu64"\n", f->counters[i]->name,
               f->counters[i]->value);
    }

    lines = xmalloc((f->n_records + 1) * sizeof *lines);
    for (size_t i = 0; i < f->n_runs; i++) {
        for (size_t j = 0; j < f->runs[i].n; j++) {
            const struct vmlat_record *r = &f->runs[i].records[j];
            const struct vmlat_record_name *in, *out;
            struct ds ds = DS_EMPTY_INITIALIZER;
            struct in6_addr src, dst;

            in = r->in < f->n_names ? f->names[r->in] : NULL;
            out = r->out < f->n_names ? f->names[r->out] : NULL;
            memcpy(&src, r->src, sizeof src);
            memcpy(&dst, r->dst, sizeof dst);
            ds_put_format(&ds, "%s %s>%s ", vmlat_record_kind_name(r->kind),
                          in ? in->name : "-", out ? out->name : "-");
            ipv6_format_mapped(&src, &ds);
            ds_put_format(&ds, ":%"PRIu16">", r->sport);
            ipv6_format_mapped(&dst, &ds);
            ds_put_format(&ds, ":%"PRIu16" proto %"PRIu8" payload %"PRIu32
                          " segments %"PRIu16" flags %"PRIu16" marks",
                          r->dport, r->proto, r->payload, r->segments,
                          r->flags);
            for (size_t k = 0; k < VMLAT_RECORD_MARKS; k++) {
                if (vmlat_record_mark(r, k)) {
                    ds_put_format(&ds, " %s",
                                  vmlat_record_mark_name(r->kind, k));
                }
            }
            if (!vmlat_record_is_sane(r)) {
                ds_put_cstr(&ds, " NOT SANE");
            }
            lines[n++] = ds_steal_cstr(&ds);
        }
    }
    qsort(lines, n, sizeof *lines, compare_lines);
    for (size_t i = 0, same = 1; i < n; i++, same++) {
        if (i + 1 == n || strcmp(lines[i], lines[i + 1])) {
            printf("%"PRIuSIZE" %s\n", same, lines[i]);
            same = 0;
        }
    }
    for (size_t i = 0; i < n; i++) {
        free(lines[i]);
    }
    free(lines);
    vmlat_record_file_close(f);
}
