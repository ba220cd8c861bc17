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
#include "vmlat-db.h"

#include <string.h>

#include "openvswitch/shash.h"
#include "ovsdb-idl.h"
#include "smap.h"
#include "sset.h"
#include "util.h"
#include "vswitch-idl.h"

/* The daemon's own connection to the Open vSwitch database. */
static struct ovsdb_idl *idl;

/* Interfaces by name, as of 'index_seqno'. */
struct db_iface {
    const struct ovsrec_interface *iface;
    const struct ovsrec_bridge *bridge;
};
static struct shash ifaces = SHASH_INITIALIZER(&ifaces);
static struct sset bridges = SSET_INITIALIZER(&bridges);

/* Bridges by the type of a tunnel that they have; NULL if several do. */
static struct shash tunnels = SHASH_INITIALIZER(&tunnels);

static unsigned int index_seqno;

/* As of the last vmlat_db_changed(). */
static unsigned int seen_seqno;

void
vmlat_db_created(struct ovsdb_idl *new_idl,
                 const struct ovsdb_idl_class *class)
{
    if (class == &ovsrec_idl_class && !idl) {
        idl = new_idl;
    }
}

bool
vmlat_db_keeps(const struct ovsdb_idl_column *column)
{
    return column == &ovsrec_interface_col_external_ids;
}

const struct smap *
vmlat_db_other_config(void)
{
    const struct ovsrec_open_vswitch *cfg
        = idl ? ovsrec_open_vswitch_first(idl) : NULL;

    return cfg ? &cfg->other_config : NULL;
}

const struct ovsdb_idl *
vmlat_db_idl(void)
{
    return idl;
}

bool
vmlat_db_changed(void)
{
    unsigned int seqno = idl ? ovsdb_idl_get_seqno(idl) : 0;

    if (seqno == seen_seqno) {
        return false;
    }
    seen_seqno = seqno;
    return true;
}

/* The names of the devices that all tunnels of a type share in a datapath of
 * the kernel begin so. */
static const struct {
    const char *prefix;
    const char *type;
} tunnel_devices[] = {
    { "vxlan_sys_", "vxlan" },
    { "genev_sys_", "geneve" },
    { "gre_sys", "gre" },
    { "ip6gre_sys", "ip6gre" },
    { "erspan_sys", "erspan" },
    { "ip6erspan_sys", "ip6erspan" },
    { "gtpu_sys_", "gtpu" },
    { "bareudp_sys_", "bareudp" },
};

/* Notes that 'bridge' has an interface of 'type'. */
static void
index_tunnel(const char *type, const struct ovsrec_bridge *bridge)
{
    struct shash_node *node = shash_find(&tunnels, type);

    if (!node) {
        shash_add(&tunnels, type, bridge);
    } else if (node->data != bridge) {
        node->data = NULL;
    }
}

/* Returns the bridge whose tunnels share the device 'name', NULL if it is no
 * such device or several bridges do. */
static const struct ovsrec_bridge *
find_tunnel(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(tunnel_devices); i++) {
        const char *prefix = tunnel_devices[i].prefix;

        if (!strncmp(name, prefix, strlen(prefix))) {
            return shash_find_data(&tunnels, tunnel_devices[i].type);
        }
    }
    return NULL;
}

/* Brings 'ifaces' and 'bridges' up to date.  Rows stay where they are until
 * the sequence number changes. */
static void
update_index(void)
{
    const struct ovsrec_bridge *bridge;

    if (!idl || ovsdb_idl_get_seqno(idl) == index_seqno) {
        return;
    }
    index_seqno = ovsdb_idl_get_seqno(idl);
    shash_clear_free_data(&ifaces);
    shash_clear(&tunnels);
    sset_clear(&bridges);
    OVSREC_BRIDGE_FOR_EACH (bridge, idl) {
        sset_add(&bridges, bridge->name);
        for (size_t i = 0; i < bridge->n_ports; i++) {
            const struct ovsrec_port *port = bridge->ports[i];

            for (size_t j = 0; j < port->n_interfaces; j++) {
                struct db_iface *di = xmalloc(sizeof *di);

                di->iface = port->interfaces[j];
                di->bridge = bridge;
                index_tunnel(di->iface->type, bridge);
                if (!shash_add_once(&ifaces, di->iface->name, di)) {
                    free(di);
                }
            }
        }
    }
}

void
vmlat_db_port_lookup(const char *name, struct vmlat_db_port *port)
{
    const struct db_iface *di;
    const struct smap *ids;

    memset(port, 0, sizeof *port);
    update_index();
    di = shash_find_data(&ifaces, name);
    if (!di) {
        const struct ovsrec_bridge *bridge = find_tunnel(name);

        port->bridge = bridge ? bridge->name : NULL;
        return;
    }

    ids = &di->iface->external_ids;
    port->bridge = di->bridge->name;
    port->iface_id = smap_get(ids, "iface-id");
    port->attached_mac = smap_get(ids, "attached-mac");
    port->vm_uuid = smap_get(ids, "vm-uuid");
    port->role = smap_get(ids, "vmlat-role");
    port->vm = (smap_get(ids, "vm-name") ? smap_get(ids, "vm-name")
                : port->iface_id ? port->iface_id
                : port->vm_uuid ? port->vm_uuid
                : port->attached_mac);
}

bool
vmlat_db_is_bridge(const char *name)
{
    update_index();
    return sset_contains(&bridges, name);
}
