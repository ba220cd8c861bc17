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

/* In place of vmlat-kernel.c and its like when vmlat is built without BPF: the
 * kernel datapath cannot be measured. */

#include <config.h>
#include "vmlat-kernel.h"

#include <inttypes.h>

#include "openvswitch/compiler.h"
#include "openvswitch/dynamic-string.h"

bool
vmlat_kernel_is_supported(void)
{
    return false;
}

void
vmlat_kernel_start(const struct vmlat_filter *filter OVS_UNUSED)
{
    /* Nothing is measured. */
}

void
vmlat_kernel_configure(const struct vmlat_filter *filter OVS_UNUSED)
{
    /* Nothing is measured. */
}

void
vmlat_kernel_stop_rx(void)
{
    /* Nothing is measured. */
}

void
vmlat_kernel_stop(void)
{
    /* Nothing is measured. */
}

void
vmlat_kernel_clear(void)
{
    /* Nothing is measured. */
}

void
vmlat_kernel_run(void)
{
    /* Nothing to do. */
}

void
vmlat_kernel_wait(void)
{
    /* Nothing to wait for. */
}

void
vmlat_kernel_exit(void)
{
    /* Nothing to do. */
}

enum vmlat_kernel_state
vmlat_kernel_state(void)
{
    return VMLAT_KERNEL_FAILED;
}

const char *
vmlat_kernel_why_not(void)
{
    return "vmlat is built without BPF (configure --without-bpf): it does not "
           "measure the kernel datapath";
}

size_t
vmlat_kernel_points(struct vmlat_kernel_point **points)
{
    *points = NULL;
    return 0;
}

size_t
vmlat_kernel_memory(void)
{
    return 0;
}

void
vmlat_kernel_accounts_read(struct vmlat_account *accounts OVS_UNUSED)
{
    /* Nothing is measured. */
}

void
vmlat_kernel_pairs_read(vmlat_pair_cb *cb OVS_UNUSED, void *aux OVS_UNUSED)
{
    /* Nothing is measured. */
}

size_t
vmlat_kernel_pair_counts(struct vmlat_kernel_pair **pairs)
{
    *pairs = NULL;
    return 0;
}

size_t
vmlat_kernel_drops_read(struct vmlat_kernel_drop **drops, uint64_t *left_out)
{
    *drops = NULL;
    *left_out = 0;
    return 0;
}

const char *
vmlat_kernel_reason_name(uint32_t reason OVS_UNUSED,
                         struct ds *scratch OVS_UNUSED)
{
    return "unknown";
}

const char *
vmlat_kernel_function_name(uint64_t address OVS_UNUSED,
                           struct ds *scratch OVS_UNUSED)
{
    return "unknown";
}

size_t
vmlat_kernel_flows_read(struct vmlat_kernel_flow **flows, uint64_t *left_out)
{
    *flows = NULL;
    *left_out = 0;
    return 0;
}

size_t
vmlat_kernel_handlers_read(struct vmlat_kernel_handler **handlers)
{
    *handlers = NULL;
    return 0;
}

uint64_t
vmlat_kernel_small_percentile(const struct vmlat_bpf_small_hist *h OVS_UNUSED,
                              double p OVS_UNUSED)
{
    return 0;
}

uint64_t
vmlat_kernel_events_lost(void)
{
    return 0;
}

void
vmlat_kernel_events_were_records(uint64_t n OVS_UNUSED)
{
}

size_t
vmlat_kernel_events_read(struct vmlat_bpf_event **events, uint64_t *n_lost)
{
    *events = NULL;
    *n_lost = 0;
    return 0;
}

bool
vmlat_kernel_stack_format(int32_t stack OVS_UNUSED, struct ds *ds OVS_UNUSED)
{
    return false;
}

void
vmlat_kernel_libbpf_init(void)
{
    /* There is no libbpf. */
}

unsigned int
vmlat_kernel_generation(void)
{
    return 0;
}

long long int
vmlat_kernel_time_to_wall(uint64_t ns OVS_UNUSED)
{
    return 0;
}
