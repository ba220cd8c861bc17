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

#ifndef VMLAT_COMMAND_H
#define VMLAT_COMMAND_H 1

/* The commands, "ovs-appctl vmlat/...": their table, the arguments that they
 * share and the formats that their output comes in.
 *
 * Everything here runs on the main thread. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "openvswitch/dynamic-string.h"
#include "table.h"
#include "vmlat-filter.h"
#include "vmlat-window.h"

struct unixctl_conn;
struct vmlat_bypass_results;
struct vmlat_port;

/* Further bits of what a command takes, beside those of enum
 * vmlat_filter_key_bit and, for interval=, of enum vmlat_window_bit. */
#define VMLAT_TAKES_FORMAT  (1u << 31)  /* -f, --pretty, --no-headings. */
#define VMLAT_TAKES_STAGES  (1u << 30)  /* --stages. */
#define VMLAT_TAKES_STACKS  (1u << 29)  /* --stacks. */
#define VMLAT_TAKES_SORT    (1u << 28)  /* sort=. */
#define VMLAT_TAKES_TIMEOUT (1u << 27)  /* timeout=. */
#define VMLAT_TAKES_BYPASS  (1u << 26)  /* interval= of vmlat/bypass. */
#define VMLAT_TAKES_RECORDS (1u << 25)  /* records=. */
#define VMLAT_TAKES_INTERVAL (VMLAT_WINDOW_ANY | VMLAT_TAKES_BYPASS)

/* The commands.  One more of them is one more line here and its function,
 * vmlat_command_<id>(); dispatch, help and completion come from these lines.
 *
 * 'words' are the bare words that the command takes, with "|" between kinds of
 * word that completion knows (bridge, port, direction, command, n, file) or
 * between words that are meant as they are, and brackets around those that may
 * be left out.
 *
 * VMLAT_COMMAND(id, words, least and most number of words, takes, help) */
#define VMLAT_COMMANDS                                                        \
    VMLAT_COMMAND(start, "", 0, 0,                                            \
                  VMLAT_FILTER_PACKET | VMLAT_FILTER_MIN_US,                  \
                  "start measuring, or change the filter")                    \
    VMLAT_COMMAND(stop, "", 0, 0, 0,                                          \
                  "stop measuring; what was measured can still be shown")     \
    VMLAT_COMMAND(clear, "", 0, 0, 0,                                         \
                  "forget all that was measured, and go on")                  \
    VMLAT_COMMAND(status, "[points]", 0, 1, VMLAT_TAKES_FORMAT,               \
                  "show what is measured, how, what is not and why, and the " \
                  "cost")                                                     \
    VMLAT_COMMAND(show, "[bridge|port]", 0, 1,                                \
                  VMLAT_TAKES_FORMAT | VMLAT_TAKES_STAGES                     \
                  | VMLAT_FILTER_PORT | VMLAT_FILTER_DIRECTION                \
                  | VMLAT_WINDOW_PAIRS | VMLAT_WINDOW_PAIR_COUNTS,            \
                  "show latencies by ports, direction and segment")           \
    VMLAT_COMMAND(histogram, "port [direction]", 0, 2,                        \
                  VMLAT_TAKES_FORMAT | VMLAT_TAKES_STAGES                     \
                  | VMLAT_FILTER_PORT | VMLAT_FILTER_DIRECTION                \
                  | VMLAT_WINDOW_PAIRS,                                       \
                  "show how the latencies of a port are distributed")         \
    VMLAT_COMMAND(accounting, "[bridge|port]", 0, 1,                          \
                  VMLAT_TAKES_FORMAT | VMLAT_FILTER_PORT                      \
                  | VMLAT_WINDOW_ACCOUNTS,                                    \
                  "show what became of each packet that entered")             \
    VMLAT_COMMAND(drops, "[bridge|port]", 0, 1,                               \
                  VMLAT_TAKES_FORMAT | VMLAT_FILTER_PORT                      \
                  | VMLAT_WINDOW_DROPS,                                       \
                  "show where and why the kernel dropped packets")            \
    VMLAT_COMMAND(flows, "[n]", 0, 1,                                         \
                  VMLAT_TAKES_FORMAT | VMLAT_TAKES_SORT                       \
                  | VMLAT_FILTER_PACKET | VMLAT_FILTER_PORT                   \
                  | VMLAT_FILTER_DIRECTION | VMLAT_WINDOW_FLOWS,              \
                  "show the flows of the kernel datapath with most packets "  \
                  "or latency")                                               \
    VMLAT_COMMAND(upcalls, "", 0, 0,                                          \
                  VMLAT_TAKES_FORMAT | VMLAT_WINDOW_HANDLERS,                 \
                  "show what the kernel datapath's upcalls take, by handler " \
                  "thread")                                                   \
    VMLAT_COMMAND(bursts, "[bridge|port]", 0, 1,                              \
                  VMLAT_TAKES_FORMAT | VMLAT_FILTER_PORT                      \
                  | VMLAT_WINDOW_BURSTS,                                      \
                  "show burst sizes, and retries and failures of sending")    \
    VMLAT_COMMAND(virt, "[to-vm|from-vm|vcpus|queues|bridge|port] "           \
                        "[bridge|port]", 0, 2,                                \
                  VMLAT_TAKES_FORMAT | VMLAT_FILTER_PORT                      \
                  | VMLAT_WINDOW_VIRT,                                        \
                  "show what became of packets between ports and VMs: "       \
                  "interrupts, kicks, vCPUs, rings")                          \
    VMLAT_COMMAND(events, "[n]", 0, 1,                                        \
                  VMLAT_TAKES_FORMAT | VMLAT_TAKES_STACKS                     \
                  | VMLAT_FILTER_PACKET | VMLAT_FILTER_PORT                   \
                  | VMLAT_FILTER_DIRECTION | VMLAT_FILTER_MIN_US              \
                  | VMLAT_WINDOW_EVENTS,                                      \
                  "show the last slow packets, newest first")                 \
    VMLAT_COMMAND(rtt, "[start|stop|show|histogram|lost|events|accounting|"   \
                       "points] [n]", 0, 2,                                   \
                  VMLAT_TAKES_FORMAT | VMLAT_TAKES_TIMEOUT                    \
                  | VMLAT_FILTER_SRC | VMLAT_FILTER_DST                       \
                  | VMLAT_FILTER_MIN_US,                                      \
                  "follow ICMP echoes: where their time goes and where they " \
                  "are lost")                                                 \
    VMLAT_COMMAND(record, "[start|stop|dump|clear] [file]", 0, 2,             \
                  VMLAT_TAKES_FORMAT | VMLAT_TAKES_RECORDS                    \
                  | VMLAT_FILTER_PACKET | VMLAT_FILTER_PORT,                  \
                  "record the way of each packet, for 'ovs-vmlat join'")      \
    VMLAT_COMMAND(bypass, "[verdicts|ways|flows|causes|cures|rules|bridge|"   \
                          "port] [bridge|port]", 0, 2,                        \
                  VMLAT_TAKES_FORMAT | VMLAT_TAKES_BYPASS,                    \
                  "find VMs whose traffic the kernel routes past the "        \
                  "userspace datapath; why, and what to do")                  \
    VMLAT_COMMAND(help, "[command]", 0, 1, VMLAT_TAKES_FORMAT,                \
                  "list the commands, or explain one")

struct vmlat_args;

/* What runs a command: appends its answer to 'reply' and returns NULL, or
 * returns one line for the operator, which the caller frees, and has changed
 * nothing. */
typedef char *vmlat_command_func(const struct vmlat_args *, struct ds *reply);

#define VMLAT_COMMAND(ID, WORDS, MIN, MAX, TAKES, HELP) \
    vmlat_command_func vmlat_command_##ID;
VMLAT_COMMANDS
#undef VMLAT_COMMAND

struct vmlat_command {
    const char *name;           /* "vmlat/show" */
    const char *words;
    size_t min_words;
    size_t max_words;
    uint32_t takes;
    vmlat_command_func *run;
    const char *help;
};

/* By what vmlat/flows sorts.
 *
 * VMLAT_SORT(ID, name) */
#define VMLAT_SORTS                             \
    VMLAT_SORT(PACKETS, "packets")              \
    VMLAT_SORT(P99, "p99")                      \
    VMLAT_SORT(MAX, "max")

enum vmlat_sort {
#define VMLAT_SORT(ID, NAME) VMLAT_SORT_##ID,
    VMLAT_SORTS
#undef VMLAT_SORT
    VMLAT_N_SORTS
};

/* Parsed arguments.  Strings belong to the caller of the command. */
#define VMLAT_MAX_WORDS 2
struct vmlat_args {
    const struct vmlat_command *command;
    const char *words[VMLAT_MAX_WORDS];
    size_t n_words;
    bool format_given;          /* -f was. */
    struct table_style style;
    struct vmlat_filter filter; /* Only keys that the command takes. */
    uint32_t values;            /* Of options given with "=", a bit each. */
    bool stages, stacks;        /* --stages, --stacks were given. */
    enum vmlat_sort sort;
    unsigned int timeout_ms;    /* Of timeout=, 0 if it was not given. */
    unsigned int records;       /* Of records=, 0 if it was not given. */

    /* Of interval=, in ms; 0 if it was not given.  The command is called
     * twice then: at the beginning with 'check_only', when it has to look at
     * its arguments and nothing else, and at the end with 'base', what had
     * been counted at the beginning.  Else 'base' is NULL. */
    unsigned int interval_ms;
    bool check_only;
    struct vmlat_base *base;

    /* Of vmlat/bypass, once the window that it opened is judged. */
    const struct vmlat_bypass_results *bypass;
};

/* Registers the commands.  From a constructor: starts no thread and looks at
 * nothing that is initialised later. */
void vmlat_commands_init(void);

/* Replies on 'conn': with 'error', one line, if it is not NULL, else with
 * 'reply'. */
void vmlat_command_reply(struct unixctl_conn *conn,
                         const struct vmlat_command *, const char *error,
                         const char *reply);

/* Returns true if 'args' of vmlat/bypass need a window to be opened and waited
 * for. */
bool vmlat_bypass_needs_window(const struct vmlat_args *args);

/* Stores in '*n' the number that the first word of 'args' is, or leaves it
 * alone if there is none.  'what' says of what it is the number. */
char *vmlat_args_number(const struct vmlat_args *args, const char *what,
                        size_t *n);

/* A table for people, with the names of VMs and latencies in microseconds, or
 * for programs, with the names of ports alone and nanoseconds as integers. */
struct vmlat_out {
    struct table table;
    struct table_style style;
    bool people;
};

void vmlat_out_init(struct vmlat_out *, const struct vmlat_args *);
void vmlat_out_finish(struct vmlat_out *, struct ds *reply);
void vmlat_out_caption(struct vmlat_out *, const char *);
void vmlat_out_columns(struct vmlat_out *, const char *machine,
                       const char *people);
void vmlat_out_row(struct vmlat_out *);
void vmlat_out_string(struct vmlat_out *, const char *);
void vmlat_out_port(struct vmlat_out *, const char *port, const char *vm);
void vmlat_out_integer(struct vmlat_out *, int64_t);
void vmlat_out_real(struct vmlat_out *, double);
void vmlat_out_ns(struct vmlat_out *, uint64_t ns);
void vmlat_out_boolean(struct vmlat_out *, bool);
void vmlat_out_none(struct vmlat_out *);
void vmlat_out_json(struct vmlat_out *, struct json *); /* Takes it. */

/* Text for people. */
void vmlat_put_us(struct ds *, uint64_t ns);
void vmlat_put_clean(struct ds *, const char *);
void vmlat_put_port(struct ds *, const char *port, const char *vm);
void vmlat_put_state(struct ds *);

/* The same, and, if there is an interval, which one. */
void vmlat_put_scope(struct ds *, const struct vmlat_args *);

#endif /* vmlat-command.h */
