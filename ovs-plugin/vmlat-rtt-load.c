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
#include "vmlat-rtt-load.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "openvswitch/dynamic-string.h"
#include "openvswitch/hmap.h"
#include "openvswitch/shash.h"
#include "openvswitch/util.h"
#include "openvswitch/vlog.h"
#include "hash.h"
#include "sset.h"
#include "util.h"
#include "vmlat-bpf.h"
#include "vmlat-kernel.h"
#include "vmlat-rtt.skel.h"

VLOG_DEFINE_THIS_MODULE(vmlat_rtt_load);

#define KALLSYMS "/proc/kallsyms"
#define KPROBE_PMU_FILE "/sys/bus/event_source/devices/kprobe/type"
#define KPROBES_FILE "/sys/kernel/tracing/kprobe_events"
#define KPROBES_DEBUG_FILE "/sys/kernel/debug/tracing/kprobe_events"

/* How functions can be attached, the best first. */
enum mode {
    MODE_FENTRY,
    MODE_KPROBE,
    MODE_NONE
};

/* How many programs look at a place: see VMLAT_RTT_FUNCTIONS. */
enum times {
    ONCE = 1,
    TWICE
};

/* A function of the kernel that is a point. */
struct function {
    const char *id;             /* Of the programs in the object. */
    enum vmlat_rtt_point point;
    enum times times;
    const char *module;         /* "" for the kernel itself. */
    const char *candidates;
};

static const struct function functions[] = {
#define VMLAT_RTT_FUNCTION(ID, POINT, ARGUMENT, TIMES, MODULE, CANDIDATES) \
    { #ID, VMLAT_RTT_##POINT, TIMES, MODULE, CANDIDATES },
    VMLAT_RTT_FUNCTIONS
#undef VMLAT_RTT_FUNCTION
};
#define N_FUNCTIONS ARRAY_SIZE(functions)

/* Tracepoints that are points. */
static const struct {
    const char *id;             /* Of the program in the object. */
    enum vmlat_rtt_point point;
    enum times times;
    const char *target;
} tracepoints[] = {
#define VMLAT_RTT_TRACEPOINT(ID, POINT, TIMES, NAME) \
    { #ID, VMLAT_RTT_##POINT, TIMES, NAME },
    VMLAT_RTT_TRACEPOINTS
#undef VMLAT_RTT_TRACEPOINT
};

/* What became of a function. */
struct attach {
    enum mode mode;
    char *target;               /* Symbol, or the candidates. */
    struct bpf_link *link;
    struct bpf_link *again;     /* Of the second program, if there is one. */
    struct ds why_not;          /* Why the better modes did not do. */
    char *why_once;             /* Why there is one program only, not two. */
};

struct name {
    struct hmap_node node;
    uint64_t value;
    char *name;                 /* NULL if unknown. */
};

/* As many functions are remembered by address. */
#define MAX_FUNCTION_NAMES 512

struct vmlat_rtt_program {
    struct vmlat_rtt_bpf *skel;
    struct ring_buffer *ring;
    struct attach attach[N_FUNCTIONS];
    struct hmap reasons;        /* Contains "struct name"s. */
    struct hmap functions;
    const struct vmlat_rtt_config *config; /* While loading. */
    vmlat_rtt_event_cb *cb;
    void *aux;
};

/* Names. */

static const struct name *
name_find(const struct hmap *names, uint64_t value)
{
    struct name *name;

    HMAP_FOR_EACH_WITH_HASH (name, node, hash_uint64(value), names) {
        if (name->value == value) {
            return name;
        }
    }
    return NULL;
}

static const struct name *
name_add(struct hmap *names, uint64_t value, char *s)
{
    struct name *name = xmalloc(sizeof *name);

    name->value = value;
    name->name = s;
    hmap_insert(names, &name->node, hash_uint64(value));
    return name;
}

static void
names_destroy(struct hmap *names)
{
    struct name *name;

    HMAP_FOR_EACH_POP (name, node, names) {
        free(name->name);
        free(name);
    }
    hmap_destroy(names);
}

/* Adds the values of the enum 'type' to 'names', without 'prefix'. */
static void
add_enum(struct hmap *names, const struct btf *btf, const char *type,
         const char *prefix)
{
    int id = btf__find_by_name_kind(btf, type, BTF_KIND_ENUM);
    const struct btf_type *t = id > 0 ? btf__type_by_id(btf, id) : NULL;

    for (size_t i = 0; t && i < btf_vlen(t); i++) {
        const struct btf_enum *e = &btf_enum(t)[i];
        const char *s = btf__name_by_offset(btf, e->name_off);

        if (s && !name_find(names, (uint32_t) e->val)) {
            if (!strncmp(s, prefix, strlen(prefix))) {
                s += strlen(prefix);
            }
            name_add(names, (uint32_t) e->val, xstrdup(s));
        }
    }
}

const char *
vmlat_rtt_program_reason(const struct vmlat_rtt_program *program,
                         uint32_t reason)
{
    const struct name *name = reason ? name_find(&program->reasons, reason)
                                     : NULL;

    return name ? name->name : NULL;
}

/* Calls 'cb' for each function of the kernel and of its modules, until it
 * returns false. */
static void
for_each_symbol(bool (*cb)(uint64_t address, const char *name, void *aux),
                void *aux)
{
    FILE *file = fopen(KALLSYMS, "r");
    char line[512];

    if (!file) {
        VLOG_DBG("%s: %s", KALLSYMS, ovs_strerror(errno));
        return;
    }
    while (fgets(line, sizeof line, file)) {
        unsigned long long address;
        char name[256];
        char type;

        if (sscanf(line, "%llx %c %255s", &address, &type, name) == 3
            && strchr("tTwW", type) && !cb(address, name, aux)) {
            break;
        }
    }
    fclose(file);
}

struct closest {
    uint64_t address;           /* To find. */
    uint64_t best;
    char name[256];
};

static bool
find_closest(uint64_t address, const char *name, void *closest_)
{
    struct closest *closest = closest_;

    if (address <= closest->address && address > closest->best) {
        closest->best = address;
        ovs_strlcpy(closest->name, name, sizeof closest->name);
    }
    return true;
}

const char *
vmlat_rtt_program_function(struct vmlat_rtt_program *program, uint64_t address)
{
    const struct name *name = name_find(&program->functions, address);

    if (!name && hmap_count(&program->functions) < MAX_FUNCTION_NAMES) {
        struct closest closest = { .address = address };
        char *s = NULL;

        for_each_symbol(find_closest, &closest);
        if (closest.best) {
            s = xmemdup0(closest.name, strcspn(closest.name, "."));
        }
        name = name_add(&program->functions, address, s);
    }
    return name ? name->name : NULL;
}

/* Symbols. */

/* Stores in 'symbols', by name without suffix, the full names of the functions
 * in 'wanted': the compiler may have added ".isra.0" or ".constprop.0". */
struct symbols {
    struct sset wanted;
    struct shash found;
};

static bool
find_symbol(uint64_t address OVS_UNUSED, const char *name, void *symbols_)
{
    struct symbols *symbols = symbols_;
    size_t n = strcspn(name, ".");
    const char *suffix = name + n;
    char *base;

    if (n && (!*suffix || !strncmp(suffix, ".isra.", 6)
              || !strncmp(suffix, ".constprop.", 11))) {
        base = xmemdup0(name, n);
        if (sset_contains(&symbols->wanted, base)
            && (!*suffix || !shash_find(&symbols->found, base))) {
            free(shash_replace(&symbols->found, base, xstrdup(name)));
        }
        free(base);
    }
    return true;
}

static void
symbols_init(struct symbols *symbols)
{
    sset_init(&symbols->wanted);
    shash_init(&symbols->found);
    for (size_t i = 0; i < N_FUNCTIONS; i++) {
        char *copy = xstrdup(functions[i].candidates);
        char *save = NULL;

        for (char *name = strtok_r(copy, " ", &save); name;
             name = strtok_r(NULL, " ", &save)) {
            sset_add(&symbols->wanted, name);
        }
        free(copy);
    }
    for_each_symbol(find_symbol, symbols);
}

static void
symbols_destroy(struct symbols *symbols)
{
    sset_destroy(&symbols->wanted);
    shash_destroy_free_data(&symbols->found);
}

/* Loading. */

static struct bpf_program *
find_program(const struct vmlat_rtt_program *program, size_t i, enum mode mode)
{
    char *name = xasprintf("%s_%s", functions[i].id,
                           mode == MODE_FENTRY ? "fentry" : "kprobe");
    struct bpf_program *p
        = bpf_object__find_program_by_name(program->skel->obj, name);

    free(name);
    ovs_assert(p);
    return p;
}

/* Returns the second program of function 'i', NULL if it has one only. */
static struct bpf_program *
find_second(const struct vmlat_rtt_program *program, size_t i, enum mode mode)
{
    char *name;
    struct bpf_program *p;

    if (functions[i].times == ONCE || mode != MODE_FENTRY) {
        return NULL;
    }
    name = xasprintf("%s_fentry_again", functions[i].id);
    p = bpf_object__find_program_by_name(program->skel->obj, name);
    free(name);
    ovs_assert(p);
    return p;
}

/* Returns the number of arguments of the tracepoint 'name', 0 if unknown. */
static int
tracepoint_n_args(const struct btf *btf, const char *name)
{
    char *type = xasprintf("btf_trace_%s", name);
    int id = btf__find_by_name_kind(btf, type, BTF_KIND_TYPEDEF);
    const struct btf_type *t = id > 0 ? btf__type_by_id(btf, id) : NULL;

    free(type);
    t = t ? btf__type_by_id(btf, t->type) : NULL;
    t = t && btf_is_ptr(t) ? btf__type_by_id(btf, t->type) : NULL;
    return t && btf_is_func_proto(t) ? btf_vlen(t) - 1 : 0;
}

/* Chooses what function 'i' is attached to, and how: at the best in the way
 * that 'mode' of its struct attach says. */
static void
choose_target(struct vmlat_rtt_program *program, size_t i,
              const struct symbols *symbols)
{
    struct attach *attach = &program->attach[i];
    char *copy = xstrdup(functions[i].candidates);
    const char *target = NULL;
    char *save = NULL;

    for (char *name = strtok_r(copy, " ", &save); name && !target;
         name = strtok_r(NULL, " ", &save)) {
        struct bpf_program *again = find_second(program, i, attach->mode);

        target = shash_find_data(&symbols->found, name);
        if (target
            && (strchr(target, '.') || attach->mode != MODE_FENTRY
                || bpf_program__set_attach_target(
                    find_program(program, i, MODE_FENTRY), 0, name)
                || (again && bpf_program__set_attach_target(again, 0,
                                                            name)))) {
            attach->mode = MAX(attach->mode, MODE_KPROBE);
        }
    }
    free(copy);

    free(attach->target);
    attach->target = xstrdup(target ? target : functions[i].candidates);
    if (!target) {
        attach->mode = MODE_NONE;
        ds_clear(&attach->why_not);
        if (functions[i].module[0]) {
            ds_put_format(&attach->why_not, "not found, is the module %s "
                          "loaded?", functions[i].module);
        } else {
            ds_put_cstr(&attach->why_not, "not in this kernel");
        }
    }
}

/* Opens and loads the object with what the modes of 'program->attach' ask for.
 * Returns 0 or a positive errno value. */
static int
load(struct vmlat_rtt_program *program, const struct btf *btf,
     const struct symbols *symbols)
{
    int error;

    program->skel = vmlat_rtt_bpf__open();
    if (!program->skel) {
        return errno;
    }
    program->skel->rodata->kfree_skb_has_reason
        = tracepoint_n_args(btf, "kfree_skb") >= 3;
    program->skel->rodata->consume_skb_has_location
        = tracepoint_n_args(btf, "consume_skb") >= 2;
    for (size_t i = 0; i < N_FUNCTIONS; i++) {
        struct attach *attach = &program->attach[i];

        choose_target(program, i, symbols);
        for (enum mode mode = MODE_FENTRY; mode <= MODE_KPROBE; mode++) {
            struct bpf_program *p = find_program(program, i, mode);

            bpf_program__set_autoload(p, mode == attach->mode);
            bpf_program__set_autoattach(p, false);
            p = find_second(program, i, mode);
            if (p) {
                bpf_program__set_autoload(p, mode == attach->mode);
                bpf_program__set_autoattach(p, false);
            }
        }
    }
    error = -vmlat_rtt_bpf__load(program->skel);
    if (error) {
        vmlat_rtt_bpf__destroy(program->skel);
        program->skel = NULL;
    } else {
        vmlat_rtt_program_configure(program, program->config);
    }
    return error;
}

/* Adds that 'mode' did not do for 'attach'.  Kernels without it do not name
 * one error for that. */
static void
put_why_not(struct attach *attach, enum mode mode, int error)
{
    ds_put_format(&attach->why_not, "%sno %s (%s)",
                  attach->why_not.length ? ", " : "",
                  mode == MODE_FENTRY ? "fentry" : "kprobe",
                  ovs_strerror(error));
}

/* Returns 0 if this kernel can attach a program to the beginning of a
 * function, else a positive errno value.
 *
 * Tried with the first function that there is.  The system calls alone: libbpf
 * would log what is nothing to worry about here. */
static int
probe_fentry(const struct btf *btf, const struct symbols *symbols)
{
    /* r0 = 0; exit. */
    static const struct bpf_insn insns[] = {
        { .code = BPF_ALU64 | BPF_MOV | BPF_K },
        { .code = BPF_JMP | BPF_EXIT },
    };

    for (size_t i = 0; i < N_FUNCTIONS; i++) {
        const char *symbol = shash_find_data(&symbols->found,
                                             functions[i].candidates);
        int id = (symbol && !strchr(symbol, '.')
                  ? btf__find_by_name_kind(btf, symbol, BTF_KIND_FUNC) : -1);
        int program, link, error;

        if (id <= 0) {
            continue;
        }

        LIBBPF_OPTS(bpf_prog_load_opts, options,
                    .expected_attach_type = BPF_TRACE_FENTRY,
                    .attach_btf_id = id);
        program = bpf_prog_load(BPF_PROG_TYPE_TRACING, "vmlat_probe", "GPL",
                                insns, ARRAY_SIZE(insns), &options);
        if (program < 0) {
            return -program;
        }
        link = bpf_raw_tracepoint_open(NULL, program);
        error = link < 0 ? -link : 0;
        if (!error) {
            close(link);
        }
        close(program);
        return error;
    }
    return ENOENT;
}

/* The same of kprobes. */
static int
probe_kprobe(void)
{
    return (access(KPROBE_PMU_FILE, R_OK)
            && access(KPROBES_FILE, W_OK)
            && access(KPROBES_DEBUG_FILE, W_OK)
            ? EOPNOTSUPP : 0);
}

/* Makes all functions that are to be attached with 'mode' use the next one.
 * Returns false if there were none. */
static bool
downgrade(struct vmlat_rtt_program *program, enum mode mode, int error)
{
    bool any = false;

    for (size_t i = 0; i < N_FUNCTIONS; i++) {
        struct attach *attach = &program->attach[i];

        if (attach->mode == mode) {
            attach->mode++;
            put_why_not(attach, mode, error);
            any = true;
        }
    }
    return any;
}

/* Attaches the second program of function 'i', if it has one.  If that does
 * not work, the first one goes on by itself. */
static void
attach_second(struct vmlat_rtt_program *program, size_t i)
{
    struct attach *attach = &program->attach[i];
    struct bpf_program *again = find_second(program, i, attach->mode);

    free(attach->why_once);
    attach->why_once = NULL;
    if (again) {
        attach->again = bpf_program__attach(again);
        if (!attach->again) {
            attach->why_once = xasprintf("no second fentry (%s)",
                                         ovs_strerror(errno));
        }
    } else if (functions[i].times == TWICE) {
        attach->why_once = xstrdup("kprobes cannot interrupt each other");
    }
}

/* Attaches the functions.  Returns 0, or a positive errno value if some have
 * to be loaded for another mode. */
static int
attach_functions(struct vmlat_rtt_program *program)
{
    for (size_t i = 0; i < N_FUNCTIONS; i++) {
        struct attach *attach = &program->attach[i];
        struct bpf_program *p;
        struct bpf_link *link;

        if (attach->mode == MODE_NONE) {
            continue;
        }
        p = find_program(program, i, attach->mode);
        link = (attach->mode == MODE_FENTRY
                ? bpf_program__attach(p)
                : bpf_program__attach_kprobe(p, false, attach->target));
        if (link) {
            attach->link = link;
            attach_second(program, i);
        } else if (attach->mode == MODE_FENTRY) {
            return errno;
        } else {
            put_why_not(attach, MODE_KPROBE, errno);
            attach->mode = MODE_NONE;
        }
    }
    return 0;
}

static void
unload(struct vmlat_rtt_program *program)
{
    for (size_t i = 0; i < N_FUNCTIONS; i++) {
        struct attach *attach = &program->attach[i];

        bpf_link__destroy(attach->again);
        bpf_link__destroy(attach->link);
        attach->link = attach->again = NULL;
    }
    vmlat_rtt_bpf__destroy(program->skel);
    program->skel = NULL;
}

/* Loads 'program' and attaches all that can be attached.  Kernels without
 * function tracing tell so at one or the other step only, so this tries.
 * Returns 0 or a positive errno value, and in the latter case stores what did
 * not work in '*step'. */
static int
load_and_attach(struct vmlat_rtt_program *program, const struct btf *btf,
                const struct symbols *symbols, const char **step)
{
    int error = probe_fentry(btf, symbols);

    if (error) {
        downgrade(program, MODE_FENTRY, error);
        error = probe_kprobe();
        if (error) {
            downgrade(program, MODE_KPROBE, error);
        }
    }
    for (;;) {
        error = load(program, btf, symbols);
        if (error) {
            if (downgrade(program, MODE_FENTRY, error)
                || downgrade(program, MODE_KPROBE, error)) {
                continue;
            }
            *step = "loading";
            return error;
        }
        error = attach_functions(program);
        if (!error) {
            error = -vmlat_rtt_bpf__attach(program->skel);
            if (error) {
                unload(program);
                *step = "attaching";
            }
            return error;
        }
        unload(program);
        downgrade(program, MODE_FENTRY, error);
    }
}

/* Returns one line that says why the program cannot be in the kernel, given
 * the error number, for the caller to free. */
static char *
explain(const char *step, int error)
{
    char *why_not = vmlat_bpf_why_not();
    char *s;

    if (why_not) {
        s = xasprintf("cannot follow echoes: %s", why_not);
        free(why_not);
    } else {
        s = xasprintf("cannot follow echoes: %s BPF programs: %s", step,
                      ovs_strerror(error));
    }
    return s;
}

static int
handle_event(void *program_, void *data, size_t size)
{
    const struct vmlat_rtt_program *program = program_;

    if (size >= sizeof(struct vmlat_rtt_event)) {
        program->cb(data, program->aux);
    }
    return 0;
}

char *
vmlat_rtt_program_load(const struct vmlat_rtt_config *config,
                       vmlat_rtt_event_cb *cb, void *aux,
                       struct vmlat_rtt_program **programp)
{
    struct vmlat_rtt_program *program;
    const char *step = "reading the BTF for";
    struct btf *btf, *module;
    struct symbols symbols;
    int error;

    *programp = NULL;
    vmlat_kernel_libbpf_init();
    btf = btf__load_vmlinux_btf();
    if (!btf) {
        return explain(step, errno);
    }

    program = xzalloc(sizeof *program);
    program->config = config;
    program->cb = cb;
    program->aux = aux;
    hmap_init(&program->reasons);
    hmap_init(&program->functions);
    for (size_t i = 0; i < N_FUNCTIONS; i++) {
        ds_init(&program->attach[i].why_not);
    }
    add_enum(&program->reasons, btf, "skb_drop_reason", "SKB_DROP_REASON_");
    module = btf__load_module_btf("openvswitch", btf);
    if (module) {
        add_enum(&program->reasons, module, "ovs_drop_reason", "");
        btf__free(module);
    }

    symbols_init(&symbols);
    error = load_and_attach(program, btf, &symbols, &step);
    symbols_destroy(&symbols);
    btf__free(btf);
    if (!error) {
        program->ring = ring_buffer__new(
            bpf_map__fd(program->skel->maps.events), handle_event, program,
            NULL);
        if (!program->ring) {
            error = errno;
            step = "reading from";
        }
    }
    program->config = NULL;
    if (error) {
        vmlat_rtt_program_unload(program);
        return explain(step, error);
    }
    *programp = program;
    return NULL;
}

void
vmlat_rtt_program_unload(struct vmlat_rtt_program *program)
{
    if (program) {
        ring_buffer__free(program->ring);
        unload(program);
        for (size_t i = 0; i < N_FUNCTIONS; i++) {
            free(program->attach[i].target);
            ds_destroy(&program->attach[i].why_not);
            free(program->attach[i].why_once);
        }
        names_destroy(&program->reasons);
        names_destroy(&program->functions);
        free(program);
    }
}

/* Using it. */

void
vmlat_rtt_program_configure(struct vmlat_rtt_program *program,
                            const struct vmlat_rtt_config *config)
{
    uint32_t zero = 0;

    if (bpf_map_update_elem(bpf_map__fd(program->skel->maps.config), &zero,
                            config, BPF_ANY)) {
        VLOG_ERR("writing the settings: %s", ovs_strerror(errno));
    }
}

int
vmlat_rtt_program_fd(const struct vmlat_rtt_program *program)
{
    return ring_buffer__epoll_fd(program->ring);
}

size_t
vmlat_rtt_program_read(struct vmlat_rtt_program *program)
{
    int n = ring_buffer__consume(program->ring);

    return MAX(n, 0);
}

void
vmlat_rtt_program_count(const struct vmlat_rtt_program *program,
                        uint64_t counters[VMLAT_RTT_N_COUNTERS])
{
    int n_cpus = libbpf_num_possible_cpus();
    uint64_t *values;

    memset(counters, 0, VMLAT_RTT_N_COUNTERS * sizeof *counters);
    if (n_cpus <= 0) {
        return;
    }
    values = xmalloc(n_cpus * sizeof *values);
    for (uint32_t i = 0; i < VMLAT_RTT_N_COUNTERS; i++) {
        if (!bpf_map_lookup_elem(bpf_map__fd(program->skel->maps.counters),
                                 &i, values)) {
            for (int cpu = 0; cpu < n_cpus; cpu++) {
                counters[i] += values[cpu];
            }
        }
    }
    free(values);
}

void
vmlat_rtt_program_update_missed(const struct vmlat_rtt_program *program,
                                struct vmlat_rtt_attachment *a)
{
    const struct bpf_program *p = NULL;

    if (a->place >= N_FUNCTIONS) {
        size_t i = a->place - N_FUNCTIONS;

        if (tracepoints[i].times == ONCE) {
            p = bpf_object__find_program_by_name(program->skel->obj,
                                                 tracepoints[i].id);
        }
    } else if (a->how && !program->attach[a->place].again) {
        p = find_program(program, a->place, program->attach[a->place].mode);
    }
    if (p) {
        vmlat_bpf_update_missed(bpf_program__fd(p), &a->missed);
    }
}

static int
compare_attachments(const void *a_, const void *b_)
{
    const struct vmlat_rtt_attachment *a = a_;
    const struct vmlat_rtt_attachment *b = b_;

    return (a->point != b->point ? (a->point < b->point ? -1 : 1)
            : strcmp(a->target, b->target));
}

size_t
vmlat_rtt_program_attachments(const struct vmlat_rtt_program *program,
                              struct vmlat_rtt_attachment **attachmentsp)
{
    size_t n = ARRAY_SIZE(tracepoints) + N_FUNCTIONS;
    struct vmlat_rtt_attachment *attachments = xcalloc(n, sizeof *attachments);
    struct vmlat_rtt_attachment *a = attachments;

    for (size_t i = 0; i < ARRAY_SIZE(tracepoints); i++) {
        a->place = N_FUNCTIONS + i;
        a->point = tracepoints[i].point;
        a->target = xstrdup(tracepoints[i].target);
        a->how = xstrdup("tp_btf");
        a++;
    }
    for (size_t i = 0; i < N_FUNCTIONS; i++) {
        const struct attach *attach = &program->attach[i];

        a->place = i;
        a->point = functions[i].point;
        a->target = xstrdup(attach->target);
        if (attach->mode == MODE_NONE) {
            a->why_not = xstrdup(ds_cstr_ro(&attach->why_not));
        } else {
            a->how = xstrdup(attach->mode == MODE_FENTRY ? "fentry"
                             : "kprobe");
            a->why_once = nullable_xstrdup(attach->why_once);
        }
        a++;
    }
    qsort(attachments, n, sizeof *attachments, compare_attachments);
    *attachmentsp = attachments;
    return n;
}
