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

/* vmlat/drops. */

#include <config.h>
#include "vmlat-view.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "util.h"
#include "vmlat-command.h"
#include "vmlat-kernel.h"
#include "vmlat-window.h"

/* Returns true if 'drop' is selected. */
static bool
drop_matches(struct vmlat_view *view, const struct vmlat_kernel_drop *drop)
{
    return (vmlat_view_is_all(view)
            || vmlat_view_has_pair(view, vmlat_port_from_slot(drop->key.in),
                                   vmlat_port_from_slot(drop->key.out)));
}

static int
compare_drops(const void *a_, const void *b_)
{
    const struct vmlat_kernel_drop *a = a_;
    const struct vmlat_kernel_drop *b = b_;

    return (a->packets > b->packets ? -1 : a->packets < b->packets ? 1
            : memcmp(&a->key, &b->key, sizeof a->key));
}

static void
out_drop(struct vmlat_view *view, const struct vmlat_kernel_drop *drop,
         struct vmlat_out *out)
{
    const struct vmlat_bpf_drop_key *key = &drop->key;
    struct ds scratch = DS_EMPTY_INITIALIZER;

    vmlat_out_row(out);
    vmlat_out_slot(out, view, key->in);
    vmlat_out_slot(out, view, key->out);
    vmlat_out_string(out, vmlat_point_name(key->last));
    vmlat_out_string(out, vmlat_kernel_reason_name(key->reason, &scratch));
    ds_clear(&scratch);
    vmlat_out_string(out, (key->location
                           ? vmlat_kernel_function_name(key->location,
                                                        &scratch)
                           : "-"));
    vmlat_out_boolean(out, key->ended);
    vmlat_out_integer(out, drop->packets);
    ds_destroy(&scratch);
}

/* Shows where and why the kernel dropped packets. */
char *
vmlat_command_drops(const struct vmlat_args *args, struct ds *reply)
{
    struct vmlat_kernel_drop *drops;
    struct vmlat_view view;
    struct vmlat_out out;
    uint64_t left_out;
    char *error;
    size_t n;

    ovs_mutex_lock(&vmlat_ports_mutex);
    error = vmlat_view_init(&view, args, false);
    if (error || args->check_only) {
        goto exit;
    }

    n = vmlat_window_drops(args->base, &drops, &left_out);
    if (n) {
        qsort(drops, n, sizeof *drops, compare_drops);
    }
    vmlat_out_init(&out, args);
    vmlat_out_state(&out, args);
    vmlat_out_columns(&out, "port peer stage reason function measured "
                            "packets", NULL);
    for (size_t i = 0; i < n; i++) {
        if (drop_matches(&view, &drops[i])) {
            out_drop(&view, &drops[i], &out);
        }
    }
    if (left_out) {
        vmlat_out_row(&out);
        vmlat_out_string(&out, "-");
        vmlat_out_string(&out, "-");
        vmlat_out_string(&out, "-");
        vmlat_out_string(&out, "left out");
        vmlat_out_string(&out, "-");
        vmlat_out_none(&out);
        vmlat_out_integer(&out, left_out);
    }
    vmlat_out_finish(&out, reply);
    if (args->style.format == TF_TABLE) {
        vmlat_put_kernel_state(reply);
    }
    free(drops);

exit:
    ovs_mutex_unlock(&vmlat_ports_mutex);
    vmlat_view_destroy(&view);
    return error;
}
