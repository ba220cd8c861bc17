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
#include "vmlat-guest-load.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "vmlat-guest-util.h"
#include "vmlat-guest.skel.h"

#define KALLSYMS "/proc/kallsyms"
#define STATUS_FILE "/proc/self/status"
#define LOCKDOWN_FILE "/sys/kernel/security/lockdown"
#define BTF_FILE "/sys/kernel/btf/vmlinux"
#define KPROBE_PMU_FILE "/sys/bus/event_source/devices/kprobe/type"
#define KPROBES_FILE "/sys/kernel/tracing/kprobe_events"
#define KPROBES_DEBUG_FILE "/sys/kernel/debug/tracing/kprobe_events"

/* Numbers in linux/capability.h. */
#define CAPABILITY_SYS_ADMIN 21
#define CAPABILITY_PERFMON 38
#define CAPABILITY_BPF 39

/* How functions can be attached, the best first. */
enum mode {
    MODE_FENTRY,
    MODE_KPROBE,
    MODE_NONE,
    MODE_NOT_NEEDED
};

/* How many programs look at a function: see VMLAT_GUEST_FUNCTIONS. */
enum times {
    ONCE = 1,
    TWICE
};

struct function {
    const char *id;             /* Of the programs in the object. */
    enum times times;
    unsigned int protocols;     /* That need it. */
    const char *candidates;
    const char *without;
};

enum function_number {
#define VMLAT_GUEST_FUNCTION(ID, HANDLER, ARGUMENT, TIMES, PROTOCOLS, \
                             CANDIDATES, WITHOUT) \
    FUNCTION_##ID,
    VMLAT_GUEST_FUNCTIONS
#undef VMLAT_GUEST_FUNCTION
    N_FUNCTIONS
};

static const struct function functions[N_FUNCTIONS] = {
#define VMLAT_GUEST_FUNCTION(ID, HANDLER, ARGUMENT, TIMES, PROTOCOLS, \
                             CANDIDATES, WITHOUT) \
    { #ID, TIMES, PROTOCOLS, CANDIDATES, WITHOUT },
    VMLAT_GUEST_FUNCTIONS
#undef VMLAT_GUEST_FUNCTION
};

static const char *const tracepoints[] = {
    "net_dev_queue", "net_dev_start_xmit", "net_dev_xmit",
    "netif_receive_skb", "consume_skb", "kfree_skb",
};

/* Names in 'functions[].candidates', at most. */
#define MAX_CANDIDATES 2
#define MAX_NAME 64

/* A name that a function may have in this kernel. */
struct symbol {
    char name[MAX_NAME];        /* Without the compiler's suffix. */
    char full[MAX_NAME];        /* As in the kernel, "" if it is not there. */
};

/* What became of a function. */
struct attach {
    enum mode mode;
    struct symbol symbols[MAX_CANDIDATES];
    const char *target;         /* Of 'symbols', or the candidates. */
    struct bpf_link *link;
    struct bpf_link *again;     /* Of the second program, if there is one. */
    char why_not[160];          /* Why the better modes did not do. */
    char why_once[80];          /* Why there is one program only, not two, ""
                                 * if there is not. */
};

/* As many packets are read at a time: they may come as fast as they are read,
 * and there is more to do. */
#define MAX_TURN 16384

/* As many functions are remembered by address. */
#define MAX_ADDRESSES 512

/* Reasons for drops with larger numbers have no name here. */
#define MAX_REASONS 512

struct vmlat_guest_program {
    struct vmlat_guest_bpf *skel;
    struct ring_buffer *ring;
    struct attach attach[N_FUNCTIONS];
    char *reasons[MAX_REASONS];

    /* Functions by address. */
    struct address {
        uint64_t address;
        uint64_t start;         /* Of the function, while it is looked for. */
        char name[MAX_NAME];    /* "" if unknown. */
    } addresses[MAX_ADDRESSES];
    size_t n_addresses;
    size_t n_looked_up;         /* The first of them have been. */

    uint64_t n_expired;
    int budget;                 /* Packets left to read in this turn. */
    vmlat_guest_packet_cb *cb;
    void *aux;
};

/* What may be in the way. */

static bool
has_capability(int capability)
{
    unsigned long long effective = UINT64_MAX;
    FILE *stream = fopen(STATUS_FILE, "r");
    char line[256];

    while (stream && fgets(line, sizeof line, stream)) {
        sscanf(line, "CapEff: %llx", &effective);
    }
    if (stream) {
        fclose(stream);
    }
    return effective >> capability & 1;
}

static bool
is_locked_down(void)
{
    FILE *stream = fopen(LOCKDOWN_FILE, "r");
    char line[256];
    bool locked;

    locked = (stream && fgets(line, sizeof line, stream)
              && strstr(line, "[confidentiality]"));
    if (stream) {
        fclose(stream);
    }
    return locked;
}

/* Returns one line that says what keeps all BPF programs of vmlat-guest from
 * being loaded, NULL if nothing is known to.  The caller frees it. */
static char *
explain_environment(void)
{
    unsigned int major, minor;
    struct utsname u;

    if (!has_capability(CAPABILITY_SYS_ADMIN)
        && (!has_capability(CAPABILITY_BPF)
            || !has_capability(CAPABILITY_PERFMON))) {
        return vmlat_guest_asprintf("no permission to load BPF programs: run "
                                    "this as root, or with CAP_BPF and "
                                    "CAP_PERFMON");
    }
    if (!uname(&u) && sscanf(u.release, "%u.%u", &major, &minor) == 2
        && major * 1000 + minor < 5010) {
        return vmlat_guest_asprintf("Linux %s is too old: 5.10 is the first "
                                    "that can be measured", u.release);
    }
    if (access(BTF_FILE, R_OK)) {
        return vmlat_guest_asprintf(BTF_FILE ": %s: the kernel has to be "
                                    "built with CONFIG_DEBUG_INFO_BTF=y, and "
                                    "sysfs mounted",
                                    vmlat_guest_strerror(errno));
    }
    if (is_locked_down()) {
        return vmlat_guest_asprintf("the kernel is locked down "
                                    "(lockdown=confidentiality, see "
                                    LOCKDOWN_FILE "): BPF programs may not "
                                    "read its memory");
    }
    return NULL;
}

/* libbpf tells here what it would print: the last error is of use where
 * nothing else explains one. */
static char last_complaint[256];

static int
keep_complaint(enum libbpf_print_level level, const char *format, va_list args)
{
    if (level == LIBBPF_WARN) {
        vsnprintf(last_complaint, sizeof last_complaint, format, args);
        last_complaint[strcspn(last_complaint, "\n")] = '\0';
    }
    return 0;
}

/* Returns one line that says why the program cannot be in the kernel, given
 * the error number, for the caller to free. */
static char *
explain(const char *step, int error)
{
    char *s = explain_environment();

    return s ? s : vmlat_guest_asprintf(
        "%s BPF programs: %s%s%s%s", step, vmlat_guest_strerror(error),
        last_complaint[0] ? " (" : "", last_complaint,
        last_complaint[0] ? ")" : "");
}

/* Names. */

/* Calls 'cb' for each function of the kernel and of its modules. */
static void
for_each_symbol(void (*cb)(uint64_t address, const char *name, void *aux),
                void *aux)
{
    FILE *file = fopen(KALLSYMS, "r");
    char line[512];

    while (file && fgets(line, sizeof line, file)) {
        unsigned long long address;
        char name[256];
        char type;

        if (sscanf(line, "%llx %c %255s", &address, &type, name) == 3
            && strchr("tTwW", type)) {
            cb(address, name, aux);
        }
    }
    if (file) {
        fclose(file);
    }
}

/* Takes note that the kernel has the function 'name' if it is a candidate: the
 * compiler may have added ".isra.0" or ".constprop.0" to that. */
static void
find_candidate(uint64_t address __attribute__((unused)), const char *name,
               void *program_)
{
    struct vmlat_guest_program *program = program_;
    size_t n = strcspn(name, ".");
    const char *suffix = name + n;

    if (strlen(name) >= MAX_NAME
        || (*suffix && strncmp(suffix, ".isra.", 6)
            && strncmp(suffix, ".constprop.", 11))) {
        return;
    }
    for (size_t i = 0; i < N_FUNCTIONS * MAX_CANDIDATES; i++) {
        struct symbol *symbol = &program->attach[i / MAX_CANDIDATES]
                                        .symbols[i % MAX_CANDIDATES];

        if (strlen(symbol->name) == n && !strncmp(symbol->name, name, n)
            && (!*suffix || !symbol->full[0])) {
            memcpy(symbol->full, name, strlen(name) + 1);
        }
    }
}

static void
find_candidates(struct vmlat_guest_program *program)
{
    for (size_t i = 0; i < N_FUNCTIONS; i++) {
        struct attach *attach = &program->attach[i];
        const char *s = functions[i].candidates;

        for (size_t j = 0; j < MAX_CANDIDATES && *s; j++) {
            size_t n = strcspn(s, " ");

            memcpy(attach->symbols[j].name, s, n);
            s += n + strspn(s + n, " ");
        }
    }
    for_each_symbol(find_candidate, program);
}

static void
find_function(uint64_t address, const char *name, void *program_)
{
    struct vmlat_guest_program *program = program_;

    for (size_t i = program->n_looked_up; i < program->n_addresses; i++) {
        struct address *a = &program->addresses[i];

        if (address <= a->address && address >= a->start && address) {
            a->start = address;
            snprintf(a->name, sizeof a->name, "%.*s",
                     (int) strcspn(name, "."), name);
        }
    }
}

static const struct address *
get_address(const struct vmlat_guest_program *program, uint64_t address)
{
    for (size_t i = 0; i < program->n_addresses; i++) {
        if (program->addresses[i].address == address) {
            return &program->addresses[i];
        }
    }
    return NULL;
}

/* Looks up the 'n' 'addresses', as far as there is room for them.  Reads the
 * kernel's symbols at most once, which takes a while. */
static void
look_up(struct vmlat_guest_program *program, const uint64_t *addresses,
        size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (addresses[i] && program->n_addresses < MAX_ADDRESSES
            && !get_address(program, addresses[i])) {
            program->addresses[program->n_addresses++].address = addresses[i];
        }
    }
    if (program->n_addresses > program->n_looked_up) {
        for_each_symbol(find_function, program);
        program->n_looked_up = program->n_addresses;
    }
}

const char *
vmlat_guest_program_function(struct vmlat_guest_program *program,
                             uint64_t address)
{
    const struct address *a;

    look_up(program, &address, 1);
    a = get_address(program, address);
    return a && a->name[0] ? a->name : NULL;
}

size_t
vmlat_guest_program_stack(struct vmlat_guest_program *program, int32_t id,
                          const char *names[VMLAT_GUEST_STACK_DEPTH])
{
    uint64_t addresses[VMLAT_GUEST_STACK_DEPTH];
    size_t n = 0;

    if (id < 0
        || bpf_map_lookup_elem(bpf_map__fd(program->skel->maps.stacks), &id,
                               addresses)) {
        return 0;
    }
    look_up(program, addresses, VMLAT_GUEST_STACK_DEPTH);
    for (size_t i = 0; i < VMLAT_GUEST_STACK_DEPTH && addresses[i]; i++) {
        const struct address *a = get_address(program, addresses[i]);

        /* The innermost are this program itself and what called it. */
        if (n || !a || strncmp(a->name, "bpf_", 4)) {
            names[n++] = a && a->name[0] ? a->name : "?";
        }
    }
    return n;
}

static void
find_reasons(struct vmlat_guest_program *program, const struct btf *btf)
{
    static const char prefix[] = "SKB_DROP_REASON_";
    int id = btf__find_by_name_kind(btf, "skb_drop_reason", BTF_KIND_ENUM);
    const struct btf_type *t = id > 0 ? btf__type_by_id(btf, id) : NULL;

    for (size_t i = 0; t && i < btf_vlen(t); i++) {
        const struct btf_enum *e = &btf_enum(t)[i];
        const char *s = btf__name_by_offset(btf, e->name_off);

        if (s && e->val >= 0 && e->val < MAX_REASONS
            && !program->reasons[e->val]) {
            if (!strncmp(s, prefix, strlen(prefix))) {
                s += strlen(prefix);
            }
            program->reasons[e->val] = vmlat_guest_asprintf("%s", s);
        }
    }
}

const char *
vmlat_guest_program_reason(const struct vmlat_guest_program *program,
                           uint32_t reason)
{
    return (reason && reason < MAX_REASONS ? program->reasons[reason]
            : NULL);
}

/* Loading. */

static struct bpf_program *
find_program(const struct vmlat_guest_program *program, size_t i,
             enum mode mode)
{
    char name[MAX_NAME];

    snprintf(name, sizeof name, "%s_%s", functions[i].id,
             mode == MODE_FENTRY ? "fentry" : "kprobe");
    return bpf_object__find_program_by_name(program->skel->obj, name);
}

/* Returns the second program of function 'i', NULL if it has one only. */
static struct bpf_program *
find_second(const struct vmlat_guest_program *program, size_t i,
            enum mode mode)
{
    char name[MAX_NAME];

    if (functions[i].times == ONCE || mode != MODE_FENTRY) {
        return NULL;
    }
    snprintf(name, sizeof name, "%s_fentry_again", functions[i].id);
    return bpf_object__find_program_by_name(program->skel->obj, name);
}

/* Returns the number of arguments of the tracepoint 'name', 0 if unknown. */
static int
tracepoint_n_args(const struct btf *btf, const char *name)
{
    const struct btf_type *t;
    char type[MAX_NAME];
    int id;

    snprintf(type, sizeof type, "btf_trace_%s", name);
    id = btf__find_by_name_kind(btf, type, BTF_KIND_TYPEDEF);
    t = id > 0 ? btf__type_by_id(btf, id) : NULL;
    t = t ? btf__type_by_id(btf, t->type) : NULL;
    t = t && btf_is_ptr(t) ? btf__type_by_id(btf, t->type) : NULL;
    return t && btf_is_func_proto(t) ? btf_vlen(t) - 1 : 0;
}

static void
put_why_not(struct attach *attach, enum mode mode, int error)
{
    size_t n = strlen(attach->why_not);

    snprintf(attach->why_not + n, sizeof attach->why_not - n,
             "%sno %s (%s)", n ? ", " : "",
             mode == MODE_FENTRY ? "fentry" : "kprobe",
             vmlat_guest_strerror(error));
}

/* Chooses what function 'i' is attached to, and how: at the best in the way
 * that 'mode' of its struct attach says. */
static void
choose_target(struct vmlat_guest_program *program, size_t i)
{
    struct attach *attach = &program->attach[i];

    attach->target = NULL;
    for (size_t j = 0; j < MAX_CANDIDATES && !attach->target; j++) {
        const struct symbol *symbol = &attach->symbols[j];

        if (symbol->full[0]) {
            struct bpf_program *again = find_second(program, i, attach->mode);

            attach->target = symbol->full;
            if (attach->mode == MODE_FENTRY
                && (strchr(symbol->full, '.')
                    || bpf_program__set_attach_target(
                        find_program(program, i, MODE_FENTRY), 0,
                        symbol->full)
                    || (again && bpf_program__set_attach_target(
                            again, 0, symbol->full)))) {
                attach->mode = MODE_KPROBE;
            }
        }
    }
    if (!attach->target) {
        attach->target = functions[i].candidates;
        attach->mode = MODE_NONE;
        snprintf(attach->why_not, sizeof attach->why_not,
                 "not in this kernel");
    }
}

static bool
is_attached(const struct vmlat_guest_program *program,
            enum function_number function)
{
    return program->attach[function].mode < MODE_NONE;
}

/* Returns the protocols whose arrival is seen. */
static uint8_t
delivered(const struct vmlat_guest_program *program,
          enum function_number icmp, enum function_number tcp,
          enum function_number udp)
{
    return ((is_attached(program, icmp) ? VMLAT_GUEST_ICMP : 0)
            | (is_attached(program, tcp) ? VMLAT_GUEST_TCP : 0)
            | (is_attached(program, udp) ? VMLAT_GUEST_UDP : 0));
}

/* Opens and loads the object with what the modes of 'program->attach' ask for.
 * Returns 0 or a positive errno value. */
static int
load(struct vmlat_guest_program *program, const struct btf *btf,
     struct vmlat_guest_config *config)
{
    struct vmlat_guest_bpf *skel = program->skel = vmlat_guest_bpf__open();
    int error;

    if (!skel) {
        return errno;
    }
    skel->rodata->kfree_skb_has_reason
        = tracepoint_n_args(btf, "kfree_skb") >= 3;
    skel->rodata->consume_skb_has_location
        = tracepoint_n_args(btf, "consume_skb") >= 2;
    for (size_t i = 0; i < N_FUNCTIONS; i++) {
        struct attach *attach = &program->attach[i];

        if (!(functions[i].protocols & config->protocols)) {
            attach->mode = MODE_NOT_NEEDED;
        } else {
            choose_target(program, i);
        }
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
    config->has_ip_out = ((is_attached(program, FUNCTION_ip_out4) ? 1 : 0)
                          | (is_attached(program, FUNCTION_ip_out6) ? 2 : 0));
    config->deliver4 = delivered(program, FUNCTION_icmp4, FUNCTION_tcp4,
                                 FUNCTION_udp4);
    config->deliver6 = delivered(program, FUNCTION_icmp6, FUNCTION_tcp6,
                                 FUNCTION_udp6);
    memcpy((void *) &skel->rodata->config, config, sizeof *config);
    if (!config->stacks) {
        bpf_map__set_max_entries(skel->maps.stacks, 1);
    }

    error = -vmlat_guest_bpf__load(skel);
    if (error) {
        vmlat_guest_bpf__destroy(skel);
        program->skel = NULL;
    }
    return error;
}

/* Returns 0 if this kernel can attach a program to the beginning of a
 * function, else a positive errno value.  Tried with the first function that
 * there is. */
static int
probe_fentry(const struct vmlat_guest_program *program, const struct btf *btf)
{
    /* r0 = 0; exit. */
    static const struct bpf_insn insns[] = {
        { .code = BPF_ALU64 | BPF_MOV | BPF_K },
        { .code = BPF_JMP | BPF_EXIT },
    };

    for (size_t i = 0; i < N_FUNCTIONS; i++) {
        const char *symbol = program->attach[i].symbols[0].full;
        int id = (symbol[0] && !strchr(symbol, '.')
                  ? btf__find_by_name_kind(btf, symbol, BTF_KIND_FUNC) : -1);
        int fd, link, error;

        if (id <= 0) {
            continue;
        }

        LIBBPF_OPTS(bpf_prog_load_opts, options,
                    .expected_attach_type = BPF_TRACE_FENTRY,
                    .attach_btf_id = id);
        fd = bpf_prog_load(BPF_PROG_TYPE_TRACING, "vmlat_probe", "GPL",
                           insns, N_ELEMENTS(insns), &options);
        if (fd < 0) {
            return -fd;
        }
        link = bpf_raw_tracepoint_open(NULL, fd);
        error = link < 0 ? -link : 0;
        if (!error) {
            close(link);
        }
        close(fd);
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
downgrade(struct vmlat_guest_program *program, enum mode mode, int error)
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

void
vmlat_guest_program_detach(struct vmlat_guest_program *program)
{
    for (size_t i = 0; i < N_FUNCTIONS; i++) {
        struct attach *attach = &program->attach[i];

        bpf_link__destroy(attach->again);
        bpf_link__destroy(attach->link);
        attach->link = attach->again = NULL;
    }
    if (program->skel) {
        vmlat_guest_bpf__detach(program->skel);
    }
}

static void
unload(struct vmlat_guest_program *program)
{
    vmlat_guest_program_detach(program);
    vmlat_guest_bpf__destroy(program->skel);
    program->skel = NULL;
}

/* Attaches the second program of function 'i', if it has one.  If that does
 * not work, the first one goes on by itself. */
static void
attach_second(struct vmlat_guest_program *program, size_t i)
{
    struct attach *attach = &program->attach[i];
    struct bpf_program *again = find_second(program, i, attach->mode);

    attach->why_once[0] = '\0';
    if (again) {
        attach->again = bpf_program__attach(again);
        if (!attach->again) {
            snprintf(attach->why_once, sizeof attach->why_once,
                     "no second fentry (%s)", vmlat_guest_strerror(errno));
        }
    } else if (functions[i].times == TWICE) {
        snprintf(attach->why_once, sizeof attach->why_once,
                 "kprobes cannot interrupt each other");
    }
}

/* Attaches the functions.  Returns false if some could not be, and have to be
 * loaded in another mode. */
static bool
attach_functions(struct vmlat_guest_program *program)
{
    for (size_t i = 0; i < N_FUNCTIONS; i++) {
        struct attach *attach = &program->attach[i];
        struct bpf_program *p;
        int error;

        if (attach->mode >= MODE_NONE) {
            continue;
        }
        p = find_program(program, i, attach->mode);
        attach->link = (attach->mode == MODE_FENTRY
                        ? bpf_program__attach(p)
                        : bpf_program__attach_kprobe(p, false,
                                                     attach->target));
        if (!attach->link) {
            error = errno;
            if (attach->mode == MODE_FENTRY) {
                downgrade(program, MODE_FENTRY, error);
            } else {
                put_why_not(attach, MODE_KPROBE, error);
                attach->mode = MODE_NONE;
            }
            return false;
        }
        attach_second(program, i);
    }
    return true;
}

/* Loads 'program' and attaches all that can be attached.  Kernels without
 * function tracing tell so at one or the other step only, so this tries.
 * Returns 0 or a positive errno value, and in the latter case stores what did
 * not work in '*step'. */
static int
load_and_attach(struct vmlat_guest_program *program, const struct btf *btf,
                struct vmlat_guest_config *config, const char **step)
{
    int error = probe_fentry(program, btf);

    if (error) {
        downgrade(program, MODE_FENTRY, error);
        error = probe_kprobe();
        if (error) {
            downgrade(program, MODE_KPROBE, error);
        }
    }
    for (;;) {
        error = load(program, btf, config);
        if (error) {
            if (downgrade(program, MODE_FENTRY, error)
                || downgrade(program, MODE_KPROBE, error)) {
                continue;
            }
            *step = "loading";
            return error;
        }
        if (attach_functions(program)) {
            error = -vmlat_guest_bpf__attach(program->skel);
            if (error) {
                unload(program);
                *step = "attaching";
            }
            return error;
        }
        unload(program);
    }
}

static int
handle_packet(void *program_, void *data, size_t size)
{
    struct vmlat_guest_program *program = program_;

    if (size >= sizeof(struct vmlat_guest_packet)) {
        program->cb(data, program->aux);
    }
    /* An error ends the turn; this packet is read all the same. */
    return --program->budget > 0 ? 0 : -EAGAIN;
}

char *
vmlat_guest_program_load(struct vmlat_guest_config *config,
                         vmlat_guest_packet_cb *cb, void *aux,
                         struct vmlat_guest_program **programp)
{
    const struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };
    struct vmlat_guest_program *program;
    const char *step = "reading the BTF for";
    struct btf *btf;
    int error;

    *programp = NULL;
    libbpf_set_print(keep_complaint);
    libbpf_set_strict_mode(LIBBPF_STRICT_ALL);

    /* Linux 5.10 counts the memory of maps as locked memory. */
    setrlimit(RLIMIT_MEMLOCK, &unlimited);
    btf = btf__load_vmlinux_btf();
    if (!btf) {
        return explain(step, errno);
    }

    program = vmlat_guest_calloc(1, sizeof *program);
    program->cb = cb;
    program->aux = aux;
    find_reasons(program, btf);
    find_candidates(program);
    error = load_and_attach(program, btf, config, &step);
    btf__free(btf);
    if (!error) {
        program->ring = ring_buffer__new(
            bpf_map__fd(program->skel->maps.events), handle_packet, program,
            NULL);
        if (!program->ring) {
            error = errno;
            step = "reading from";
        }
    }
    if (error) {
        vmlat_guest_program_unload(program);
        return explain(step, error);
    }
    *programp = program;
    return NULL;
}

void
vmlat_guest_program_unload(struct vmlat_guest_program *program)
{
    if (program) {
        ring_buffer__free(program->ring);
        unload(program);
        for (size_t i = 0; i < MAX_REASONS; i++) {
            free(program->reasons[i]);
        }
        free(program);
    }
}

/* Using it. */

bool
vmlat_guest_program_poll(struct vmlat_guest_program *program, int timeout_ms)
{
    program->budget = MAX_TURN;
    ring_buffer__poll(program->ring, timeout_ms);
    if (program->budget > 0) {
        /* What was submitted without waking up. */
        ring_buffer__consume(program->ring);
    }
    return program->budget <= 0;
}

void
vmlat_guest_program_count(const struct vmlat_guest_program *program,
                          uint64_t counters[VMLAT_GUEST_N_COUNTERS])
{
    int n_cpus = libbpf_num_possible_cpus();
    uint64_t *values;

    memset(counters, 0, VMLAT_GUEST_N_COUNTERS * sizeof *counters);
    if (n_cpus <= 0) {
        return;
    }
    values = vmlat_guest_calloc(n_cpus, sizeof *values);
    for (uint32_t i = 0; i < VMLAT_GUEST_N_COUNTERS; i++) {
        if (!bpf_map_lookup_elem(bpf_map__fd(program->skel->maps.counters),
                                 &i, values)) {
            for (int cpu = 0; cpu < n_cpus; cpu++) {
                counters[i] += values[cpu];
            }
        }
    }
    free(values);
    counters[VMLAT_GUEST_CNT_EXPIRED] += program->n_expired;
}

/* Returns whether two programs look at what 'name' does: each sees what comes
 * while the other one runs. */
static bool
is_one_of_two(const struct vmlat_guest_program *program, const char *name)
{
    char other[MAX_NAME];

    for (size_t i = 0; i < N_FUNCTIONS; i++) {
        snprintf(other, sizeof other, "%s_fentry", functions[i].id);
        if (!strcmp(name, other) && program->attach[i].why_once[0]) {
            return false;
        }
    }
    snprintf(other, sizeof other, "%s_again", name);
    return (strstr(name, "_again")
            || bpf_object__find_program_by_name(program->skel->obj, other));
}

uint64_t
vmlat_guest_program_missed(const struct vmlat_guest_program *program)
{
    struct bpf_program *p;
    uint64_t missed = 0;

    bpf_object__for_each_program (p, program->skel->obj) {
        struct bpf_prog_info info;
        uint32_t length = sizeof info;

        memset(&info, 0, sizeof info);
        if (bpf_program__fd(p) >= 0
            && !is_one_of_two(program, bpf_program__name(p))
            && !bpf_obj_get_info_by_fd(bpf_program__fd(p), &info, &length)) {
            missed += info.recursion_misses;
        }
    }
    return missed;
}

void
vmlat_guest_program_expire(struct vmlat_guest_program *program, uint64_t ns)
{
    int fd = bpf_map__fd(program->skel->maps.followed);
    struct vmlat_guest_packet packet;
    uint64_t keys[2], *prev = NULL;
    size_t i = 0;

    /* The next key is taken before this one is deleted. */
    if (bpf_map_get_next_key(fd, NULL, &keys[0])) {
        return;
    }
    do {
        uint64_t *key = &keys[i % 2];
        uint64_t last = 0;

        prev = bpf_map_get_next_key(fd, key, &keys[(i + 1) % 2]) ? NULL : key;
        if (!bpf_map_lookup_elem(fd, key, &packet)) {
            for (size_t j = 0; j < VMLAT_GUEST_MARKS; j++) {
                last = packet.times[j] > last ? packet.times[j] : last;
            }
            if (last < ns && !bpf_map_delete_elem(fd, key)) {
                program->n_expired++;
            }
        }
        i++;
    } while (prev && i < 4 * 8192);
}

bool
vmlat_guest_program_attachment(const struct vmlat_guest_program *program,
                               size_t i, struct vmlat_guest_attachment *a)
{
    memset(a, 0, sizeof *a);
    if (i < N_ELEMENTS(tracepoints)) {
        a->target = tracepoints[i];
        a->how = "tp_btf";
        return true;
    }
    for (size_t j = 0, n = N_ELEMENTS(tracepoints); j < N_FUNCTIONS; j++) {
        const struct attach *attach = &program->attach[j];

        if (attach->mode != MODE_NOT_NEEDED && n++ == i) {
            a->target = attach->target;
            a->without = functions[j].without;
            if (attach->mode == MODE_NONE) {
                a->why_not = attach->why_not;
            } else {
                a->how = attach->mode == MODE_FENTRY ? "fentry" : "kprobe";
                a->why_not = attach->why_once[0] ? attach->why_once : NULL;
                a->without = (a->why_not
                              ? "packets that interrupt others may lack a mark"
                              : NULL);
            }
            return true;
        }
    }
    return false;
}
