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


/* Loading and attaching the BPF programs that follow packets between a tap and
 * a VM.
 *
 * Most hooks are in modules that are there only once a VM has been started:
 * whatever is missing is left out and reported.  libbpf loads all programs of
 * an object or none, so after each failure the object is opened again and the
 * next way is tried. */

#include <config.h>
#include "vmlat-virt-load.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "openvswitch/dynamic-string.h"
#include "openvswitch/vlog.h"
#include "ovs-rcu.h"
#include "util.h"

#include "vmlat-bpf.h"
#include "vmlat-kernel.h"
#include "vmlat-virt.skel.h"
#include "vmlat-vring.h"

VLOG_DEFINE_THIS_MODULE(vmlat_virt_load);

/* Files. */
#define FDINFO_FILE "/proc/self/fdinfo/%d"
#define KALLSYMS_FILE "/proc/kallsyms"
#define MODULE_BTF_FILE "/sys/kernel/btf/%s"

/* Where it is tried whether programs can be attached. */
#define PROBED_FUNCTION "eventfd_write"

#define MIN_ROWS 16
#define MAX_ROWS 4096
#define MIN_RING_SIZE (64u << 10)
#define MAX_RING_SIZE (256u << 20)

/* Of what the verifier says about one program; untouched pages cost nothing.
 */
#define LOG_SIZE (256u << 10)

/* Hooks and how to attach to them. */

enum hook {
#define VMLAT_HOOK(ID, NAME, NEEDED, LOST) HOOK_##ID,
#define VMLAT_TRY(ATTACH, TARGETS, PROGRAM)
#include "vmlat-virt-points.def"
    N_HOOKS
};

enum attach {
    TP_BTF,
    FENTRY,
    FEXIT,
};

static const char *attach_names[] = {
    [TP_BTF] = "tp_btf",
    [FENTRY] = "fentry",
    [FEXIT] = "fexit",
};

enum needed {
    NONE,
    RX,
    TX,
    USER,
};

/* The order of these is that of the table; a row of each hook begins those
 * that belong to it. */
static const struct way {
    const char *hook;           /* Name, NULL: a way to attach to it. */
    const char *lost;
    enum needed needed;
    enum attach attach;
    const char *targets;
    const char *program;
} ways[] = {
#define VMLAT_HOOK(ID, NAME, NEEDED, LOST) \
    { NAME, LOST, NEEDED, 0, NULL, NULL },
#define VMLAT_TRY(ATTACH, TARGETS, PROGRAM) \
    { NULL, NULL, NONE, ATTACH, TARGETS, #PROGRAM },
#include "vmlat-virt-points.def"
};

/* Hooks whose programs those of the datapath call, if there are any. */
#define N_CALLED 4
static const enum hook called[N_CALLED] = {
    HOOK_RECEIVE, HOOK_XMIT, HOOK_KFREE, HOOK_CONSUME
};

/* Modules that the hooks are in. */
static const char *modules[] = { "tun", "vhost", "vhost_net", "kvm" };

struct hook_state {
    const struct way *way;      /* That of the hook itself. */
    const struct way *next;     /* To try. */
    char *target;               /* What it attaches to, NULL: nothing. */
    char *how;
    char *why_not;
    struct bpf_link *link;
    bool is_called;             /* By a program of the datapath: no 'link'. */
    int fd;                     /* Of the program. */
};

struct vmlat_virt_program {
    struct vmlat_virt_bpf *skeleton;
    struct ring_buffer *ring;
    struct hook_state hooks[N_HOOKS];
    struct vmlat_virt_hook public[N_HOOKS];
    struct vmlat_virt_maps maps;
    size_t rows_length;
    bool is_seen;               /* What the daemon's threads do is. */

    /* What the programs of the datapath share, if 'has_share'. */
    struct vmlat_kernel_share share;
    bool has_share;
    int arrays[N_CALLED];       /* As 'called': maps in 'share'. */
    uint64_t taking_start, taking_end;  /* Code that takes packets from
                                         * taps. */
    bool absent[ARRAY_SIZE(modules)];
    size_t n_read, max_read;    /* In vmlat_virt_program_read(). */
    vmlat_virt_record_cb *cb;
    vmlat_virt_event_cb *event_cb;
    void *aux;
};

static bool
is_last_way(const struct way *way)
{
    return way == &ways[ARRAY_SIZE(ways)] || way->hook;
}

static bool
has_module(const char *name)
{
    char *file_name = xasprintf(MODULE_BTF_FILE, name);
    bool has = !access(file_name, R_OK);

    free(file_name);
    return has;
}

/* Symbols. */

/* A function of the kernel: where it begins and what comes after it. */
struct range {
    const char *name;
    uint64_t start, end;
};

static bool
read_symbol(FILE *stream, uint64_t *address, char name[256])
{
    unsigned long long int a;
    char line[512];
    char type;

    while (fgets(line, sizeof line, stream)) {
        if (sscanf(line, "%llx %c %255s", &a, &type, name) == 3
            && strchr("tTwW", type)) {
            *address = a;
            return true;
        }
    }
    return false;
}

/* Finds 'n' functions; those that are not there, or whose addresses the kernel
 * hides, have 'start' 0. */
static void
find_ranges(struct range ranges[], size_t n)
{
    FILE *stream = fopen(KALLSYMS_FILE, "r");
    uint64_t address;
    char name[256];

    if (!stream) {
        VLOG_WARN("%s: %s", KALLSYMS_FILE, ovs_strerror(errno));
        return;
    }
    while (read_symbol(stream, &address, name)) {
        for (size_t i = 0; i < n; i++) {
            size_t length = strlen(ranges[i].name);

            /* Also "name.isra.0". */
            if (!strncmp(name, ranges[i].name, length)
                && (!name[length]
                    || (name[length] == '.' && !strstr(name, ".cold")))) {
                ranges[i].start = address;
            }
        }
    }
    rewind(stream);
    while (read_symbol(stream, &address, name)) {
        for (size_t i = 0; i < n; i++) {
            struct range *r = &ranges[i];

            if (r->start && address > r->start
                && (!r->end || address < r->end)) {
                r->end = address;
            }
        }
    }
    fclose(stream);
}

static void
set_addresses(struct vmlat_virt_program *p)
{
    struct vmlat_virt_bpf *skeleton = p->skeleton;
    enum { KICK, WAKEUP, XMIT, READ, RECV };
    struct range ranges[] = {
        [KICK] = { "handle_tx_kick", 0, 0 },
        [WAKEUP] = { "vhost_poll_wakeup", 0, 0 },
        [XMIT] = { "tun_net_xmit", 0, 0 },
        [READ] = { "tun_do_read", 0, 0 },
        [RECV] = { "tun_recvmsg", 0, 0 },
    };

    find_ranges(ranges, ARRAY_SIZE(ranges));
    skeleton->rodata->vmlat_handle_tx_kick = ranges[KICK].start;
    skeleton->rodata->vmlat_poll_wakeup = ranges[WAKEUP].start;
    skeleton->rodata->vmlat_xmit_start = ranges[XMIT].start;
    skeleton->rodata->vmlat_xmit_end = ranges[XMIT].end;
    skeleton->rodata->vmlat_read_start = ranges[READ].start;
    skeleton->rodata->vmlat_read_end = ranges[READ].end;
    skeleton->rodata->vmlat_recv_start = ranges[RECV].start;
    skeleton->rodata->vmlat_recv_end = ranges[RECV].end;

    /* From the first to the last of these functions, which are near each
     * other: what is between them does not matter. */
    if (ranges[READ].end && ranges[RECV].end) {
        p->taking_start = MIN(ranges[READ].start, ranges[RECV].start);
        p->taking_end = MAX(ranges[READ].end, ranges[RECV].end);
    }
}

/* Loading. */

/* Returns why programs cannot be attached to functions of the kernel at all,
 * NULL if nothing is known against it.  Where they cannot, loading would find
 * that out for one hook after the other, and complain in the log. */
static char *
why_no_attach(void)
{
    static const struct bpf_insn nothing[] = {
        { .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0 },
        { .code = BPF_JMP | BPF_EXIT },
    };
    static int errno_of_attach = -1;

    if (errno_of_attach < 0) {
        LIBBPF_OPTS(bpf_prog_load_opts, opts,
                    .expected_attach_type = BPF_TRACE_FENTRY);
        int id = libbpf_find_vmlinux_btf_id(PROBED_FUNCTION,
                                            BPF_TRACE_FENTRY);
        int program, link = -1;

        errno_of_attach = 0;
        if (id > 0) {
            opts.attach_btf_id = id;
            program = bpf_prog_load(BPF_PROG_TYPE_TRACING, NULL, "GPL",
                                    nothing, ARRAY_SIZE(nothing), &opts);
            if (program >= 0) {
                link = bpf_raw_tracepoint_open(NULL, program);
            }
            if (link < 0) {
                errno_of_attach = errno;
            } else {
                close(link);
            }
            if (program >= 0) {
                close(program);
            }
        }
    }
    return (errno_of_attach
            ? xasprintf("BPF programs cannot be attached to functions of this "
                        "kernel: %s", ovs_strerror(errno_of_attach))
            : NULL);
}

static void
add_reason(struct hook_state *hook, const char *target, const char *reason)
{
    char *text = xasprintf("%s%s%s %s: %s",
                           hook->why_not ? hook->why_not : "",
                           hook->why_not ? "; " : "",
                           attach_names[hook->next->attach], target, reason);

    free(hook->why_not);
    hook->why_not = text;
    VLOG_DBG("%s: %s", hook->way->hook, text);
    hook->next++;
}

/* Stores in 'text' the line of the verifier's log that says what is wrong: the
 * last one that is no statistics. */
static void
last_line(const char *log, char *text, size_t size)
{
    text[0] = '\0';
    while (*log) {
        size_t n = strcspn(log, "\n");

        if (n && strncmp(log, "processed ", 10)
            && strncmp(log, "verification time ", 18)
            && strncmp(log, "stack depth ", 12)) {
            snprintf(text, size, "%.*s", (int) n, log);
        }
        log += n;
        log += *log == '\n';
    }
}

/* Prepares attaching by 'way'.  Returns what it attaches to, which the caller
 * frees; NULL if the kernel has no such thing. */
static char *
find_target(const struct way *way, struct bpf_program *program)
{
    char *targets = xstrdup(way->targets);
    char *save_ptr = NULL;
    char *found = NULL;

    for (char *target = strtok_r(targets, " ", &save_ptr); target && !found;
         target = strtok_r(NULL, " ", &save_ptr)) {
        if (!bpf_program__set_attach_target(program, 0, target)) {
            found = xstrdup(target);
        }
    }
    free(targets);
    return found;
}

static struct bpf_program *
find_program(const struct vmlat_virt_program *p, const struct way *way)
{
    return bpf_object__find_program_by_name(p->skeleton->obj, way->program);
}

/* Returns true if all hooks that are needed for 'needed' have a target. */
static bool
can(const struct vmlat_virt_program *p, enum needed needed)
{
    for (size_t i = 0; i < N_HOOKS; i++) {
        if (p->hooks[i].way->needed == needed && !p->hooks[i].target) {
            return false;
        }
    }
    return true;
}

/* Leaves out hooks that are of use for 'needed' only, if one of those is
 * missing: some of the others could not be loaded, and none would help. */
static void
plan_without(struct vmlat_virt_program *p, enum needed needed)
{
    if (can(p, needed)) {
        return;
    }
    for (size_t i = 0; i < N_HOOKS; i++) {
        struct hook_state *hook = &p->hooks[i];

        if (hook->way->needed == needed && hook->target) {
            bpf_program__set_autoload(find_program(p, hook->next), false);
            free(hook->target);
            hook->target = NULL;
            if (!hook->why_not) {
                hook->why_not = xstrdup("of no use without others, which are "
                                        "missing");
            }
        }
    }
}

/* Decides how to attach to each hook. */
static void
plan(struct vmlat_virt_program *p)
{
    struct bpf_program *program;

    bpf_object__for_each_program (program, p->skeleton->obj) {
        bpf_program__set_autoload(program, false);
    }
    for (size_t i = 0; i < N_HOOKS; i++) {
        struct hook_state *hook = &p->hooks[i];

        free(hook->target);
        hook->target = NULL;
        hook->fd = -1;
        while (!is_last_way(hook->next)) {
            program = find_program(p, hook->next);
            hook->target = program ? find_target(hook->next, program) : NULL;
            if (hook->target) {
                bpf_program__set_autoload(program, true);
                break;
            }
            add_reason(hook, hook->next->targets, "not in the kernel's BTF "
                       "(is its module loaded?)");
        }
    }
    plan_without(p, RX);
    plan_without(p, TX);
    plan_without(p, USER);
    p->skeleton->rodata->vmlat_has_entry = p->hooks[HOOK_ENTRY].target != NULL;
}

/* Makes the programs of the datapath call 'program' for 'hook', if they do so
 * for such a hook.  Returns true if they will. */
static bool
share_program(struct vmlat_virt_program *p, enum hook hook,
              const struct bpf_program *program)
{
    int fd = bpf_program__fd(program);
    uint32_t zero = 0;

    for (size_t i = 0; p->has_share && i < N_CALLED; i++) {
        if (called[i] == hook
            && !bpf_map_update_elem(p->arrays[i], &zero, &fd, BPF_ANY)) {
            return true;
        }
    }
    return false;
}

static void
unshare_programs(struct vmlat_virt_program *p)
{
    uint32_t zero = 0;

    if (p->has_share && p->skeleton) {
        p->skeleton->data_vm->vm.size = 0;
        for (size_t i = 0; i < N_CALLED; i++) {
            bpf_map_delete_elem(p->arrays[i], &zero);
        }
    }
}

/* Attaches all programs that are loaded.  Returns false if one could not be:
 * then another way has been chosen for its hook. */
static bool
attach_all(struct vmlat_virt_program *p)
{
    memset(&p->skeleton->data_vm->vm, 0, sizeof p->skeleton->data_vm->vm);
    p->skeleton->data_vm->vm.start = p->taking_start;
    p->skeleton->data_vm->vm.size = p->taking_end - p->taking_start;
    for (int i = N_HOOKS - 1; i >= 0; i--) {
        struct hook_state *hook = &p->hooks[i];
        struct bpf_program *program;

        if (!hook->target) {
            continue;
        }
        program = find_program(p, hook->next);
        hook->fd = bpf_program__fd(program);
        hook->is_called = share_program(p, i, program);
        if (!hook->is_called) {
            hook->link = bpf_program__attach(program);
        }
        if (!hook->is_called && !hook->link) {
            add_reason(hook, hook->target, ovs_strerror(errno));
            return false;
        }
    }
    return true;
}

/* Undoes what attempt() did. */
static void
close_all(struct vmlat_virt_program *p)
{
    unshare_programs(p);
    for (size_t i = 0; i < N_HOOKS; i++) {
        bpf_link__destroy(p->hooks[i].link);
        p->hooks[i].link = NULL;
        p->hooks[i].fd = -1;
    }
    vmlat_virt_bpf__destroy(p->skeleton);
    p->skeleton = NULL;
}

/* Loads what is planned.  Returns 0 or a positive errno value, in which case
 * another way has been chosen for the hook that did it, or '*fatal' is
 * true. */
static int
load(struct vmlat_virt_program *p, bool *fatal)
{
    char *logs[N_HOOKS];
    int error;

    for (size_t i = 0; i < N_HOOKS; i++) {
        logs[i] = NULL;
        if (p->hooks[i].target) {
            logs[i] = xcalloc(1, LOG_SIZE);
            bpf_program__set_log_buf(find_program(p, p->hooks[i].next),
                                     logs[i], LOG_SIZE);
        }
    }
    error = -vmlat_virt_bpf__load(p->skeleton);
    *fatal = error != 0;
    for (size_t i = 0; i < N_HOOKS; i++) {
        if (error && logs[i] && logs[i][0]) {
            char text[256];

            last_line(logs[i], text, sizeof text);
            add_reason(&p->hooks[i], p->hooks[i].target,
                       text[0] ? text : ovs_strerror(error));
            *fatal = false;
        }
        free(logs[i]);
    }
    return error;
}

/* Goes on without the programs of the datapath. */
static void
close_share(struct vmlat_virt_program *p)
{
    if (p->has_share) {
        close(p->share.vm);
        close(p->share.receive);
        close(p->share.xmit);
        close(p->share.kfree);
        close(p->share.consume);
        p->has_share = false;
    }
}

/* Makes one attempt.  Returns true if all that is planned is attached; false
 * if it is not: another attempt may do better unless there is an '*errorp'. */
static bool
attempt(struct vmlat_virt_program *p, const struct vmlat_virt_options *options,
        char **errorp)
{
    uint32_t n_rows = MIN(MAX(options->n_rows, MIN_ROWS), MAX_ROWS);
    uint32_t ring_size = MIN(MAX(options->ring_size, MIN_RING_SIZE),
                             MAX_RING_SIZE);
    bool fatal;
    int error;

    p->skeleton = vmlat_virt_bpf__open();
    if (!p->skeleton) {
        *errorp = xasprintf("cannot open the BPF programs: %s",
                            ovs_strerror(errno));
        return false;
    }
    p->maps.n_rows = 1u << log_2_ceil(n_rows);
    bpf_map__set_max_entries(p->skeleton->maps.rows, p->maps.n_rows);
    bpf_map__set_max_entries(p->skeleton->maps.records,
                             1u << log_2_ceil(ring_size));
    set_addresses(p);
    if (p->has_share && bpf_map__reuse_fd(p->skeleton->maps.data_vm,
                                          p->share.vm)) {
        close_share(p);
    }
    plan(p);
    if (!vmlat_virt_program_can_rx(p) && !vmlat_virt_program_can_tx(p)
        && !vmlat_virt_program_can_user(p)) {
        struct ds reasons = DS_EMPTY_INITIALIZER;

        for (size_t i = 0; i < N_HOOKS; i++) {
            if (p->hooks[i].way->needed != NONE && !p->hooks[i].target) {
                ds_put_format(&reasons, "%s%s (%s)",
                              reasons.length ? ", " : "",
                              p->hooks[i].way->hook, p->hooks[i].why_not);
            }
        }
        *errorp = xasprintf("no way to attach to %s", ds_cstr(&reasons));
        ds_destroy(&reasons);
        close_all(p);
        return false;
    }
    error = load(p, &fatal);
    if (fatal) {
        *errorp = xasprintf("cannot load the BPF programs: %s",
                            ovs_strerror(error));
    }
    if (error || !attach_all(p)) {
        close_all(p);
        return false;
    }
    return true;
}

/* Maps. */

/* Returns the bytes of kernel memory that map 'fd' takes. */
static size_t
map_memory(int fd)
{
    char *file_name = xasprintf(FDINFO_FILE, fd);
    FILE *stream = fopen(file_name, "r");
    unsigned long long int bytes = 0;
    char line[256];

    while (stream && fgets(line, sizeof line, stream)) {
        if (!strncmp(line, "memlock:", 8)) {
            bytes = strtoull(line + 8, NULL, 10);
        }
    }
    if (stream) {
        fclose(stream);
    }
    free(file_name);
    return bytes;
}

static int
handle_record(void *p_, void *data, size_t size)
{
    struct vmlat_virt_program *p = p_;
    struct vmlat_virt_event event;
    struct vmlat_record record;

    BUILD_ASSERT_DECL(sizeof event > sizeof record);
    if (size >= sizeof event) {
        memcpy(&event, data, sizeof event);
        p->event_cb(&event, p->aux);
    } else if (size >= sizeof record) {
        memcpy(&record, data, sizeof record);
        p->cb(&record, p->aux);
    }
    /* A negative number ends reading, after this one. */
    return ++p->n_read < p->max_read ? 0 : -ENOBUFS;
}

static bool
map_all(struct vmlat_virt_program *p)
{
    struct bpf_map *map;
    void *rows;

    p->rows_length = ROUND_UP(ROUND_UP(sizeof *p->maps.rows, 8)
                              * p->maps.n_rows, sysconf(_SC_PAGESIZE));
    rows = mmap(NULL, p->rows_length, PROT_READ | PROT_WRITE, MAP_SHARED,
                bpf_map__fd(p->skeleton->maps.rows), 0);
    if (rows == MAP_FAILED) {
        return false;
    }
    p->maps.rows = rows;
    p->maps.devs = p->skeleton->data_devs->devs;
    p->maps.threads = p->skeleton->data_threads->threads;
    p->maps.signals = p->skeleton->data_signals->signals;
    p->maps.config = &p->skeleton->data_config->config;
    p->maps.stats = &p->skeleton->data_stats->stats;
    bpf_object__for_each_map (map, p->skeleton->obj) {
        if (!p->has_share || map != p->skeleton->maps.data_vm) {
            p->maps.memory += map_memory(bpf_map__fd(map));
        }
    }
    p->is_seen = (vmlat_virt_program_can_user(p)
                  && vmlat_vring_is_seen(&p->maps));
    p->ring = ring_buffer__new(bpf_map__fd(p->skeleton->maps.records),
                               handle_record, p, NULL);
    return p->ring != NULL;
}

/* Public. */

char *
vmlat_virt_program_load(const struct vmlat_virt_options *options,
                        vmlat_virt_record_cb *cb, void *aux,
                        struct vmlat_virt_program **programp)
{
    char *error = vmlat_bpf_why_not();
    struct vmlat_virt_program *p;
    size_t n = 0;

    BUILD_ASSERT_DECL(sizeof(struct vmlat_virt_row) % 8 == 0);
    *programp = NULL;
    if (error) {
        return error;
    }
    if (vmlat_bpf_kernel_version() < 5012) {
        return xstrdup("the way into VMs cannot be measured on this kernel: "
                       "it takes Linux 5.12, with BTF of modules");
    }
    vmlat_kernel_libbpf_init();
    error = why_no_attach();
    if (error) {
        return error;
    }
    p = xzalloc(sizeof *p);
    p->cb = cb;
    p->event_cb = options->event_cb;
    p->aux = aux;
    for (size_t i = 0; i < ARRAY_SIZE(modules); i++) {
        p->absent[i] = !has_module(modules[i]);
    }
    for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
        if (ways[i].hook) {
            p->hooks[n].way = &ways[i];
            p->hooks[n].fd = -1;
            p->hooks[n++].next = &ways[i] + 1;
        }
    }
    p->has_share = vmlat_kernel_share(&p->share);
    p->arrays[0] = p->share.receive;    /* As in 'called'. */
    p->arrays[1] = p->share.xmit;
    p->arrays[2] = p->share.kfree;
    p->arrays[3] = p->share.consume;
    while (!attempt(p, options, &error)) {
        if (error) {
            vmlat_virt_program_unload(p);
            return error;
        }
    }
    if (!map_all(p)) {
        error = xasprintf("cannot map the BPF maps: %s", ovs_strerror(errno));
        vmlat_virt_program_unload(p);
        return error;
    }
    for (size_t i = 0; i < N_HOOKS; i++) {
        struct hook_state *hook = &p->hooks[i];

        if (hook->target) {
            const char *how = (hook->is_called ? "tail call"
                               : attach_names[hook->next->attach]);

            hook->how = xasprintf("%s %s", how, hook->target);
        }
        p->public[i].name = hook->way->hook;
        p->public[i].lost = hook->way->lost;
        p->public[i].how = hook->how;
        p->public[i].why_not = hook->why_not;
    }
    *programp = p;
    return NULL;
}

void
vmlat_virt_program_detach(struct vmlat_virt_program *p)
{
    vmlat_virt_program_update_missed(p);
    unshare_programs(p);
    for (size_t i = 0; i < N_HOOKS; i++) {
        bpf_link__destroy(p->hooks[i].link);
        p->hooks[i].link = NULL;
    }
}

void
vmlat_virt_program_unload(struct vmlat_virt_program *p)
{
    if (!p) {
        return;
    }
    if (p->maps.rows) {
        munmap(CONST_CAST(void *, p->maps.rows), p->rows_length);
    }
    ring_buffer__free(p->ring);
    close_all(p);
    close_share(p);
    for (size_t i = 0; i < N_HOOKS; i++) {
        free(p->hooks[i].target);
        free(p->hooks[i].how);
        free(p->hooks[i].why_not);
    }
    free(p);
}

void
vmlat_virt_program_unload_later(struct vmlat_virt_program *p)
{
    ovsrcu_postpone(vmlat_virt_program_unload, p);
}

const struct vmlat_virt_maps *
vmlat_virt_program_maps(const struct vmlat_virt_program *p)
{
    return &p->maps;
}

int
vmlat_virt_program_fd(const struct vmlat_virt_program *p)
{
    return ring_buffer__epoll_fd(p->ring);
}

size_t
vmlat_virt_program_read(struct vmlat_virt_program *p, size_t max)
{
    p->n_read = 0;
    p->max_read = max;
    if (max) {
        ring_buffer__consume(p->ring);
    }
    return p->n_read;
}

size_t
vmlat_virt_program_hooks(const struct vmlat_virt_program *p,
                         const struct vmlat_virt_hook **hooks)
{
    *hooks = p->public;
    return N_HOOKS;
}

void
vmlat_virt_program_update_missed(struct vmlat_virt_program *p)
{
    for (size_t i = 0; i < N_HOOKS; i++) {
        vmlat_bpf_update_missed(p->hooks[i].fd, &p->public[i].missed);
    }
    if (p->skeleton->bss->vmlat_irqfd_unseen && p->hooks[HOOK_IRQFD].how) {
        p->public[HOOK_IRQFD].why_not
            = "the kernel does not run it: irqfd-unseen instead";
    }
}

unsigned int
vmlat_virt_program_generation(const struct vmlat_virt_program *p)
{
    return p->share.generation;
}

bool
vmlat_virt_program_can_rx(const struct vmlat_virt_program *p)
{
    return can(p, RX);
}

bool
vmlat_virt_program_can_tx(const struct vmlat_virt_program *p)
{
    return can(p, TX);
}

bool
vmlat_virt_program_can_user(const struct vmlat_virt_program *p)
{
    return can(p, USER) && p->hooks[HOOK_IRQFD].target;
}

bool
vmlat_virt_program_sees_us(const struct vmlat_virt_program *p)
{
    return p->is_seen;
}

bool
vmlat_virt_program_is_outdated(const struct vmlat_virt_program *p)
{
    for (size_t i = 0; i < ARRAY_SIZE(modules); i++) {
        if (p->absent[i] && has_module(modules[i])) {
            return true;
        }
    }
    return false;
}
