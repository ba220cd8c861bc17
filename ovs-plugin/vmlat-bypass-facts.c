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
#include "vmlat-bypass-facts.h"

#include <stdlib.h>
#include <string.h>

#include "util.h"

void
vmlat_bypass_dp_destroy(struct vmlat_bypass_dp *dp)
{
    for (size_t i = 0; i < dp->n; i++) {
        free(dp->rows[i].in);
        free(dp->rows[i].out);
    }
    free(dp->rows);
    free(dp->why_not);
}

void
vmlat_bypass_kernel_destroy(struct vmlat_bypass_kernel *kernel)
{
    free(kernel->why_not);
    free(kernel->without);
    free(kernel->ways);
    free(kernel->flows);
}

void
vmlat_bypass_host_destroy(struct vmlat_bypass_host *host)
{
    free(host->why_not);
    free(host->links);
    free(host->ips);
    free(host->routes);
    free(host->policies);
    free(host->neighbors);
}

void
vmlat_bypass_ovs_destroy(struct vmlat_bypass_ovs *ovs)
{
    for (size_t i = 0; i < ovs->n_ports; i++) {
        struct vmlat_bypass_port *port = &ovs->ports[i];

        free(port->name);
        free(port->bridge);
        free(port->type);
        free(port->vm);
        free(port->error);
        free(port->devargs);
        free(port->peer);
    }
    free(ovs->ports);
}

void
vmlat_bypass_facts_destroy(struct vmlat_bypass_facts *facts)
{
    vmlat_bypass_dp_destroy(&facts->dp);
    vmlat_bypass_kernel_destroy(&facts->kernel);
    vmlat_bypass_host_destroy(&facts->host);
    vmlat_bypass_ovs_destroy(&facts->ovs);
}

void
vmlat_bypass_ovs_clone(struct vmlat_bypass_ovs *dst,
                       const struct vmlat_bypass_ovs *src)
{
    *dst = *src;
    dst->ports = xcalloc(src->n_ports, sizeof *dst->ports);
    for (size_t i = 0; i < src->n_ports; i++) {
        const struct vmlat_bypass_port *from = &src->ports[i];
        struct vmlat_bypass_port *to = &dst->ports[i];

        *to = *from;
        to->name = xstrdup(from->name);
        to->bridge = xstrdup(from->bridge);
        to->type = xstrdup(from->type);
        to->vm = nullable_xstrdup(from->vm);
        to->error = nullable_xstrdup(from->error);
        to->devargs = nullable_xstrdup(from->devargs);
        to->peer = nullable_xstrdup(from->peer);
    }
}

const struct vmlat_bypass_link *
vmlat_bypass_link_find(const struct vmlat_bypass_host *host, uint32_t ifindex)
{
    for (size_t i = 0; ifindex && i < host->n_links; i++) {
        if (host->links[i].ifindex == ifindex) {
            return &host->links[i];
        }
    }
    return NULL;
}

const struct vmlat_bypass_link *
vmlat_bypass_link_find_name(const struct vmlat_bypass_host *host,
                            const char *name)
{
    for (size_t i = 0; i < host->n_links; i++) {
        if (!strcmp(host->links[i].name, name)) {
            return &host->links[i];
        }
    }
    return NULL;
}

const struct vmlat_bypass_port *
vmlat_bypass_port_find(const struct vmlat_bypass_ovs *ovs, const char *name)
{
    for (size_t i = 0; i < ovs->n_ports; i++) {
        if (!strcmp(ovs->ports[i].name, name)) {
            return &ovs->ports[i];
        }
    }
    return NULL;
}
