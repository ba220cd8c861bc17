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

#ifndef VMLAT_RECORD_FILE_H
#define VMLAT_RECORD_FILE_H 1

/* Files of records: writing and reading.  Needs the C library only, since
 * vmlat-guest has this in it as well.
 *
 * A file is a magic number and blocks, all little endian, all multiples of 8
 * bytes long.  Each block begins with a struct vmlat_record_block.  The first
 * is SOURCE, the last END: a file without END was cut off, which
 * readers say, and of which they use what is whole.  Readers skip blocks of
 * types that they do not know, and refuse versions that they do not know.
 *
 * Names come from guests and from the database: readers treat all text as
 * hostile.  docs/records.rst documents the format. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <linux/types.h>

#include "vmlat-record-abi.h"

#define VMLAT_RECORD_MAGIC "VMLATREC"   /* 8 bytes, no null. */
#define VMLAT_RECORD_VERSION 1

enum vmlat_record_block_type {
    VMLAT_RB_SOURCE = 1,        /* struct vmlat_record_source. */
    VMLAT_RB_NAME = 2,          /* struct vmlat_record_name. */
    VMLAT_RB_RECORDS = 3,       /* Any number of struct vmlat_record. */
    VMLAT_RB_COUNTER = 4,       /* struct vmlat_record_counter. */
    VMLAT_RB_END = 5,           /* struct vmlat_record_end. */
};

struct vmlat_record_block {
    uint16_t type;              /* enum vmlat_record_block_type. */
    uint16_t version;           /* VMLAT_RECORD_VERSION. */
    uint32_t length;            /* Bytes after this, a multiple of 8. */
};

/* Who recorded. */
enum vmlat_record_role {
    VMLAT_RECORD_HOST = 1,
    VMLAT_RECORD_GUEST = 2,
};
struct vmlat_record_source {
    uint32_t role;              /* enum vmlat_record_role. */
    uint32_t record_size;       /* sizeof(struct vmlat_record). */
    uint8_t boot_id[16];        /* Of the kernel, as in
                                 * /proc/sys/kernel/random/boot_id. */
    uint8_t run_id[16];         /* Random, of this recording. */
    uint64_t start_ns;          /* CLOCK_MONOTONIC. */
    uint64_t start_wall_ns;     /* CLOCK_REALTIME at the same moment. */
    char host[64];              /* Host name, null-terminated. */
    char software[64];          /* "ovs-vswitchd 3.1.0, vmlat 0.1.0". */
    char filter[256];           /* As given, "" for none. */
};

/* What the 'in' and 'out' of records mean. */
enum vmlat_record_port_role {
    VMLAT_RECORD_PORT_VM = 1,   /* Towards a VM. */
    VMLAT_RECORD_PORT_WIRE = 2, /* Towards the network. */
    VMLAT_RECORD_PORT_HOST = 3, /* To the host's own stack. */
    VMLAT_RECORD_PORT_DEVICE = 4, /* A device of a guest. */
};
struct vmlat_record_name {
    uint16_t id;                /* From 1. */
    uint16_t role;              /* enum vmlat_record_port_role. */
    uint32_t ifindex;           /* 0: none. */
    char name[64];              /* "vnet3". */
    char vm[64];                /* Name of the VM, "" if unknown. */
};

/* What is not in the records, or else about them, with a count. */
struct vmlat_record_counter {
    uint64_t value;
    char name[56];              /* "overwritten". */
};

struct vmlat_record_end {
    uint64_t end_ns;            /* CLOCK_MONOTONIC. */
    uint64_t n_records;         /* In this file. */
};

/* Writing.  Not thread-safe. */

struct vmlat_record_writer;

/* Makes a random 'run_id', fills in 'boot_id', 'host', start times and
 * 'record_size' of '*source'. */
void vmlat_record_source_init(struct vmlat_record_source *,
                              enum vmlat_record_role);

/* Starts a file, which appears under 'name' only when it is closed, and then
 * replaces one of that name; what is not a regular file is left alone.  "-" is
 * stdout.  Returns NULL and sets '*errorp', which the caller must free, to one
 * line that names the file. */
struct vmlat_record_writer *vmlat_record_writer_open(
    const char *name, const struct vmlat_record_source *, char **errorp);

/* Errors are kept until the file is closed. */
void vmlat_record_writer_name(struct vmlat_record_writer *,
                              const struct vmlat_record_name *);
void vmlat_record_writer_add(struct vmlat_record_writer *,
                             const struct vmlat_record *, size_t n);
void vmlat_record_writer_counter(struct vmlat_record_writer *,
                                 const char *name, uint64_t value);

/* Ends the file with 'end_ns'.  Returns NULL or the first error, which the
 * caller must free; then there is no file.  Frees the writer. */
char *vmlat_record_writer_close(struct vmlat_record_writer *,
                                uint64_t end_ns);

/* Leaves no file and frees the writer. */
void vmlat_record_writer_cancel(struct vmlat_record_writer *);

/* Reading.  The file is mapped: memory that it takes can be reclaimed. */

struct vmlat_record_file {
    char *name;
    const struct vmlat_record_source *source;
    const struct vmlat_record_name *const *names; /* By id, NULL: unknown. */
    size_t n_names;             /* Highest id + 1. */
    const struct vmlat_record_counter *const *counters;
    size_t n_counters;

    /* Runs of records, one for each block. */
    struct vmlat_record_run {
        const struct vmlat_record *records;
        size_t n;
    } *runs;
    size_t n_runs;
    size_t n_records;           /* Of all runs. */

    uint64_t end_ns;            /* 0 if cut off. */
    bool truncated;             /* Cut off: END is missing. */
    /* Private: */
    void *map;
    size_t size;
};

/* Opens and checks a file, which must not be made shorter while it is open.
 * A block that goes beyond the end of the file means that it was cut off
 * there: whole records in it are used.  Returns NULL and sets '*errorp', which
 * the caller must free, to one line that names the file and what is wrong: not
 * a file of records, unknown version, a block of a wrong length, a string
 * without an end, ...  Of the records nothing is checked but their size: see
 * vmlat_record_is_sane(). */
struct vmlat_record_file *vmlat_record_file_open(const char *name,
                                                 char **errorp);
void vmlat_record_file_close(struct vmlat_record_file *);

/* True if kind, shift, protocol, ids and marks are possible ones: the marks
 * that it has are in order, and the first one is at 0. */
bool vmlat_record_is_sane(const struct vmlat_record *);

/* The time of a mark in ns, CLOCK_MONOTONIC; 0 if it did not pass it. */
static inline uint64_t
vmlat_record_mark(const struct vmlat_record *r, unsigned int mark)
{
    return (r->marks[mark] == VMLAT_MARK_NONE ? 0
            : r->time_ns + ((uint64_t) r->marks[mark] << r->shift));
}

/* Names of kinds and marks; "?" if there is none. */
const char *vmlat_record_kind_name(unsigned int kind);
const char *vmlat_record_mark_name(unsigned int kind, unsigned int mark);
unsigned int vmlat_record_n_marks(unsigned int kind);

/* Fills the marks of 'r' from 'times' (ns, CLOCK_MONOTONIC, 0: not passed),
 * 'n' of them in the order of 'kind': 'time_ns', 'shift' and 'marks'.  False
 * if the times go backward or all are 0. */
bool vmlat_record_set_times(struct vmlat_record *, const uint64_t *times,
                            size_t n);

/* Fills addresses, ports, 'seq', 'ack', 'payload', 'ip_id', 'proto', 'l4_type'
 * and VMLAT_REC_FRAGMENT of 'r', nothing else, from the 'size' bytes at 'l2',
 * which begin with an Ethernet header (up to two VLAN tags are skipped).
 * 'payload' is 0 if the IP header has no length, as that of GSO packets above
 * 64 KiB.  False if it is not IP, or shorter than its headers; bounded. */
bool vmlat_record_set_headers(struct vmlat_record *, const void *l2,
                              size_t size);

#endif /* vmlat-record-file.h */
