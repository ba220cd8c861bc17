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

#ifndef OVS_VMLAT_H
#define OVS_VMLAT_H 1

/* What the commands of ovs-vmlat share.  Single thread. */

#include <stdbool.h>
#include <stdint.h>

#include "ovs-vmlat-report.h"
#include "table.h"

struct ds;
struct ovs_cmdl_context;
struct run;
struct vmlat_record_file;

/* What was given on the command line: 'pvt' of struct ovs_cmdl_context. */
struct ovs_vmlat_options {
    struct table_style style;           /* TF_TABLE unless -f was given. */
    const char *table;                  /* --table: this one only, or NULL. */
    const char *html;                   /* --html FILE, or NULL. */
    const char *save;                   /* --save FILE, or NULL. */
    const char *src, *dst, *proto;      /* Of the conversation, or NULL. */
    bool separate_clocks;
    uint64_t min_us;                    /* --min-us of diff. */
    uint64_t n_records;                 /* --records of show. */
};

/* Handlers of commands: exit with a message if need be. */
void ovs_vmlat_join(struct ovs_cmdl_context *);
void ovs_vmlat_diff(struct ovs_cmdl_context *);
void ovs_vmlat_show(struct ovs_cmdl_context *);

/* Exit status: of "join" 1 if a derived value is negative, of "diff" 1 if
 * something moved; 2 if there is no result. */
#define EXIT_FOUND 1
#define EXIT_TROUBLE 2

/* Prints 'format' as an error and exits with EXIT_TROUBLE. */
void ovs_vmlat_fatal(const char *format, ...)
    OVS_PRINTF_FORMAT(1, 2) OVS_NO_RETURN;

/* Tables.  Text from files goes through ovs_vmlat_safe(), which must be freed:
 * what a terminal would obey, and what is not UTF-8, becomes '?'. */
char *ovs_vmlat_safe(const char *);
void ovs_vmlat_cell(struct table *, const char *text);
void ovs_vmlat_integer(struct table *, long long int);
void ovs_vmlat_real(struct table *, double);
void ovs_vmlat_none(struct table *);
void ovs_vmlat_print(struct table *, const char *name,
                     const struct ovs_vmlat_options *);

/* Appends a time of 'ns' for people, in us with one to three decimals. */
void ovs_vmlat_put_us(struct ds *, double ns);

/* ovs-vmlat-join.c. */

enum join_part {
    JOIN_SENDER_HOST, JOIN_RECEIVER_HOST, JOIN_SENDER_GUEST,
    JOIN_RECEIVER_GUEST, JOIN_N_PARTS
};

/* Joins 'files', NULL where a part is missing, and fills in '*report', which
 * the caller must report_uninit(), and, unless it is NULL, '*run', which
 * run_init() has initialized.  Returns NULL, or an error of one line that the
 * caller must free: then there is no report. */
char *join_files(struct vmlat_record_file *files[JOIN_N_PARTS],
                 const struct ovs_vmlat_options *, struct report *,
                 struct run *);

/* ovs-vmlat-text.c. */
void report_print(const struct report *, const struct ovs_vmlat_options *);

#endif /* ovs-vmlat.h */
