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
#include "vmlat-command.h"

#include <ctype.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "openvswitch/json.h"
#include "openvswitch/util.h"
#include "timeval.h"
#include "unixctl.h"
#include "util.h"
#include "vmlat.h"
#include "vmlat-datapath.h"
#include "vmlat-interval.h"
#include "vmlat-port.h"
#include "vmlat-record.h"
#include "vmlat-settings.h"
#include "vmlat-tables.h"

/* How long interval= may be, ms. */
#define MIN_INTERVAL 100
#define MAX_INTERVAL 3600000

/* How long timeout= may be, ms. */
#define MAX_TIMEOUT 60000

/* How many records records= may ask for. */
#define MAX_RECORDS 10000000

static const char *const sort_names[VMLAT_N_SORTS] = {
#define VMLAT_SORT(ID, NAME) NAME,
    VMLAT_SORTS
#undef VMLAT_SORT
};

/* The table. */

static const struct vmlat_command commands[] = {
#define VMLAT_COMMAND(ID, WORDS, MIN, MAX, TAKES, HELP) \
    { "vmlat/" #ID, WORDS, MIN, MAX, TAKES, vmlat_command_##ID, HELP },
    VMLAT_COMMANDS
#undef VMLAT_COMMAND
};

/* Arguments beside words and filters.  For -f see parse_option(). */
#define VMLAT_SORT(ID, NAME) "|" NAME
static const struct option_desc {
    const char *name;           /* "--stages", or "sort" with a value. */
    const char *value;          /* NULL if it has none. */
    uint32_t takes;             /* A command that takes any of these takes
                                 * it. */
    const char *help;
} options[] = {
    { "interval", "SECONDS", VMLAT_TAKES_INTERVAL,
      "answer after that time, 0.1 to 3600, and show it alone" },
    { "sort", &VMLAT_SORTS[1], VMLAT_TAKES_SORT,
      "what the first ones have most of; packets unless given" },
    { "timeout", "MS", VMLAT_TAKES_TIMEOUT,
      "without a reply after that time an echo is lost, 1 to 60000" },
    { "records", "N", VMLAT_TAKES_RECORDS,
      "keep the last so many records, 1 to 10000000, 112 bytes each" },
    { "--stages", NULL, VMLAT_TAKES_STAGES,
      "show the stages of the kernel datapath, too" },
    { "--stacks", NULL, VMLAT_TAKES_STACKS,
      "show kernel stacks, too" },
    { "--pretty", NULL, VMLAT_TAKES_FORMAT,
      "indent JSON" },
    { "--no-headings", NULL, VMLAT_TAKES_FORMAT,
      "leave the headings out" },
};
#undef VMLAT_SORT

/* Lists keys of filters. */
struct key_list {
    struct ds *ds;
    uint32_t takes;             /* Keys to list. */
    bool explain;               /* One line each? */
};

/* Returns the bit of the key called 'name', or 0. */
static uint32_t
key_bit(const char *name)
{
    static const struct {
        const char *name;
        uint32_t bit;
    } bits[] = {
        { "src", VMLAT_FILTER_SRC },
        { "dst", VMLAT_FILTER_DST },
        { "sport", VMLAT_FILTER_SPORT },
        { "dport", VMLAT_FILTER_DPORT },
        { "proto", VMLAT_FILTER_PROTO },
        { "port", VMLAT_FILTER_PORT },
        { "direction", VMLAT_FILTER_DIRECTION },
        { "min-us", VMLAT_FILTER_MIN_US },
    };

    for (size_t i = 0; i < ARRAY_SIZE(bits); i++) {
        if (!strcmp(bits[i].name, name)) {
            return bits[i].bit;
        }
    }
    return 0;
}

/* Lists one argument, the name of which is 'name', with 'separator' before its
 * 'value', both of which may be "". */
static void
list_arg(const struct key_list *list, const char *name, const char *separator,
         const char *value, const char *help)
{
    if (list->explain) {
        char *arg = xasprintf("%s%s%s", name, separator, value);

        ds_put_format(list->ds, "  %-24s %s\n", arg, help);
        free(arg);
    } else {
        ds_put_format(list->ds, " [%s%s%s]", name, separator, value);
    }
}

/* Returns what a command takes that takes the option 'name'. */
static uint32_t
option_takes(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
        if (!strcmp(options[i].name, name)) {
            return options[i].takes;
        }
    }
    OVS_NOT_REACHED();
}

static void
list_key(const char *name, const char *value, const char *help, void *list_)
{
    struct key_list *list = list_;

    if (key_bit(name) & list->takes) {
        list_arg(list, name, "=", value, help);
    }
}

/* Lists filters and options in the order in which help has them, -f and its
 * like only if 'formats'. */
static void
list_args(struct key_list *list, bool formats)
{
    vmlat_filter_for_each_key(list_key, list);
    for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
        const struct option_desc *option = &options[i];

        if (option->takes == VMLAT_TAKES_FORMAT && !formats) {
            continue;
        }
        if (option->takes & list->takes) {
            list_arg(list, option->name, option->value ? "=" : "",
                     option->value ? option->value : "", option->help);
        }
    }
    if (!formats || !(list->takes & VMLAT_TAKES_FORMAT)) {
        return;
    } else if (list->explain) {
        list_arg(list, "-f, --format", "=", "FORMAT",
                 "table, json, csv, html or list");
    } else {
        list_arg(list, "-f", " ", "table|json|csv|html|list", NULL);
    }
}

/* Appends the arguments of 'command' to 'ds', with a space before each. */
static void
put_usage(const struct vmlat_command *command, struct ds *ds)
{
    struct key_list list = { ds, command->takes, false };

    if (command->words[0]) {
        ds_put_format(ds, " %s", command->words);
    }
    list_args(&list, false);
    if (command->takes & VMLAT_TAKES_FORMAT) {
        ds_put_cstr(ds, " [-f FORMAT]");
    }
}

/* Returns the command that the operator calls 'name', with or without
 * "vmlat/", NULL if none. */
static const struct vmlat_command *
find_command(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
        if (!strcmp(commands[i].name, name)
            || !strcmp(commands[i].name + strlen("vmlat/"), name)) {
            return &commands[i];
        }
    }
    return NULL;
}

/* Arguments. */

static const struct {
    const char *name;
    enum table_format format;
} formats[] = {
    { "table", TF_TABLE },
    { "json", TF_JSON },
    { "csv", TF_CSV },
    { "html", TF_HTML },
    { "list", TF_LIST },
};

static char *
parse_format(struct vmlat_args *args, const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
        if (!strcmp(formats[i].name, name)) {
            args->style.format = formats[i].format;
            args->format_given = true;
            return NULL;
        }
    }
    return xasprintf("\"%s\" is not a format; use table, json, csv, html or "
                     "list", name);
}

/* Returns the message that there is no option 'name', or that none is taken
 * by 'command'. */
static char *
refuse_option(const struct vmlat_command *command, const char *name)
{
    struct ds ds = DS_EMPTY_INITIALIZER;

    ds_put_format(&ds, "%s: ", name);
    if (!(command->takes & VMLAT_TAKES_FORMAT)) {
        ds_put_cstr(&ds, "this command takes no options");
        return ds_steal_cstr(&ds);
    }
    ds_put_cstr(&ds, "unknown option; there are -f FORMAT");
    for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
        if (options[i].name[0] == '-' && options[i].takes & command->takes) {
            ds_put_format(&ds, ", %s", options[i].name);
        }
    }
    return ds_steal_cstr(&ds);
}

/* Parses the option 'argv[0]'.  Sets '*n' to the number of elements of 'argv',
 * which has 'argc' of them, that it consists of. */
static char *
parse_option(struct vmlat_args *args, int argc, const char *argv[], int *n)
{
    uint32_t takes = args->command->takes;
    const char *option = argv[0];

    *n = 1;
    if (!(takes & VMLAT_TAKES_FORMAT)) {
        return refuse_option(args->command, option);
    } else if (!strcmp(option, "-f") || !strcmp(option, "--format")) {
        if (argc < 2) {
            return xasprintf("%s: a format has to follow: table, json, csv, "
                             "html or list", option);
        }
        *n = 2;
        return parse_format(args, argv[1]);
    } else if (!strncmp(option, "--format=", strlen("--format="))) {
        return parse_format(args, option + strlen("--format="));
    } else if (!strncmp(option, "-f", 2)) {
        return parse_format(args, option + 2);
    } else if (!strcmp(option, "--pretty")) {
        args->style.json_flags |= JSSF_PRETTY;
    } else if (!strcmp(option, "--no-headings")) {
        args->style.headings = false;
    } else if (!strcmp(option, "--stages") && takes & VMLAT_TAKES_STAGES) {
        args->stages = true;
    } else if (!strcmp(option, "--stacks") && takes & VMLAT_TAKES_STACKS) {
        args->stacks = true;
    } else {
        return refuse_option(args->command, option);
    }
    return NULL;
}

/* Parses the value of interval=. */
static char *
parse_interval(struct vmlat_args *args, const char *value)
{
    static const char digits[] = "0123456789";
    size_t n_int = strspn(value, digits);
    const char *fraction = value + n_int;
    size_t n_fraction = 0;
    unsigned int ms = 0;

    if (*fraction == '.') {
        fraction++;
        n_fraction = strspn(fraction, digits);
    }
    if (!fraction[n_fraction] && n_int && n_int <= 4 && n_fraction <= 3) {
        for (size_t i = 0; i < n_int; i++) {
            ms = ms * 10 + (value[i] - '0');
        }
        for (size_t i = 0; i < 3; i++) {
            ms = ms * 10 + (i < n_fraction ? fraction[i] - '0' : 0);
        }
        if (ms >= MIN_INTERVAL && ms <= MAX_INTERVAL) {
            args->interval_ms = ms;
            return NULL;
        }
    }
    return xstrdup("not a number of seconds from 0.1 to 3600, with up to 3 "
                   "decimals");
}

static char *
parse_timeout(struct vmlat_args *args, const char *value)
{
    if (value[strspn(value, "0123456789")]
        || !str_to_uint(value, 10, &args->timeout_ms)
        || !args->timeout_ms || args->timeout_ms > MAX_TIMEOUT) {
        return xasprintf("not a number of milliseconds from 1 to %d",
                         MAX_TIMEOUT);
    }
    return NULL;
}

static char *
parse_records(struct vmlat_args *args, const char *value)
{
    if (value[strspn(value, "0123456789")]
        || !str_to_uint(value, 10, &args->records)
        || !args->records || args->records > MAX_RECORDS) {
        args->records = 0;
        return xasprintf("not a number of records from 1 to %d", MAX_RECORDS);
    }
    return NULL;
}

static char *
parse_sort(struct vmlat_args *args, const char *value)
{
    for (size_t i = 0; i < VMLAT_N_SORTS; i++) {
        if (!strcmp(value, sort_names[i])) {
            args->sort = i;
            return NULL;
        }
    }
    return xstrdup("not one of packets, p99, max");
}

/* Returns the message that says that 'command' does not take 'arg', a filter
 * or option of which 'bits' are set, and which commands do. */
static char *
refuse_arg(const struct vmlat_command *command, const char *arg,
           uint32_t bits)
{
    struct ds ds = DS_EMPTY_INITIALIZER;
    const char *separator = "";

    ds_put_format(&ds, "%s: %.*s= is not for this command, give it to ",
                  arg, (int) strcspn(arg, "="), arg);
    for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
        if (commands[i].takes & bits) {
            ds_put_format(&ds, "%s%s", separator, commands[i].name);
            separator = " or ";
        }
    }
    if (bits & VMLAT_FILTER_PACKET
        && command->takes & (VMLAT_FILTER_PORT | VMLAT_FILTER_DIRECTION)) {
        ds_put_cstr(&ds, " (what is shown here has been added up already)");
    }
    return ds_steal_cstr(&ds);
}

/* Parses 'arg' if it is an option of the form NAME=VALUE.  Sets '*recognised'
 * to whether it is. */
static char *
parse_value_option(struct vmlat_args *args, const char *arg, bool *recognised)
{
    static const struct {
        const char *name;
        char *(*parse)(struct vmlat_args *, const char *value);
    } parsers[] = {
        { "interval", parse_interval },
        { "sort", parse_sort },
        { "timeout", parse_timeout },
        { "records", parse_records },
    };

    *recognised = false;
    for (size_t i = 0; i < ARRAY_SIZE(parsers); i++) {
        size_t n = strlen(parsers[i].name);
        char *error, *message;
        uint32_t bit;

        if (strncmp(arg, parsers[i].name, n) || arg[n] != '=') {
            continue;
        }
        *recognised = true;
        bit = option_takes(parsers[i].name);
        if (!(args->command->takes & bit)) {
            return refuse_arg(args->command, arg, bit);
        }
        if (args->values & (1u << i)) {
            return xasprintf("%s: %s was given before", arg,
                             parsers[i].name);
        }
        args->values |= 1u << i;
        error = parsers[i].parse(args, arg + n + 1);
        message = error ? xasprintf("%s: %s", arg, error) : NULL;
        free(error);
        return message;
    }
    return NULL;
}

static bool
port_exists(const char *name)
{
    bool exists;

    ovs_mutex_lock(&vmlat_ports_mutex);
    exists = vmlat_port_from_name(name) != NULL;
    ovs_mutex_unlock(&vmlat_ports_mutex);
    return exists;
}

/* Parses what is neither an option nor the value of one. */
static char *
parse_arg(struct vmlat_args *args, const char *arg)
{
    const struct vmlat_command *command = args->command;
    uint32_t keys = args->filter.keys;
    bool recognised;
    char *error;

    error = parse_value_option(args, arg, &recognised);
    if (recognised) {
        return error;
    }
    error = vmlat_filter_parse_arg(&args->filter, arg, &recognised);
    if (recognised) {
        keys ^= args->filter.keys;
        if (!error && keys & ~command->takes) {
            return refuse_arg(command, arg, keys);
        }
        return error;
    } else if (error && !(command->max_words && port_exists(arg))) {
        return error;
    }
    free(error);

    if (args->n_words >= command->max_words) {
        struct ds ds = DS_EMPTY_INITIALIZER;

        ds_put_format(&ds, "\"%s\" is one argument too many; usage: %s", arg,
                      command->name);
        put_usage(command, &ds);
        return ds_steal_cstr(&ds);
    }
    args->words[args->n_words++] = arg;
    return NULL;
}

/* See vmlat-command.h. */
char *
vmlat_args_number(const struct vmlat_args *args, const char *what, size_t *n)
{
    const char *word = args->n_words ? args->words[0] : NULL;
    unsigned int value;

    if (word) {
        if (word[strspn(word, "0123456789")]
            || !str_to_uint(word, 10, &value) || !value) {
            return xasprintf("\"%s\" is not a number of %s, which is 1 or "
                             "more", word, what);
        }
        *n = value;
    }
    return NULL;
}

/* Parses the arguments of 'command' into 'args', which the caller must destroy
 * by vmlat_filter_destroy() in any case.  Returns NULL or what is wrong. */
static char *
parse_args(const struct vmlat_command *command, int argc, const char *argv[],
           struct vmlat_args *args)
{
    char *error = NULL;
    int n;

    memset(args, 0, sizeof *args);
    args->command = command;
    args->style = table_style_default;
    args->style.format = TF_TABLE;
    vmlat_filter_init(&args->filter);

    for (int i = 1; i < argc && !error; i += n) {
        const char *arg = argv[i];

        if (arg[0] == '-' && arg[1] && !isdigit((unsigned char) arg[1])) {
            error = parse_option(args, argc - i, &argv[i], &n);
        } else {
            error = parse_arg(args, arg);
            n = 1;
        }
    }
    return error;
}

void
vmlat_command_reply(struct unixctl_conn *conn,
                    const struct vmlat_command *command, const char *error,
                    const char *reply)
{
    if (error) {
        struct ds line = DS_EMPTY_INITIALIZER;

        ds_put_format(&line, "%s: ", command->name);
        vmlat_put_clean(&line, error);
        unixctl_command_reply_error(conn, ds_cstr(&line));
        ds_destroy(&line);
    } else {
        unixctl_command_reply(conn, reply);
    }
}

static void
run_command(struct unixctl_conn *conn, int argc, const char *argv[],
            void *command_)
{
    const struct vmlat_command *command = command_;
    struct ds reply = DS_EMPTY_INITIALIZER;
    struct vmlat_args args;
    char *error;

    error = parse_args(command, argc, argv, &args);
    args.check_only = (args.interval_ms > 0
                       || command->run == vmlat_command_bypass);
    if (!error) {
        error = command->run(&args, &reply);
    }
    if (!error && command->run == vmlat_command_bypass) {
        if (vmlat_bypass_needs_window(&args)) {
            error = vmlat_interval_await_bypass(conn, &args);
            if (!error) {
                goto exit;
            }
        } else {
            args.check_only = false;
            error = command->run(&args, &reply);
        }
    } else if (!error && command->run == vmlat_command_record) {
        if (vmlat_record_await(conn, &args)) {
            goto exit;
        }
    } else if (!error && args.interval_ms) {
        error = vmlat_interval_begin(conn, &args);
        if (!error) {
            goto exit;          /* Replies later. */
        }
    } else if (!error && command->run == vmlat_command_start) {
        if (vmlat_start_pending()) {
            error = vmlat_interval_await_start(conn, &args, &reply);
            if (!error) {
                goto exit;
            }
        } else {
            error = vmlat_interval_start_result(&reply);
        }
    }
    vmlat_command_reply(conn, command, error, ds_cstr(&reply));
    free(error);

exit:
    ds_destroy(&reply);
    vmlat_filter_destroy(&args.filter);
}

/* Registers the commands with OVS.  Called from a constructor. */
void
vmlat_commands_init(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
        const struct vmlat_command *command = &commands[i];
        struct ds usage = DS_EMPTY_INITIALIZER;
        const char *copy;

        /* Words are counted by parse_args(), whose messages are better.
         * unixctl keeps the pointer to the usage. */
        put_usage(command, &usage);
        copy = usage.length ? xstrdup(ds_cstr(&usage) + 1) : "";
        ds_destroy(&usage);
        unixctl_command_register(command->name, copy, 0, INT_MAX, run_command,
                                 CONST_CAST(void *, (const void *) command));
    }
}

/* Text for people. */

/* Room for 20 digits, a decimal point, a unit and the end. */
#define NUMBER_SIZE 32

/* Stores 'ns' in 'buf' in microseconds, with three digits or more that count.
 * No floating point: there are many of these. */
static void
format_us(uint64_t ns, char buf[NUMBER_SIZE])
{
    if (ns < 1000) {
        snprintf(buf, NUMBER_SIZE, "0.%03"PRIu64"us", ns);
    } else if (ns < 10000) {
        uint64_t x = (ns + 5) / 10;

        snprintf(buf, NUMBER_SIZE, "%"PRIu64".%02"PRIu64"us",
                 x / 100, x % 100);
    } else if (ns < 1000000) {
        uint64_t x = (ns + 50) / 100;

        snprintf(buf, NUMBER_SIZE, "%"PRIu64".%"PRIu64"us", x / 10, x % 10);
    } else {
        snprintf(buf, NUMBER_SIZE, "%"PRIu64"us", (ns + 500) / 1000);
    }
}

/* Appends 'ns' to 'ds' in microseconds. */
void
vmlat_put_us(struct ds *ds, uint64_t ns)
{
    char buf[NUMBER_SIZE];

    format_us(ns, buf);
    ds_put_cstr(ds, buf);
}

/* Returns how many of the first bytes of 's' are no control characters, nor
 * the beginning of one. */
static size_t
clean_length(const char *s)
{
    size_t n = 0;

    while ((unsigned char) s[n] >= ' ' && s[n] != 0x7f
           && (unsigned char) s[n] != 0xc2) {
        n++;
    }
    return n;
}

/* Appends 's', which may come from a tenant, with its control characters
 * replaced by "?": it goes to somebody's terminal. */
void
vmlat_put_clean(struct ds *ds, const char *s)
{
    for (;;) {
        size_t n = clean_length(s);
        unsigned char c = s[n];

        ds_put_buffer(ds, s, n);
        s += n;
        if (!c) {
            break;
        }

        /* U+0080...U+009F are control characters, too. */
        if (c == 0xc2) {
            bool is_control = ((unsigned char) s[1] >= 0x80
                               && (unsigned char) s[1] < 0xa0);

            ds_put_char(ds, is_control ? '?' : c);
            s += is_control;
        } else {
            ds_put_char(ds, '?');
        }
        s++;
    }
}

/* Appends the name of a port and of its VM, which may be NULL. */
void
vmlat_put_port(struct ds *ds, const char *port, const char *vm)
{
    vmlat_put_clean(ds, port);
    if (vm) {
        ds_put_cstr(ds, " (");
        vmlat_put_clean(ds, vm);
        ds_put_char(ds, ')');
    }
}

static void
put_time(struct ds *ds, long long int when)
{
    char *s = xastrftime_msec("%Y-%m-%d %H:%M:%S", when, false);

    ds_put_cstr(ds, s);
    free(s);
}

/* Appends one line, without its end, about what the counts are of: for
 * vmlat_put_scope() and where there are no intervals. */
void
vmlat_put_state(struct ds *ds)
{
    const struct vmlat_filter *filter = vmlat_filter();
    enum vmlat_state state = vmlat_state();

    ds_put_cstr(ds, vmlat_state_name(state));
    if (state == VMLAT_STARTED) {
        ds_put_cstr(ds, " ");
        put_time(ds, vmlat_started_at());
    } else if (state == VMLAT_STOPPED) {
        ds_put_cstr(ds, vmlat_started_at()
                    ? ", showing what was measured before"
                    : ", nothing was measured yet: start with 'ovs-appctl "
                      "vmlat/start'");
    }
    if (vmlat_cleared_at()
        && vmlat_cleared_at() / 1000 != vmlat_started_at() / 1000) {
        ds_put_cstr(ds, "; counts since ");
        put_time(ds, vmlat_cleared_at());
    }
    if (vmlat_started_at()) {
        ds_put_cstr(ds, "; filter: ");
        if (filter && filter->keys) {
            vmlat_filter_format(filter, ds);
        } else {
            ds_put_cstr(ds, "none");
        }
    }
}

void
vmlat_put_scope(struct ds *ds, const struct vmlat_args *args)
{
    vmlat_put_state(ds);
    if (args->base) {
        ds_put_cstr(ds, "; interval: ");
        vmlat_base_format(args->base, ds);
    }
}

/* Tables. */

/* Begins a table in the format that 'args' ask for. */
void
vmlat_out_init(struct vmlat_out *out, const struct vmlat_args *args)
{
    table_init(&out->table);
    out->style = args->style;
    out->people = (out->style.format == TF_TABLE
                   || out->style.format == TF_HTML);
}

/* Appends the table to 'reply' and frees it. */
void
vmlat_out_finish(struct vmlat_out *out, struct ds *reply)
{
    table_format_reset();
    table_format(&out->table, &out->style, reply);
    table_destroy(&out->table);
}

/* Makes 'caption' the line above the table, for people. */
void
vmlat_out_caption(struct vmlat_out *out, const char *caption)
{
    if (out->people) {
        table_set_caption(&out->table, xstrdup(caption));
    }
}

/* Adds columns.  'machine' are their headings for programs, with spaces in
 * between; 'people' are those for people, or NULL if they are the same. */
void
vmlat_out_columns(struct vmlat_out *out, const char *machine,
                  const char *people)
{
    const char *p = out->people && people ? people : machine;

    while (*p) {
        size_t n = strcspn(p, " ");

        table_add_column(&out->table, "%.*s", (int) n, p);
        p += n + (p[n] == ' ');
    }
}

/* Begins a row. */
void
vmlat_out_row(struct vmlat_out *out)
{
    table_add_row(&out->table);
}

/* The rest of these fill in the next cell of the row. */

void
vmlat_out_string(struct vmlat_out *out, const char *s)
{
    vmlat_out_port(out, s, NULL);
}

void
vmlat_out_port(struct vmlat_out *out, const char *port, const char *vm)
{
    struct cell *cell = table_add_cell(&out->table);

    if ((out->people && vm)
        || (out->style.format != TF_JSON && out->style.format != TF_CSV
            && port[clean_length(port)])) {
        struct ds ds = DS_EMPTY_INITIALIZER;

        vmlat_put_port(&ds, port, out->people ? vm : NULL);
        cell->text = ds_steal_cstr(&ds);
    } else {
        cell->text = xstrdup(port);
    }
}

void
vmlat_out_integer(struct vmlat_out *out, int64_t value)
{
    struct cell *cell = table_add_cell(&out->table);

    if (out->style.format == TF_JSON) {
        cell->json = json_integer_create(value);
    } else {
        char buf[NUMBER_SIZE];

        snprintf(buf, sizeof buf, "%"PRId64, value);
        cell->text = xstrdup(buf);
    }
}

/* With two decimals. */
void
vmlat_out_real(struct vmlat_out *out, double value)
{
    struct cell *cell = table_add_cell(&out->table);

    if (out->style.format == TF_JSON) {
        cell->json = json_real_create((uint64_t) (value * 100 + .5) / 100.0);
    } else {
        cell->text = xasprintf("%.2f", value);
    }
}

void
vmlat_out_ns(struct vmlat_out *out, uint64_t ns)
{
    if (out->people) {
        char buf[NUMBER_SIZE];

        format_us(ns, buf);
        table_add_cell(&out->table)->text = xstrdup(buf);
    } else {
        vmlat_out_integer(out, ns);
    }
}

/* There is no value: JSON's null, nothing in CSV. */
void
vmlat_out_none(struct vmlat_out *out)
{
    struct cell *cell = table_add_cell(&out->table);

    if (out->people) {
        cell->text = xstrdup("-");
    }
}

void
vmlat_out_boolean(struct vmlat_out *out, bool value)
{
    struct cell *cell = table_add_cell(&out->table);

    if (out->people) {
        cell->text = xstrdup(value ? "yes" : "no");
    } else {
        cell->json = json_boolean_create(value);
    }
}

/* For programs that read JSON.  In other formats it is JSON in text. */
void
vmlat_out_json(struct vmlat_out *out, struct json *json)
{
    table_add_cell(&out->table)->json = json;
}

/* The commands that change something. */

/* Starts measuring. */
char *
vmlat_command_start(const struct vmlat_args *args, struct ds *reply)
{
    bool was_started = vmlat_state() == VMLAT_STARTED;
    struct vmlat_filter filter = args->filter;
    uint64_t min_ns = filter.min_ns;
    char *error;

    /* min-us is about which packets are kept, not which are measured. */
    filter.keys &= VMLAT_FILTER_PACKET;
    filter.min_ns = 0;

    /* The setting is in microseconds with decimals, kept in ns; starting makes
     * it count. */
    if (args->filter.keys & VMLAT_FILTER_MIN_US
        && (!vmlat_datapath_why_not() || vmlat_kernel_is_supported())) {
        vmlat_setting_override(VMLAT_SET_MIN_US, min_ns);
    }
    error = vmlat_start(filter.keys ? &filter : NULL);
    if (error) {
        return error;
    }

    ds_put_cstr(reply, was_started ? "was started before; " : "started; ");
    if (filter.keys) {
        ds_put_cstr(reply, "measuring only ");
        vmlat_filter_format(&filter, reply);
    } else {
        ds_put_cstr(reply, "measuring all packets");
    }
    ds_put_char(reply, '\n');
    return NULL;
}

/* Stops measuring. */
char *
vmlat_command_stop(const struct vmlat_args *args OVS_UNUSED, struct ds *reply)
{
    if (vmlat_state() == VMLAT_STOPPED) {
        ds_put_cstr(reply, "was stopped before\n");
        return NULL;
    }
    vmlat_stop();
    ds_put_format(reply, "%s\n",
                  vmlat_state() == VMLAT_STOPPED
                  ? "stopped"
                  : "stopping: the packets inside are measured for up to a "
                    "second more");
    return NULL;
}

/* Forgets what was measured. */
char *
vmlat_command_clear(const struct vmlat_args *args OVS_UNUSED,
                    struct ds *reply)
{
    vmlat_clear();
    ds_put_cstr(reply, "cleared\n");
    return NULL;
}

/* Help. */

static void
explain_table(struct ds *ds, const char *name, const char *meaning)
{
    ds_put_format(ds, "  %-18s %s\n", name, meaning);
}

/* Appends all there is to say about 'command'. */
static void
explain(const struct vmlat_command *command, struct ds *ds)
{
    struct key_list list = { ds, command->takes, true };

    ds_put_format(ds, "usage: ovs-appctl %s", command->name);
    put_usage(command, ds);
    ds_put_format(ds, "\n%s\n", command->help);

    if (command->takes) {
        ds_put_cstr(ds, "\nArguments, in any order:\n");
    }
    list_args(&list, true);
    if (command->run == vmlat_command_show
        || command->run == vmlat_command_histogram) {
        ds_put_cstr(ds, "\nSegments:\n");
#define VMLAT_SEGMENT(ID, NAME, MEANING) explain_table(ds, NAME, MEANING);
        VMLAT_SEGMENTS
#undef VMLAT_SEGMENT
    } else if (command->run == vmlat_command_accounting) {
        ds_put_cstr(ds, "\nWhat may become of a packet that entered:\n");
#define VMLAT_FATE(ID, HEADING, MEANING) explain_table(ds, HEADING, MEANING);
        VMLAT_FATES
#undef VMLAT_FATE
    }
}

/* Lists the commands, or explains one of them. */
char *
vmlat_command_help(const struct vmlat_args *args, struct ds *reply)
{
    const struct vmlat_command *only = NULL;
    struct vmlat_out out;

    if (args->n_words) {
        only = find_command(args->words[0]);
        if (!only) {
            return xasprintf("there is no command vmlat/%s; 'ovs-appctl "
                             "vmlat/help' lists all", args->words[0]);
        }
        if (!args->format_given) {
            explain(only, reply);
            return NULL;
        }
    }

    vmlat_out_init(&out, args);
    vmlat_out_columns(&out, "command words takes help", NULL);
    for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
        const struct vmlat_command *command = &commands[i];
        struct ds takes = DS_EMPTY_INITIALIZER;
        struct key_list list = { &takes, command->takes, false };

        if (only && command != only) {
            continue;
        }
        if (!args->format_given) {
            /* The short form, which fits a terminal. */
            ds_put_format(reply, "%-17s %-17s %s\n", command->name,
                          command->takes & VMLAT_FILTER_PACKET
                          ? (command->words[0] ? "[n] [FILTER]..."
                             : "[FILTER]...")
                          : command->words, command->help);
            continue;
        }
        list_args(&list, true);
        vmlat_out_row(&out);
        vmlat_out_string(&out, command->name);
        vmlat_out_string(&out, command->words);
        vmlat_out_string(&out, takes.length ? ds_cstr(&takes) + 1 : "");
        vmlat_out_string(&out, command->help);
        ds_destroy(&takes);
    }
    if (args->format_given) {
        vmlat_out_finish(&out, reply);
    } else {
        table_destroy(&out.table);
        ds_put_cstr(reply, "\n'ovs-appctl vmlat/help COMMAND' explains a "
                           "command, its filters and its output.\nAll that "
                           "show something take -f table|json|csv|html|list."
                           "\n");
    }
    return NULL;
}
