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

/* ovs-vmlat: puts together what hosts and guests have recorded. */

#include <config.h>
#include "ovs-vmlat.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command-line.h"
#include "openvswitch/dynamic-string.h"
#include "openvswitch/json.h"
#include "openvswitch/vlog.h"
#include "packets.h"
#include "util.h"
#include "vmlat-record-file.h"

static void
usage(struct ovs_cmdl_context *ctx OVS_UNUSED)
{
    printf(
        "%s: the whole way of packets between two VMs on two hosts\n"
        "usage: %s [OPTION...] COMMAND [ARG...]\n"
        "\n"
        "Commands (a file is what vmlat/record or vmlat-guest wrote):\n"
        "  join SENDER-HOST RECEIVER-HOST [SENDER-GUEST RECEIVER-GUEST]\n"
        "                     match packets, show each segment of their\n"
        "                     way; \"-\" stands for a file that is missing\n"
        "  diff A B           what moved between two runs that --save kept\n"
        "  show FILE          what a file has\n"
        "\n"
        "Options of join:\n"
        "  --src=IP, --dst=IP of the requests, if there are several\n"
        "                     conversations\n"
        "  --proto=PROTO      likewise: icmp, tcp or udp\n"
        "  --html=FILE        write a page, too\n"
        "  --save=FILE        keep the result for \"diff\"\n"
        "  --separate-clocks  the hosts' clocks are not one, even if both\n"
        "                     ran on the same kernel\n"
        "Options of diff:\n"
        "  --min-us=N         moves of less than N us do not count\n"
        "Options of show:\n"
        "  --records=N        show up to N records, too\n"
        "Options of all:\n"
        "  --table=NAME       just this table, see ovs-vmlat(1)\n"
        "  -f, --format=FORMAT\n"
        "                     table, list, html, csv or json\n"
        "  --no-headings, --pretty, --bare, --data=FORMAT,\n"
        "  --max-column-width=N\n"
        "                     as in ovs-vsctl(8)\n"
        "  -h, --help         this text\n"
        "  -V, --version      versions\n"
        "\n"
        "Exit status: 0; 1 if join found a derived value that is negative,\n"
        "or diff that something moved; 2 if there is no result.\n",
        program_name, program_name);
    exit(EXIT_SUCCESS);
}

static const struct ovs_cmdl_command commands[] = {
    { "join", "SENDER-HOST RECEIVER-HOST [SENDER-GUEST RECEIVER-GUEST]",
      2, 4, ovs_vmlat_join, OVS_RO },
    { "diff", "A B", 2, 2, ovs_vmlat_diff, OVS_RO },
    { "show", "FILE", 1, 1, ovs_vmlat_show, OVS_RO },
    { "help", NULL, 0, INT_MAX, usage, OVS_RO },
    { NULL, NULL, 0, 0, NULL, OVS_RO },
};

/* Whether the table that --table names was among them. */
static bool table_was_printed;

void
ovs_vmlat_fatal(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    ovs_error_valist(0, format, args);
    va_end(args);
    exit(EXIT_TROUBLE);
}

/* Parses a number from 0 to 'max'. */
static uint64_t
parse_number(const char *option, const char *s, uint64_t max)
{
    unsigned long long int value;

    if (!str_to_ullong(s, 10, &value) || value > max) {
        ovs_vmlat_fatal("--%s: \"%s\" is not a number from 0 to %"PRIu64,
                        option, s, max);
    }
    return value;
}

static void
parse_options(int argc, char *argv[], struct ovs_vmlat_options *o)
{
    enum {
        OPT_SRC = UCHAR_MAX + 1,
        OPT_DST,
        OPT_PROTO,
        OPT_HTML,
        OPT_SAVE,
        OPT_SEPARATE_CLOCKS,
        OPT_TABLE,
        OPT_MIN_US,
        OPT_RECORDS,
        TABLE_OPTION_ENUMS
    };
    static const struct option long_options[] = {
        { "src", required_argument, NULL, OPT_SRC },
        { "dst", required_argument, NULL, OPT_DST },
        { "proto", required_argument, NULL, OPT_PROTO },
        { "html", required_argument, NULL, OPT_HTML },
        { "save", required_argument, NULL, OPT_SAVE },
        { "separate-clocks", no_argument, NULL, OPT_SEPARATE_CLOCKS },
        { "table", required_argument, NULL, OPT_TABLE },
        { "min-us", required_argument, NULL, OPT_MIN_US },
        { "records", required_argument, NULL, OPT_RECORDS },
        { "help", no_argument, NULL, 'h' },
        { "version", no_argument, NULL, 'V' },
        TABLE_LONG_OPTIONS,
        { NULL, 0, NULL, 0 },
    };
    char *short_options = ovs_cmdl_long_options_to_short_options(long_options);

    o->style = table_style_default;
    o->style.format = TF_TABLE;
    for (;;) {
        int c = getopt_long(argc, argv, short_options, long_options, NULL);

        if (c == -1) {
            break;
        }
        switch (c) {
        case OPT_SRC:
            o->src = optarg;
            break;
        case OPT_DST:
            o->dst = optarg;
            break;
        case OPT_PROTO:
            o->proto = optarg;
            break;
        case OPT_HTML:
            o->html = optarg;
            break;
        case OPT_SAVE:
            o->save = optarg;
            break;
        case OPT_SEPARATE_CLOCKS:
            o->separate_clocks = true;
            break;
        case OPT_TABLE:
            o->table = optarg;
            break;
        case OPT_MIN_US:
            o->min_us = parse_number("min-us", optarg, INT64_MAX / 1000);
            break;
        case OPT_RECORDS:
            o->n_records = parse_number("records", optarg, UINT64_MAX);
            break;
        case 'h':
            usage(NULL);
            break;
        case 'V':
            printf("%s (vmlat) %s, built with Open vSwitch %s\n",
                   program_name, VMLAT_VERSION, VERSION);
            exit(EXIT_SUCCESS);
        TABLE_OPTION_HANDLERS(&o->style)
        case '?':
            exit(EXIT_TROUBLE);
        default:
            OVS_NOT_REACHED();
        }
    }
    free(short_options);
}

int
main(int argc, char *argv[])
{
    struct ovs_vmlat_options options = { .style = TABLE_STYLE_DEFAULT };
    const struct ovs_cmdl_command *command;
    struct ovs_cmdl_context ctx;

    set_program_name(argv[0]);
    vlog_set_levels(NULL, VLF_ANY_DESTINATION, VLL_WARN);
    parse_options(argc, argv, &options);

    ctx.argc = argc - optind;
    ctx.argv = argv + optind;
    ctx.pvt = &options;
    if (ctx.argc < 1) {
        ovs_vmlat_fatal("which command?  (use --help for help)");
    }
    for (command = commands; command->name; command++) {
        if (!strcmp(command->name, ctx.argv[0])) {
            if (ctx.argc - 1 < command->min_args
                || ctx.argc - 1 > command->max_args) {
                ovs_vmlat_fatal("usage: %s %s %s", program_name,
                                command->name, command->usage);
            }
            command->handler(&ctx);
            if (options.table && !table_was_printed) {
                ovs_vmlat_fatal("--table: there is no table \"%s\"",
                                options.table);
            }
            if (fflush(stdout) || ferror(stdout)) {
                ovs_vmlat_fatal("writing the output failed");
            }
            return EXIT_SUCCESS;
        }
    }
    ovs_vmlat_fatal("unknown command \"%s\" (use --help for help)",
                    ctx.argv[0]);
}

/* Tables. */

/* Returns the number of bytes of the UTF-8 character at 's' that is neither a
 * control character nor one that turns the direction of writing; 0 if it is
 * not such a character. */
static size_t
safe_character(const uint8_t *s)
{
    uint32_t c;
    size_t n;

    if (s[0] < 0x80) {
        return s[0] >= ' ' && s[0] != 0x7f;
    } else if (s[0] >= 0xc2 && s[0] < 0xe0) {
        n = 2;
        c = s[0] & 0x1f;
    } else if (s[0] >= 0xe0 && s[0] < 0xf0) {
        n = 3;
        c = s[0] & 0xf;
    } else if (s[0] >= 0xf0 && s[0] < 0xf5) {
        n = 4;
        c = s[0] & 7;
    } else {
        return 0;
    }
    for (size_t i = 1; i < n; i++) {
        if ((s[i] & 0xc0) != 0x80) {
            return 0;
        }
        c = c << 6 | (s[i] & 0x3f);
    }
    if (c < 0xa0 || (n == 3 && c < 0x800) || (n == 4 && c < 0x10000)
        || c > 0x10ffff || (c >= 0xd800 && c < 0xe000)
        || (c >= 0x200b && c < 0x2010) || (c >= 0x2028 && c < 0x202f)
        || (c >= 0x2060 && c < 0x2070) || c == 0xfeff
        || (c >= 0xfff0 && c < 0x10000)) {
        return 0;
    }
    return n;
}

char *
ovs_vmlat_safe(const char *s)
{
    struct ds ds = DS_EMPTY_INITIALIZER;

    while (*s) {
        size_t n = safe_character((const uint8_t *) s);

        if (n) {
            ds_put_buffer(&ds, s, n);
            s += n;
        } else {
            ds_put_char(&ds, '?');
            s++;
        }
    }
    return ds_steal_cstr(&ds);
}

void
ovs_vmlat_cell(struct table *table, const char *text)
{
    table_add_cell(table)->text = ovs_vmlat_safe(text ? text : "");
}

void
ovs_vmlat_integer(struct table *table, long long int value)
{
    table_add_cell(table)->json = json_integer_create(value);
}

void
ovs_vmlat_real(struct table *table, double value)
{
    table_add_cell(table)->json = json_real_create(value);
}

/* Appends a cell without a value: empty, null in JSON. */
void
ovs_vmlat_none(struct table *table)
{
    table_add_cell(table);
}

/* Prints 'table', whose caption will be 'name', if it is wanted, and destroys
 * it. */
void
ovs_vmlat_print(struct table *table, const char *name,
                const struct ovs_vmlat_options *options)
{
    /* table_print() takes a cell for text or JSON. */
    for (size_t i = 0; i < table->n_rows * table->n_columns; i++) {
        struct cell *cell = &table->cells[i];

        if (!cell->text && !cell->json) {
            if (options->style.format == TF_JSON) {
                cell->json = json_null_create();
            } else {
                cell->text = xstrdup("");
            }
        }
    }
    if (!options->table || !strcmp(options->table, name)) {
        if (!options->table) {
            table_set_caption(table, xstrdup(name));
        }
        table_print(table, &options->style);
        table_was_printed = true;
    }
    table_destroy(table);
}

void
ovs_vmlat_put_us(struct ds *ds, double ns)
{
    double us = ns / 1000;
    double size = us < 0 ? -us : us;

    ds_put_format(ds, "%.*f", size < 10 ? 3 : size < 100 ? 2 : 1, us);
}

/* show. */

static void
show_records(const struct vmlat_record_file *f,
             const struct ovs_vmlat_options *options)
{
    uint64_t n_left = options->n_records;
    struct table table;

    table_init(&table);
    table_add_column(&table, "time_ns");
    table_add_column(&table, "kind");
    table_add_column(&table, "src");
    table_add_column(&table, "dst");
    table_add_column(&table, "proto");
    table_add_column(&table, "sport");
    table_add_column(&table, "dport");
    table_add_column(&table, "seq");
    table_add_column(&table, "ack");
    table_add_column(&table, "l4_type");
    table_add_column(&table, "payload");
    table_add_column(&table, "ip_id");
    table_add_column(&table, "in");
    table_add_column(&table, "out");
    table_add_column(&table, "flags");
    table_add_column(&table, "marks_ns");
    for (size_t i = 0; i < f->n_runs && n_left; i++) {
        for (size_t j = 0; j < f->runs[i].n && n_left; j++, n_left--) {
            const struct vmlat_record *r = &f->runs[i].records[j];
            struct ds marks = DS_EMPTY_INITIALIZER;
            struct ds src = DS_EMPTY_INITIALIZER;
            struct ds dst = DS_EMPTY_INITIALIZER;
            struct in6_addr address;
            char flags[16];

            table_add_row(&table);
            ovs_vmlat_integer(&table, r->time_ns);
            ovs_vmlat_cell(&table, (vmlat_record_is_sane(r)
                                    ? vmlat_record_kind_name(r->kind)
                                    : "insane"));
            memcpy(&address, r->src, sizeof address);
            ipv6_format_mapped(&address, &src);
            memcpy(&address, r->dst, sizeof address);
            ipv6_format_mapped(&address, &dst);
            ovs_vmlat_cell(&table, ds_cstr(&src));
            ovs_vmlat_cell(&table, ds_cstr(&dst));
            ovs_vmlat_integer(&table, r->proto);
            ovs_vmlat_integer(&table, r->sport);
            ovs_vmlat_integer(&table, r->dport);
            ovs_vmlat_integer(&table, r->seq);
            ovs_vmlat_integer(&table, r->ack);
            ovs_vmlat_integer(&table, r->l4_type);
            ovs_vmlat_integer(&table, r->payload);
            ovs_vmlat_integer(&table, r->ip_id);
            ovs_vmlat_integer(&table, r->in);
            ovs_vmlat_integer(&table, r->out);
            snprintf(flags, sizeof flags, "0x%x", r->flags);
            ovs_vmlat_cell(&table, flags);
            if (vmlat_record_is_sane(r)) {
                for (unsigned int m = 0; m < vmlat_record_n_marks(r->kind);
                     m++) {
                    if (r->marks[m] != VMLAT_MARK_NONE) {
                        ds_put_format(&marks, "%s%s=%"PRIu64,
                                      marks.length ? " " : "",
                                      vmlat_record_mark_name(r->kind, m),
                                      (uint64_t) r->marks[m] << r->shift);
                    }
                }
            }
            ovs_vmlat_cell(&table, ds_cstr(&marks));
            ds_destroy(&marks);
            ds_destroy(&src);
            ds_destroy(&dst);
        }
    }
    ovs_vmlat_print(&table, "records", options);
}

/* Prints what a file has. */
void
ovs_vmlat_show(struct ovs_cmdl_context *ctx)
{
    static const char *roles[] = { "?", "vm", "wire", "host", "device" };
    const struct ovs_vmlat_options *options = ctx->pvt;
    uint64_t kinds[VMLAT_REC_N_KINDS] = { 0 };
    const struct vmlat_record_source *source;
    struct vmlat_record_file *f;
    uint64_t n_insane = 0;
    struct table table;
    char *error;

    f = vmlat_record_file_open(ctx->argv[1], &error);
    if (!f) {
        ovs_vmlat_fatal("%s", error);
    }
    source = f->source;
    for (size_t i = 0; i < f->n_runs; i++) {
        for (size_t j = 0; j < f->runs[i].n; j++) {
            const struct vmlat_record *r = &f->runs[i].records[j];

            if (vmlat_record_is_sane(r)) {
                kinds[r->kind]++;
            } else {
                n_insane++;
            }
        }
    }

    table_init(&table);
    table_add_column(&table, "role");
    table_add_column(&table, "host");
    table_add_column(&table, "software");
    table_add_column(&table, "filter");
    table_add_column(&table, "start_wall_ns");
    table_add_column(&table, "seconds");
    table_add_column(&table, "records");
    table_add_column(&table, "state");
    table_add_row(&table);
    ovs_vmlat_cell(&table, (source->role == VMLAT_RECORD_HOST ? "host"
                            : "guest"));
    ovs_vmlat_cell(&table, source->host);
    ovs_vmlat_cell(&table, source->software);
    ovs_vmlat_cell(&table, source->filter);
    ovs_vmlat_integer(&table, source->start_wall_ns);
    if (f->end_ns > source->start_ns) {
        ovs_vmlat_real(&table, (f->end_ns - source->start_ns) / 1e9);
    } else {
        ovs_vmlat_none(&table);
    }
    ovs_vmlat_integer(&table, f->n_records);
    ovs_vmlat_cell(&table, f->truncated ? "cut off" : "whole");
    ovs_vmlat_print(&table, "source", options);

    table_init(&table);
    table_add_column(&table, "kind");
    table_add_column(&table, "records");
    for (int i = 0; i < VMLAT_REC_N_KINDS; i++) {
        table_add_row(&table);
        ovs_vmlat_cell(&table, vmlat_record_kind_name(i));
        ovs_vmlat_integer(&table, kinds[i]);
    }
    table_add_row(&table);
    ovs_vmlat_cell(&table, "insane");
    ovs_vmlat_integer(&table, n_insane);
    ovs_vmlat_print(&table, "kinds", options);

    table_init(&table);
    table_add_column(&table, "id");
    table_add_column(&table, "role");
    table_add_column(&table, "ifindex");
    table_add_column(&table, "name");
    table_add_column(&table, "vm");
    for (size_t i = 0; i < f->n_names; i++) {
        const struct vmlat_record_name *name = f->names[i];

        if (name) {
            table_add_row(&table);
            ovs_vmlat_integer(&table, i);
            ovs_vmlat_cell(&table, (name->role < ARRAY_SIZE(roles)
                                    ? roles[name->role] : "?"));
            ovs_vmlat_integer(&table, name->ifindex);
            ovs_vmlat_cell(&table, name->name);
            ovs_vmlat_cell(&table, name->vm);
        }
    }
    ovs_vmlat_print(&table, "names", options);

    table_init(&table);
    table_add_column(&table, "counter");
    table_add_column(&table, "value");
    for (size_t i = 0; i < f->n_counters; i++) {
        table_add_row(&table);
        ovs_vmlat_cell(&table, f->counters[i]->name);
        ovs_vmlat_integer(&table, f->counters[i]->value);
    }
    ovs_vmlat_print(&table, "counters", options);

    if (options->n_records) {
        show_records(f, options);
    }
    vmlat_record_file_close(f);
}
