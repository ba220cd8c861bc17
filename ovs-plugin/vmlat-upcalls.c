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

/* vmlat/upcalls. */

#include <config.h>
#include "vmlat-view.h"

#include <inttypes.h>
#include <stdlib.h>

#include "util.h"
#include "vmlat-command.h"
#include "vmlat-kernel.h"
#include "vmlat-window.h"

static int
compare_handlers(const void *a_, const void *b_)
{
    const struct vmlat_kernel_handler *a = a_;
    const struct vmlat_kernel_handler *b = b_;

    return a->tid < b->tid ? -1 : a->tid > b->tid;
}

/* The part of an upcall that a handler has a histogram of. */
struct part {
    const char *name;
    const struct vmlat_bpf_small_hist *hist;
};

#define N_PARTS 4

static void
handler_parts(const struct vmlat_bpf_handler *h, struct part parts[N_PARTS])
{
    parts[0] = (struct part) { "queue", &h->queue };
    parts[1] = (struct part) { "handling", &h->handling };
    parts[2] = (struct part) { "install", &h->install };
    parts[3] = (struct part) { "execute", &h->execute };
}

static void
out_part(struct vmlat_out *out, const struct vmlat_bpf_small_hist *h)
{
    vmlat_out_integer(out, h->packets);
    if (h->packets) {
        vmlat_out_ns(out, vmlat_kernel_small_percentile(h, 50));
        vmlat_out_ns(out, vmlat_kernel_small_percentile(h, 99));
        vmlat_out_ns(out, h->max);
    } else {
        vmlat_out_none(out);
        vmlat_out_none(out);
        vmlat_out_none(out);
    }
}

/* One row for programs, one for each part for people. */
static void
out_handler(const struct vmlat_kernel_handler *handler, struct vmlat_out *out)
{
    const struct vmlat_bpf_handler *h = &handler->handler;
    char *name = xasprintf("%.*s", (int) sizeof h->comm, h->comm);
    struct part parts[N_PARTS];

    handler_parts(h, parts);
    for (size_t i = 0; i < N_PARTS; i++) {
        if (!i || out->people) {
            vmlat_out_row(out);
            vmlat_out_string(out, name);
            vmlat_out_integer(out, handler->tid);
            vmlat_out_integer(out, h->received);
            vmlat_out_integer(out, h->executed);
            vmlat_out_integer(out, h->installed);
        }
        if (out->people) {
            vmlat_out_string(out, parts[i].name);
        }
        out_part(out, parts[i].hist);
    }
    free(name);
}

/* Shows what upcalls take, by handler thread. */
char *
vmlat_command_upcalls(const struct vmlat_args *args, struct ds *reply)
{
    struct vmlat_kernel_handler *handlers;
    struct vmlat_out out;
    size_t n;

    if (args->check_only) {
        return NULL;
    }
    n = vmlat_window_handlers(args->base, &handlers);
    if (n) {
        qsort(handlers, n, sizeof *handlers, compare_handlers);
    }
    vmlat_out_init(&out, args);
    vmlat_out_state(&out, args);
    vmlat_out_columns(&out, "handler tid received executed installed "
                            "queue_samples queue_p50_ns queue_p99_ns "
                            "queue_max_ns handling_samples handling_p50_ns "
                            "handling_p99_ns handling_max_ns install_samples "
                            "install_p50_ns install_p99_ns install_max_ns "
                            "execute_samples execute_p50_ns execute_p99_ns "
                            "execute_max_ns",
                            "handler tid received executed installed part "
                            "samples p50 p99 max");
    for (size_t i = 0; i < n; i++) {
        out_handler(&handlers[i], &out);
    }
    vmlat_out_finish(&out, reply);
    if (args->style.format == TF_TABLE) {
        vmlat_put_kernel_state(reply);
    }
    free(handlers);
    return NULL;
}
