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
#include "vmlat-bypass-db.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/vswitch-idl.h"
#include "packets.h"
#include "smap.h"
#include "util.h"
#include "vmlat-db.h"
#include "vmlat-port.h"

#define TUN_FLAGS_FILE "/sys/class/net/%s/tun_flags"

/* Types of interfaces that are neither a VM's nor internal. */
static const char *const nic_types[] = {
    "dpdk", "afxdp", "afxdp-nonpmd", "vxlan", "geneve", "gre", "ip6gre",
    "erspan", "ip6erspan", "gtpu", "bareudp", "stt", "lisp",
};

static bool
is_nic_type(const char *type)
{
    for (size_t i = 0; i < ARRAY_SIZE(nic_types); i++) {
        if (!strcmp(type, nic_types[i])) {
            return true;
        }
    }
    return false;
}

/* Returns whether 'name' is a tap device, whoever made it. */
static bool
is_tap(const char *name)
{
    char *path;
    bool tap;

    if (strchr(name, '/')) {
        return false;
    }
    path = xasprintf(TUN_FLAGS_FILE, name);
    tap = !access(path, F_OK);
    free(path);
    return tap;
}

static enum vmlat_bypass_port_kind
port_kind(const struct vmlat_bypass_port *port, const char *type)
{
    struct vmlat_db_port db;
    enum vmlat_role role;

    if (!strcmp(type, "internal") || !strcmp(port->name, port->bridge)) {
        return VMLAT_BYPASS_PORT_INTERNAL;
    } else if (!strcmp(type, "patch")) {
        return VMLAT_BYPASS_PORT_PATCH;
    }
    vmlat_db_port_lookup(port->name, &db);
    if (db.role && vmlat_role_from_name(db.role, &role)) {
        return (role == VMLAT_ROLE_VM ? VMLAT_BYPASS_PORT_VM
                : role == VMLAT_ROLE_WIRE ? VMLAT_BYPASS_PORT_NIC
                : VMLAT_BYPASS_PORT_OTHER);
    } else if (port->vhost || db.vm || port->tap) {
        return VMLAT_BYPASS_PORT_VM;
    } else if (is_nic_type(type) || !type[0] || !strcmp(type, "system")) {
        return VMLAT_BYPASS_PORT_NIC;
    }
    return VMLAT_BYPASS_PORT_OTHER;
}

static void
read_port(struct vmlat_bypass_port *port, const struct ovsrec_interface *iface,
          const struct ovsrec_port *p, const struct ovsrec_bridge *bridge)
{
    const char *type = iface->type ? iface->type : "";
    struct vmlat_db_port db;

    memset(port, 0, sizeof *port);
    vmlat_db_port_lookup(iface->name, &db);
    port->name = xstrdup(iface->name);
    port->bridge = xstrdup(bridge->name);
    port->type = xstrdup(type);
    port->vm = nullable_xstrdup(db.vm);
    port->userspace = (bridge->datapath_type
                       && !strcmp(bridge->datapath_type, "netdev"));
    port->vhost = (!strcmp(type, "dpdkvhostuser")
                   || !strcmp(type, "dpdkvhostuserclient"));
    port->tap = (!strcmp(type, "tap")
                 || ((!type[0] || !strcmp(type, "system"))
                     && strcmp(iface->name, bridge->name)
                     && is_tap(iface->name)));
    port->kind = port_kind(port, type);
    port->error = nullable_xstrdup(iface->error);
    port->devargs = nullable_xstrdup(smap_get(&iface->options,
                                              "dpdk-devargs"));
    port->peer = nullable_xstrdup(smap_get(&iface->options, "peer"));
    port->tag = p->n_tag ? *p->tag : 0;
    port->link_known = iface->link_state != NULL;
    port->link_up = port->link_known && !strcmp(iface->link_state, "up");
    port->admin_known = iface->admin_state != NULL;
    port->admin_up = port->admin_known && !strcmp(iface->admin_state, "up");
    port->ifindex = iface->n_ifindex ? *iface->ifindex : 0;
    port->has_mac = (iface->mac_in_use
                     && eth_addr_from_string(iface->mac_in_use, &port->mac));
    port->has_vm_mac = (db.attached_mac
                        && eth_addr_from_string(db.attached_mac,
                                                &port->vm_mac));
    for (size_t i = 0; i < bridge->n_mirrors; i++) {
        port->mirror |= bridge->mirrors[i]->output_port == p;
    }
}

void
vmlat_bypass_db_read(struct vmlat_bypass_ovs *ovs)
{
    const struct ovsdb_idl *idl = vmlat_db_idl();
    const struct ovsrec_open_vswitch *cfg;
    const struct ovsrec_bridge *bridge;
    size_t allocated = 0;

    memset(ovs, 0, sizeof *ovs);
    cfg = idl ? ovsrec_open_vswitch_first(idl) : NULL;
    if (!cfg) {
        return;
    }
    ovs->dpdk_init = (smap_get_bool(&cfg->other_config, "dpdk-init", false)
                      || !strcmp(smap_get_def(&cfg->other_config, "dpdk-init",
                                              ""), "try"));
    ovs->dpdk_initialized = cfg->dpdk_initialized;
    OVSREC_BRIDGE_FOR_EACH (bridge, idl) {
        for (size_t i = 0; i < bridge->n_ports; i++) {
            const struct ovsrec_port *p = bridge->ports[i];

            for (size_t j = 0; j < p->n_interfaces; j++) {
                if (ovs->n_ports >= allocated) {
                    ovs->ports = x2nrealloc(ovs->ports, &allocated,
                                            sizeof *ovs->ports);
                }
                read_port(&ovs->ports[ovs->n_ports++], p->interfaces[j], p,
                          bridge);
            }
        }
    }
}
