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

#ifndef VMLAT_DB_H
#define VMLAT_DB_H 1

#include <stdbool.h>

/* What the Open vSwitch database says about ports.  Main thread only. */

struct ovsdb_idl;
struct ovsdb_idl_class;
struct ovsdb_idl_column;
struct smap;

/* A port as the database knows it.  Strings belong to the database and are
 * valid until the next time that ovs-vswitchd's main loop runs. */
struct vmlat_db_port {
    const char *bridge;         /* NULL if the database does not know it. */
    const char *vm;             /* VM's name for people, NULL if none. */
    const char *iface_id;       /* external_ids:iface-id, or NULL. */
    const char *attached_mac;   /* external_ids:attached-mac, or NULL. */
    const char *vm_uuid;        /* external_ids:vm-uuid, or NULL. */
    const char *role;           /* external_ids:vmlat-role, or NULL. */
};

/* Called when the daemon has created a connection of 'class' to a database. */
void vmlat_db_created(struct ovsdb_idl *, const struct ovsdb_idl_class *class);

/* Returns true if vmlat reads 'column', which OVS does not. */
bool vmlat_db_keeps(const struct ovsdb_idl_column *column);

/* Returns Open_vSwitch other_config, NULL if not connected. */
const struct smap *vmlat_db_other_config(void);

/* Returns the connection to the database, NULL if there is none yet. */
const struct ovsdb_idl *vmlat_db_idl(void);

/* True if the database may have changed since the last call. */
bool vmlat_db_changed(void);

/* Looks up the interface called 'name'.  Takes constant time. */
void vmlat_db_port_lookup(const char *name, struct vmlat_db_port *);

/* Returns true if there is a bridge called 'name'. */
bool vmlat_db_is_bridge(const char *name);

#endif /* vmlat-db.h */
