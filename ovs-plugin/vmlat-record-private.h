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

#ifndef VMLAT_RECORD_PRIVATE_H
#define VMLAT_RECORD_PRIVATE_H 1

/* What the files of vmlat/record share.  Main thread, unless said
 * otherwise. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmlat-record.h"
#include "vmlat-record-file.h"

struct vmlat_filter;

/* What there is. */
struct vmlat_record_info {
    bool has_ring;              /* Something was recorded; else the rest means
                                 * nothing. */
    uint8_t state;              /* VMLAT_RECORD_*. */
    struct vmlat_record_source source;
    uint64_t end_ns;            /* CLOCK_MONOTONIC, 0 if it goes on. */
    size_t max_records;
    uint64_t n_added;           /* Records so far. */
    uint64_t n_overwritten;     /* Of 'n_added'. */
    uint64_t counts[VMLAT_RECORD_N_COUNTS];
    uint64_t clock_error_ns;    /* Of times of userspace datapaths, so far. */
    uint64_t n_missed;          /* Runs of programs that the kernel skipped,
                                 * since one was running on that CPU. */
    size_t memory;              /* Bytes. */
};
void vmlat_record_get_info(struct vmlat_record_info *);

/* Returns CLOCK_MONOTONIC in ns.  Any thread. */
uint64_t vmlat_record_now(void);

/* Forgets what was recorded and records anew, the last 'max_records'.  Returns
 * NULL or, having changed nothing, an error, which the caller must free. */
char *vmlat_record_start(const struct vmlat_filter *, size_t max_records);

/* Ends the recording; what is in ring buffers is still taken in. */
void vmlat_record_stop(void);

/* Forgets what was recorded. */
void vmlat_record_clear(void);

/* Copies up to 'n' records from number '*pos' on, below 'end', to 'records'
 * and moves '*pos' behind them.  Records that have been overwritten are
 * skipped.  Returns the number of records copied, 0 at the end.  Any thread;
 * the ring must not be cleared meanwhile. */
size_t vmlat_record_copy(uint64_t *pos, uint64_t end,
                         struct vmlat_record *records, size_t n);

/* Returns the names of ports in an array that the caller must free, their
 * number in '*n'. */
struct vmlat_record_name *vmlat_record_names(size_t *n);

/* Writing to a file. */

/* Starts writing.  Returns NULL, and then vmlat_record_await() takes the
 * connection, or an error, which the caller must free. */
char *vmlat_record_dump_start(const char *file);

/* Returns true if a file is being written: the ring must stay. */
bool vmlat_record_is_dumping(void);

void vmlat_record_dump_run(void);
void vmlat_record_dump_wait(void);
void vmlat_record_dump_exit(void);

#endif /* vmlat-record-private.h */
