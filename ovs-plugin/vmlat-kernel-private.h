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

#ifndef VMLAT_KERNEL_PRIVATE_H
#define VMLAT_KERNEL_PRIVATE_H 1

/* What the files of the kernel side share. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmlat-kernel.h"

/* Points where programs are attached, see vmlat-kernel-points.def. */
enum vmlat_kernel_hook {
#define VMLAT_HOOK(ID, NAME, LOST) VMLAT_HOOK_##ID,
#define VMLAT_TRY(ATTACH, TARGETS, PROGRAM)
#include "vmlat-kernel-points.def"
    VMLAT_N_HOOKS
};

/* How one of them went. */
struct vmlat_kernel_hook_state {
    char *how;                  /* "fentry ovs_vport_send", NULL if not. */
    char *why_not;              /* Reasons, also of what was tried before. */
    int fd;                     /* Of the program, -1 if not loaded. */
    uint64_t missed;            /* As of the last look. */
};

/* Symbols of the running kernel.  Immutable once read. */
struct vmlat_kernel_symbols;

struct vmlat_kernel_symbols *vmlat_kernel_symbols_read(void);
void vmlat_kernel_symbols_destroy(struct vmlat_kernel_symbols *);
const char *vmlat_kernel_symbols_find(const struct vmlat_kernel_symbols *,
                                      const char *name);
const char *vmlat_kernel_symbols_at(const struct vmlat_kernel_symbols *,
                                    uint64_t address, uint64_t *offset);
const char *vmlat_kernel_symbols_reason(const struct vmlat_kernel_symbols *,
                                        uint32_t reason);
bool vmlat_kernel_symbols_reason_value(const struct vmlat_kernel_symbols *,
                                       const char *name, uint32_t *value);

/* What one load of the programs has: attached programs, until they are
 * detached, and maps.  The maps stay until the next load.
 *
 * The thread makes it and gives it to the main thread, which reads the maps
 * and writes to 'devs' and 'config'.  Programs and links are the thread's. */
struct vmlat_kernel_loaded {
    /* Mapped memory of maps. */
    uint8_t *cpus;              /* 'n_cpus' values, each 'cpu_size' bytes. */
    size_t n_cpus, cpu_size;
    uint32_t n_blocks;          /* Of each CPU. */
    struct vmlat_bpf_dev *devs; /* VMLAT_BPF_DEVS. */
    struct vmlat_bpf_config *config;
    struct vmlat_bpf_stats *stats;
    size_t cpus_length, devs_length, config_length, stats_length;

    /* Other maps. */
    int drops, flows, handlers, upcalls, events, stacks;
    uint32_t max_flows;         /* 0 if flows cannot be measured. */
    size_t memory;              /* Bytes that all maps take. */

    struct vmlat_kernel_hook_state hooks[VMLAT_N_HOOKS];
    struct vmlat_kernel_symbols *symbols;

    struct vmlat_kernel_programs *programs; /* NULL once detached. */
};

/* What depends on settings when programs are loaded. */
struct vmlat_kernel_load_options {
    uint64_t max_histograms;
    uint32_t max_flows;
};

/* Loads and attaches what can be.  Returns NULL and sets '*errorp', which the
 * caller must free, if nothing can be measured, or if '*cancelled' became
 * true: then '*errorp' is NULL.  Takes up to seconds. */
struct vmlat_kernel_loaded *vmlat_kernel_load(
    const struct vmlat_kernel_load_options *, atomic_bool *cancelled,
    char **errorp);

/* Detaches all programs, which waits until none of them runs. */
void vmlat_kernel_unload(struct vmlat_kernel_loaded *);

/* Frees the maps, too. */
void vmlat_kernel_loaded_destroy(struct vmlat_kernel_loaded *);

/* Brings 'missed' of the hooks up to date. */
void vmlat_kernel_update_missed(struct vmlat_kernel_loaded *);

const char *vmlat_kernel_hook_name(enum vmlat_kernel_hook);
const char *vmlat_kernel_hook_lost(enum vmlat_kernel_hook);

/* Ports, as a scan found them. */
struct vmlat_kernel_scan_port {
    char *name;
    char *type;                 /* "system", "internal", "vxlan", ... */
    char *dp;                   /* Name of the datapath. */
    uint32_t ifindex;           /* 0 if its network namespace is unknown. */
    bool is_tap;
};

struct vmlat_kernel_scan_dev {
    uint32_t ifindex;
    uint32_t netns;             /* Inode number of the network namespace. */
    uint16_t flags;             /* VMLAT_DEV_*. */
    size_t port;                /* In 'ports'. */
};

struct vmlat_kernel_scan {
    struct vmlat_kernel_scan_port *ports;
    size_t n_ports, allocated_ports;
    struct vmlat_kernel_scan_dev *devs;
    size_t n_devs, allocated_devs;
};

/* Looks for the ports of all datapaths of the kernel and for the devices below
 * them.  Any thread; takes a few ms per 1,000 ports. */
struct vmlat_kernel_scan *vmlat_kernel_scan(void);
void vmlat_kernel_scan_destroy(struct vmlat_kernel_scan *);

/* Makes the ports of vmlat those of 'scan'; main thread. */
void vmlat_kernel_ports_apply(const struct vmlat_kernel_scan *)
    OVS_EXCLUDED(vmlat_ports_mutex);

/* Makes 'devs' those of the last scan applied; main thread. */
void vmlat_kernel_devs_write(struct vmlat_bpf_dev *devs);

/* Reading.  All of this is for the main thread, apart from what it says. */

/* Gives the readers what to read, NULL for nothing.  Forgets what
 * vmlat_kernel_clear() remembers. */
void vmlat_kernel_read_set(struct vmlat_kernel_loaded *);
void vmlat_kernel_read_clear(void);

/* Ends upcalls that a handler dropped, and counts them.  For the thread. */
void vmlat_kernel_upcalls_sweep(struct vmlat_kernel_loaded *);

/* Adds an event; any thread. */
void vmlat_kernel_event_add(const struct vmlat_bpf_event *);

#endif /* vmlat-kernel-private.h */
