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

/* Loading and attaching the BPF programs.
 *
 * Kernels differ in what they have: each hook of vmlat-kernel-points.def has
 * one or more ways to attach to it.  Whether the kernel knows a target is
 * found out beforehand; whether it takes the program only when it is loaded.
 * libbpf loads all programs of an object or none, so after each failure the
 * object is opened again and the next way is tried. */

#include <config.h>
#include "vmlat-kernel-private.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "openvswitch/dynamic-string.h"
#include "openvswitch/vlog.h"
#include "ovs-thread.h"
#include "util.h"

#include "vmlat-bpf.h"
#include "vmlat-path.skel.h"
#include "vmlat-path-old.skel.h"

VLOG_DEFINE_THIS_MODULE(vmlat_kernel_load);

/* Files. */
#define FDINFO_FILE "/proc/self/fdinfo/%d"
#define CPUS_FILE "/sys/devices/system/cpu/possible"

#define LOST_ALL "everything"

/* The kernel's limit for a value of an array, KMALLOC_MAX_SIZE. */
#define MAX_VALUE_SIZE (4u << 20)
#define MIN_BLOCKS 1024

/* Of vmlat-max-histograms. */
#define HISTOGRAM_SIZE (sizeof(struct vmlat_histogram))

/* Hooks and how to attach to them. */

enum attach {
    TP_BTF,
    FENTRY,
    FEXIT,
    KPROBE,
    KRETPROBE,
};

static const char *attach_names[] = {
    [TP_BTF] = "tp_btf",
    [FENTRY] = "fentry",
    [FEXIT] = "fexit",
    [KPROBE] = "kprobe",
    [KRETPROBE] = "kretprobe",
};

static const struct {
    const char *name;
    const char *lost;
} hooks[VMLAT_N_HOOKS] = {
#define VMLAT_HOOK(ID, NAME, LOST) { NAME, LOST },
#define VMLAT_TRY(ATTACH, TARGETS, PROGRAM)
#include "vmlat-kernel-points.def"
};

/* The order of these is that of the table; a row of each hook begins those
 * that belong to it. */
static const struct way {
    bool is_hook;
    enum attach attach;
    const char *targets;
    const char *program;
} ways[] = {
#define VMLAT_HOOK(ID, NAME, LOST) { true, 0, NULL, NULL },
#define VMLAT_TRY(ATTACH, TARGETS, PROGRAM) \
    { false, ATTACH, TARGETS, #PROGRAM },
#include "vmlat-kernel-points.def"
};

/* Returns the first way of 'hook'. */
static size_t
first_way(enum vmlat_kernel_hook hook)
{
    size_t i = 0;

    for (int n = -1; ; i++) {
        n += ways[i].is_hook;
        if (n == hook) {
            return i + 1;
        }
    }
}

/* Messages of libbpf. */

/* What libbpf said last while a thread loads, to tell which program the
 * kernel did not take and why. */
struct problem {
    char program[64];
    char text[256];
};
DEFINE_STATIC_PER_THREAD_DATA(struct problem *, problem, NULL);

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

static int
libbpf_print(enum libbpf_print_level level, const char *format, va_list args)
    OVS_PRINTF_FORMAT(2, 0);

static int
libbpf_print(enum libbpf_print_level level, const char *format, va_list args)
{
    static struct vlog_rate_limit rl = VLOG_RATE_LIMIT_INIT(10, 20);
    struct problem *p = *problem_get();

    if (p && level == LIBBPF_WARN) {
        if (!strncmp(format, "libbpf: prog '%s': ", 19)) {
            va_list copy;

            va_copy(copy, args);
            ovs_strzcpy(p->program, va_arg(copy, const char *),
                        sizeof p->program);
            if (strstr(format, "-- BEGIN PROG LOAD LOG --")) {
                const char *log = va_arg(copy, const char *);

                last_line(log, p->text, sizeof p->text);
                VLOG_DBG("%s: %s", p->program, log);
            }
            va_end(copy);
        }
        /* What matters of this comes out as the reason of a hook. */
        level = LIBBPF_DEBUG;
    }
    if (level != LIBBPF_WARN ? VLOG_IS_DBG_ENABLED() : !VLOG_DROP_WARN(&rl)) {
        char *s = xvasprintf(format, args);
        const char *text = s;

        if (!strncmp(text, "libbpf: ", 8)) {
            text += 8;
        }
        VLOG(level == LIBBPF_WARN ? VLL_WARN : VLL_DBG, "%.*s",
             (int) strcspn(text, "\n"), text);
        free(s);
    }
    return 0;
}

/* Makes libbpf log through OVS's log; any thread, any number of times. */
void
vmlat_kernel_libbpf_init(void)
{
    libbpf_set_print(libbpf_print);
}

/* Programs. */

struct vmlat_kernel_programs {
    void *skeleton;
    void (*destroy)(void *skeleton);
    int (*load)(void *skeleton);
    struct bpf_object *object;
    struct bpf_link *links[VMLAT_N_HOOKS];
};

static void
programs_destroy(struct vmlat_kernel_programs *p)
{
    if (p) {
        for (size_t i = 0; i < VMLAT_N_HOOKS; i++) {
            bpf_link__destroy(p->links[i]);
        }
        p->destroy(p->skeleton);
        free(p);
    }
}

/* The variants of the skeleton have the same members, but are not the same
 * type. */
#define SKELETON(NAME)                                                        \
static void                                                                   \
NAME##_destroy(void *skeleton)                                                \
{                                                                             \
    NAME##__destroy(skeleton);                                                \
}                                                                             \
                                                                              \
static int                                                                    \
NAME##_load(void *skeleton)                                                   \
{                                                                             \
    return NAME##__load(skeleton);                                            \
}                                                                             \
                                                                              \
static bool                                                                   \
NAME##_open(struct vmlat_kernel_programs *p, uint32_t n_blocks,               \
            uint32_t tc_ingress_reason)                                       \
{                                                                             \
    struct NAME *skeleton = NAME##__open();                                   \
                                                                              \
    if (!skeleton) {                                                          \
        return false;                                                         \
    }                                                                         \
    skeleton->rodata->vmlat_block_mask = n_blocks - 1;                        \
    skeleton->rodata->vmlat_tc_ingress_reason = tc_ingress_reason;            \
    p->skeleton = skeleton;                                                   \
    p->object = skeleton->obj;                                                \
    p->destroy = NAME##_destroy;                                              \
    p->load = NAME##_load;                                                    \
    return true;                                                              \
}
SKELETON(vmlat_path_bpf)
SKELETON(vmlat_path_old_bpf)

/* Returns the number of CPUs that there may ever be. */
static size_t
n_possible_cpus(void)
{
    FILE *stream = fopen(CPUS_FILE, "r");
    char line[1024];
    int n = libbpf_num_possible_cpus();

    /* "0-3,8-11": numbers count, not how many there are. */
    if (stream) {
        if (fgets(line, sizeof line, stream)) {
            size_t i = strcspn(line, "\n");

            while (i && isdigit((unsigned char) line[i - 1])) {
                i--;
            }
            n = MAX(n, atoi(&line[i]) + 1);
        }
        fclose(stream);
    }
    return MAX(n, 1);
}

/* Returns how many blocks each of 'n_cpus' CPUs gets, a power of two. */
static uint32_t
blocks_per_cpu(uint64_t max_histograms, size_t n_cpus)
{
    uint64_t most = (MAX_VALUE_SIZE - VMLAT_BPF_CPU_BLOCKS) / VMLAT_BPF_BLOCK;
    uint64_t n = max_histograms * HISTOGRAM_SIZE / VMLAT_BPF_BLOCK / n_cpus;

    return 1u << log_2_floor(MIN(MAX(n, MIN_BLOCKS), most));
}

static struct bpf_map *
find_map(const struct vmlat_kernel_programs *p, const char *name)
{
    return bpf_object__find_map_by_name(p->object, name);
}

/* Returns a new file descriptor of a map, which outlives the object. */
static int
dup_map(const struct vmlat_kernel_programs *p, const char *name)
{
    struct bpf_map *map = find_map(p, name);

    return map ? dup(bpf_map__fd(map)) : -1;
}

/* Bytes of memory that all values of 'map', an array, take. */
static size_t
array_size(const struct bpf_map *map)
{
    return ROUND_UP(ROUND_UP((size_t) bpf_map__value_size(map), 8)
                    * bpf_map__max_entries(map), sysconf(_SC_PAGESIZE));
}

/* Maps the array 'name' into memory, which the caller unmaps. */
static void *
map_array(const struct vmlat_kernel_programs *p, const char *name,
          size_t *size)
{
    struct bpf_map *map = find_map(p, name);
    void *memory;

    *size = 0;
    if (!map) {
        errno = ENOENT;
        return NULL;
    }
    memory = mmap(NULL, array_size(map), PROT_READ | PROT_WRITE, MAP_SHARED,
                  bpf_map__fd(map), 0);
    if (memory == MAP_FAILED) {
        return NULL;
    }
    *size = array_size(map);
    return memory;
}

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

/* Sharing. */

static struct ovs_mutex share_mutex = OVS_MUTEX_INITIALIZER;
static struct vmlat_kernel_share share OVS_GUARDED_BY(share_mutex)
    = { .vm = -1, .receive = -1, .xmit = -1, .kfree = -1, .consume = -1 };

static void
close_map(int fd)
{
    if (fd >= 0) {
        close(fd);
    }
}

/* Shares maps of 'p', or none if it is NULL. */
static void
set_share(const struct vmlat_kernel_programs *p)
{
    ovs_mutex_lock(&share_mutex);
    share.generation++;
    close_map(share.vm);
    close_map(share.receive);
    close_map(share.xmit);
    close_map(share.kfree);
    close_map(share.consume);
    share.vm = p ? dup_map(p, ".data.vm") : -1;
    share.receive = p ? dup_map(p, "vm_receive") : -1;
    share.xmit = p ? dup_map(p, "vm_xmit") : -1;
    share.kfree = p ? dup_map(p, "vm_kfree") : -1;
    share.consume = p ? dup_map(p, "vm_consume") : -1;
    ovs_mutex_unlock(&share_mutex);
}

bool
vmlat_kernel_share(struct vmlat_kernel_share *s)
{
    ovs_mutex_lock(&share_mutex);
    *s = share;
    s->vm = dup(share.vm);
    s->receive = dup(share.receive);
    s->xmit = dup(share.xmit);
    s->kfree = dup(share.kfree);
    s->consume = dup(share.consume);
    ovs_mutex_unlock(&share_mutex);
    if (s->vm < 0 || s->receive < 0 || s->xmit < 0 || s->kfree < 0
        || s->consume < 0) {
        close_map(s->vm);
        close_map(s->receive);
        close_map(s->xmit);
        close_map(s->kfree);
        close_map(s->consume);
        return false;
    }
    return true;
}

unsigned int
vmlat_kernel_generation(void)
{
    unsigned int generation;

    ovs_mutex_lock(&share_mutex);
    generation = share.generation;
    ovs_mutex_unlock(&share_mutex);
    return generation;
}

/* Loading. */

struct loader {
    const struct vmlat_kernel_load_options *options;
    struct vmlat_kernel_loaded *loaded;
    size_t n_cpus;
    uint32_t n_blocks;
    struct problem problem;
    size_t next[VMLAT_N_HOOKS];     /* Way to try. */
    char *target[VMLAT_N_HOOKS];    /* What the way attaches to. */
};

static void
add_reason(struct loader *l, enum vmlat_kernel_hook hook, const char *target,
           const char *reason)
{
    struct vmlat_kernel_hook_state *state = &l->loaded->hooks[hook];
    const char *attach = attach_names[ways[l->next[hook]].attach];
    char *text;

    text = xasprintf("%s%s%s %s: %s", state->why_not ? state->why_not : "",
                     state->why_not ? "; " : "", attach, target, reason);
    free(state->why_not);
    state->why_not = text;
    VLOG_DBG("%s: %s", hooks[hook].name, text);
    l->next[hook]++;
}

/* Prepares attaching to 'hook' by 'way'.  Returns what 'way' attaches to,
 * which the caller frees; NULL if the kernel has no such thing. */
static char *
find_target(struct loader *l, const struct way *way,
            struct bpf_program *program)
{
    char *targets = xstrdup(way->targets);
    char *save_ptr = NULL;
    char *found = NULL;

    for (char *target = strtok_r(targets, " ", &save_ptr); target && !found;
         target = strtok_r(NULL, " ", &save_ptr)) {
        const char *symbol = vmlat_kernel_symbols_find(l->loaded->symbols,
                                                       target);

        if (way->attach == KPROBE || way->attach == KRETPROBE) {
            found = nullable_xstrdup(symbol);
        } else if (!bpf_program__set_attach_target(program, 0, target)) {
            found = xstrdup(target);
        } else if (symbol && strcmp(symbol, target)
                   && !bpf_program__set_attach_target(program, 0, symbol)) {
            found = xstrdup(symbol);
        }
    }
    free(targets);
    return found;
}

/* Decides how to attach to each hook.  Returns NULL or what keeps all of it
 * from being loaded, which the caller frees. */
static char *
plan(struct loader *l, struct vmlat_kernel_programs *p)
{
    struct bpf_program *program;

    bpf_object__for_each_program (program, p->object) {
        bpf_program__set_autoload(program, false);
    }
    for (size_t i = 0; i < VMLAT_N_HOOKS; i++) {
        free(l->target[i]);
        l->target[i] = NULL;
        while (l->next[i] < ARRAY_SIZE(ways) && !ways[l->next[i]].is_hook) {
            const struct way *way = &ways[l->next[i]];

            program = bpf_object__find_program_by_name(p->object,
                                                       way->program);
            l->target[i] = program ? find_target(l, way, program) : NULL;
            if (l->target[i]) {
                bpf_program__set_autoload(program, true);
                break;
            }
            add_reason(l, i, way->targets,
                       way->attach == KPROBE || way->attach == KRETPROBE
                       ? "the kernel has no such function"
                       : "not in the kernel's BTF");
        }
        if (!l->target[i] && !strcmp(hooks[i].lost, LOST_ALL)) {
            return xasprintf("no way to attach to %s (%s)", hooks[i].name,
                             l->loaded->hooks[i].why_not);
        }
    }
    return NULL;
}

/* Opens the object for this kernel. */
static struct vmlat_kernel_programs *
open_programs(struct loader *l)
{
    struct vmlat_kernel_programs *p = xzalloc(sizeof *p);
    uint32_t tc_ingress = VMLAT_REASON_UNKNOWN;
    bool ok;

    vmlat_kernel_symbols_reason_value(l->loaded->symbols, "TC_INGRESS",
                                      &tc_ingress);
    ok = (vmlat_bpf_kernel_version() >= 5012
          ? vmlat_path_bpf_open(p, l->n_blocks, tc_ingress)
          : vmlat_path_old_bpf_open(p, l->n_blocks, tc_ingress));
    if (!ok) {
        free(p);
        return NULL;
    }
    bpf_map__set_max_entries(find_map(p, "cpus"), l->n_cpus);
    bpf_map__set_value_size(find_map(p, "cpus"),
                            VMLAT_BPF_CPU_BLOCKS
                            + l->n_blocks * VMLAT_BPF_BLOCK);
    bpf_map__set_max_entries(find_map(p, "flows"),
                             MAX(l->options->max_flows, 1));
    return p;
}

/* Returns the hook that 'program' is for, -1 if none. */
static int
hook_of_program(const struct loader *l, const char *program)
{
    for (size_t i = 0; i < VMLAT_N_HOOKS; i++) {
        if (l->target[i] && !strcmp(ways[l->next[i]].program, program)) {
            return i;
        }
    }
    return -1;
}

/* Attaches all programs that are loaded.  Returns false if one could not be:
 * then another way has been chosen for its hook. */
static bool
attach_all(struct loader *l, struct vmlat_kernel_programs *p)
{
    for (int i = VMLAT_N_HOOKS - 1; i >= 0; i--) {
        const struct way *way = &ways[l->next[i]];
        struct bpf_program *program;

        if (!l->target[i]) {
            continue;
        }
        program = bpf_object__find_program_by_name(p->object, way->program);
        p->links[i] = (way->attach == KPROBE || way->attach == KRETPROBE
                       ? bpf_program__attach_kprobe(
                           program, way->attach == KRETPROBE, l->target[i])
                       : bpf_program__attach(program));
        if (!p->links[i]) {
            add_reason(l, i, l->target[i], ovs_strerror(errno));
            return false;
        }
        l->loaded->hooks[i].fd = bpf_program__fd(program);
    }
    return true;
}

/* Makes one attempt.  Returns NULL and leaves '*errorp' alone if another one
 * may do better. */
static struct vmlat_kernel_programs *
attempt(struct loader *l, char **errorp)
{
    struct vmlat_kernel_programs *p = open_programs(l);
    int error;

    if (!p) {
        *errorp = xasprintf("cannot open the BPF programs: %s",
                            ovs_strerror(errno));
        return NULL;
    }
    *errorp = plan(l, p);
    if (*errorp) {
        programs_destroy(p);
        return NULL;
    }

    memset(&l->problem, 0, sizeof l->problem);
    error = -p->load(p->skeleton);
    if (error) {
        int hook = hook_of_program(l, l->problem.program);

        if (hook >= 0) {
            add_reason(l, hook, l->target[hook],
                       l->problem.text[0] ? l->problem.text
                       : ovs_strerror(error));
        } else {
            *errorp = xasprintf("cannot load the BPF programs: %s",
                                ovs_strerror(error));
        }
        programs_destroy(p);
        return NULL;
    }
    if (!attach_all(l, p)) {
        programs_destroy(p);
        return NULL;
    }
    return p;
}

/* Gives the main thread access to the maps. */
static bool
map_all(struct loader *l, struct vmlat_kernel_programs *p)
{
    struct vmlat_kernel_loaded *loaded = l->loaded;
    struct bpf_map *map;
    bool ok;

    loaded->n_cpus = l->n_cpus;
    loaded->n_blocks = l->n_blocks;
    loaded->max_flows = l->options->max_flows;
    loaded->cpu_size = ROUND_UP(bpf_map__value_size(find_map(p, "cpus")), 8);
    loaded->cpus = map_array(p, "cpus", &loaded->cpus_length);
    loaded->devs = map_array(p, ".data.devs", &loaded->devs_length);
    loaded->config = map_array(p, ".data.config", &loaded->config_length);
    loaded->stats = map_array(p, ".data.stats", &loaded->stats_length);
    ok = loaded->cpus && loaded->devs && loaded->config && loaded->stats;

    loaded->drops = dup_map(p, "drops");
    loaded->flows = dup_map(p, "flows");
    loaded->handlers = dup_map(p, "handlers");
    loaded->upcalls = dup_map(p, "upcalls");
    loaded->events = dup_map(p, "events");
    loaded->stacks = dup_map(p, "stacks");
    bpf_object__for_each_map (map, p->object) {
        loaded->memory += map_memory(bpf_map__fd(map));
    }
    return ok;
}

struct vmlat_kernel_loaded *
vmlat_kernel_load(const struct vmlat_kernel_load_options *options,
                  atomic_bool *cancelled_, char **errorp)
{
    struct vmlat_kernel_programs *p = NULL;
    struct loader l = { .options = options };
    bool cancelled = false;

    vmlat_kernel_libbpf_init();
    *errorp = vmlat_bpf_why_not();
    if (*errorp) {
        return NULL;
    }

    l.loaded = xzalloc(sizeof *l.loaded);
    l.loaded->drops = l.loaded->flows = l.loaded->handlers = -1;
    l.loaded->upcalls = l.loaded->events = l.loaded->stacks = -1;
    l.loaded->symbols = vmlat_kernel_symbols_read();
    l.n_cpus = n_possible_cpus();
    if (l.n_cpus > VMLAT_BPF_CPUS) {
        *errorp = xasprintf("this machine may have %"PRIuSIZE" CPUs: %d are "
                            "the most that can be measured", l.n_cpus,
                            VMLAT_BPF_CPUS);
        vmlat_kernel_loaded_destroy(l.loaded);
        return NULL;
    }
    l.n_blocks = blocks_per_cpu(options->max_histograms, l.n_cpus);
    for (size_t i = 0; i < VMLAT_N_HOOKS; i++) {
        l.loaded->hooks[i].fd = -1;
        l.next[i] = first_way(i);
    }

    *problem_get() = &l.problem;
    do {
        p = attempt(&l, errorp);
        atomic_read(cancelled_, &cancelled);
    } while (!p && !*errorp && !cancelled);
    *problem_get() = NULL;

    if (p) {
        /* Again, since stacks have the programs themselves in them. */
        vmlat_kernel_symbols_destroy(l.loaded->symbols);
        l.loaded->symbols = vmlat_kernel_symbols_read();
    }
    if (p && !cancelled && !map_all(&l, p)) {
        *errorp = xasprintf("cannot map the BPF maps: %s",
                            ovs_strerror(errno));
    }
    for (size_t i = 0; i < VMLAT_N_HOOKS; i++) {
        if (l.target[i]) {
            const char *attach = attach_names[ways[l.next[i]].attach];

            l.loaded->hooks[i].how = xasprintf("%s %s", attach, l.target[i]);
            free(l.target[i]);
        }
    }
    l.loaded->programs = p;
    if (*errorp || cancelled) {
        vmlat_kernel_loaded_destroy(l.loaded);
        return NULL;
    }
    set_share(p);
    return l.loaded;
}

void
vmlat_kernel_update_missed(struct vmlat_kernel_loaded *loaded)
{
    for (size_t i = 0; loaded->programs && i < VMLAT_N_HOOKS; i++) {
        struct vmlat_kernel_hook_state *state = &loaded->hooks[i];

        vmlat_bpf_update_missed(state->fd, &state->missed);
    }
}

void
vmlat_kernel_unload(struct vmlat_kernel_loaded *loaded)
{
    set_share(NULL);
    vmlat_kernel_update_missed(loaded);
    for (size_t i = 0; i < VMLAT_N_HOOKS; i++) {
        loaded->hooks[i].fd = -1;
    }
    programs_destroy(loaded->programs);
    loaded->programs = NULL;
}

static void
unmap(void *memory, size_t length)
{
    if (memory) {
        munmap(memory, length);
    }
}

void
vmlat_kernel_loaded_destroy(struct vmlat_kernel_loaded *loaded)
{
    if (!loaded) {
        return;
    }
    programs_destroy(loaded->programs);
    for (size_t i = 0; i < VMLAT_N_HOOKS; i++) {
        free(loaded->hooks[i].how);
        free(loaded->hooks[i].why_not);
    }
    vmlat_kernel_symbols_destroy(loaded->symbols);
    unmap(loaded->cpus, loaded->cpus_length);
    unmap(loaded->devs, loaded->devs_length);
    unmap(loaded->config, loaded->config_length);
    unmap(loaded->stats, loaded->stats_length);
    close_map(loaded->drops);
    close_map(loaded->flows);
    close_map(loaded->handlers);
    close_map(loaded->upcalls);
    close_map(loaded->events);
    close_map(loaded->stacks);
    free(loaded);
}

const char *
vmlat_kernel_hook_name(enum vmlat_kernel_hook hook)
{
    return hooks[hook].name;
}

const char *
vmlat_kernel_hook_lost(enum vmlat_kernel_hook hook)
{
    return hooks[hook].lost;
}
