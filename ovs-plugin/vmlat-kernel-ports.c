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

/* The ports of the kernel's datapaths.
 *
 * A scan asks the kernel, not OVS's dpif layer: opening a datapath there has
 * effects on the whole daemon, and does not tell the devices' numbers. */

#include <config.h>
#include "vmlat-kernel-private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/net_namespace.h>
#include <linux/openvswitch.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hash.h"
#include "netlink.h"
#include "netlink-socket.h"
#include "openvswitch/hmap.h"
#include "openvswitch/ofpbuf.h"
#include "openvswitch/vlog.h"
#include "util.h"
#include "vmlat-port.h"

VLOG_DEFINE_THIS_MODULE(vmlat_kernel_ports);

static struct vlog_rate_limit rl = VLOG_RATE_LIMIT_INIT(5, 5);

/* The local port of the datapath that ofproto makes: no packets go there. */
#define OFPROTO_DP "ovs-system"

/* How many devices may be stacked, a VLAN upon a bond for example. */
#define MAX_STACKED 4

/* Links. */

struct link {
    struct hmap_node node;      /* By 'ifindex'. */
    uint32_t ifindex;
    uint32_t master;            /* Device that it is a member of, 0: none. */
    uint32_t lower;             /* Device that it is upon, 0: none. */
    char kind[16];              /* "vxlan", "" for hardware. */
};

static struct link *
find_link(const struct hmap *links, uint32_t ifindex)
{
    struct link *link;

    HMAP_FOR_EACH_WITH_HASH (link, node, hash_int(ifindex, 0), links) {
        if (link->ifindex == ifindex) {
            return link;
        }
    }
    return NULL;
}

static void
parse_kind(const struct nlattr *info, char *kind, size_t size)
{
    const struct nlattr *attr = nl_attr_find_nested(info, IFLA_INFO_KIND);

    if (attr) {
        ovs_strlcpy(kind, nl_attr_get_string(attr), size);
    }
}

static void
parse_link(const struct ofpbuf *reply, struct hmap *links)
{
    static const struct nl_policy policy[] = {
        [IFLA_LINK] = { .type = NL_A_U32, .optional = true },
        [IFLA_MASTER] = { .type = NL_A_U32, .optional = true },
        [IFLA_LINKINFO] = { .type = NL_A_NESTED, .optional = true },
        [IFLA_LINK_NETNSID] = { .type = NL_A_U32, .optional = true },
    };
    struct nlattr *attrs[ARRAY_SIZE(policy)];
    const struct ifinfomsg *ifinfo = ofpbuf_at(reply, NLMSG_HDRLEN,
                                               sizeof *ifinfo);
    struct link *link;

    if (!ifinfo || !nl_policy_parse(reply, NLMSG_HDRLEN + sizeof *ifinfo,
                                    policy, attrs, ARRAY_SIZE(policy))) {
        return;
    }
    link = xzalloc(sizeof *link);
    link->ifindex = ifinfo->ifi_index;
    if (attrs[IFLA_MASTER]) {
        link->master = nl_attr_get_u32(attrs[IFLA_MASTER]);
    }
    if (attrs[IFLA_LINKINFO]) {
        parse_kind(attrs[IFLA_LINKINFO], link->kind, sizeof link->kind);
    }
    /* For a veth this is the other end, which is not below it. */
    if (attrs[IFLA_LINK] && !attrs[IFLA_LINK_NETNSID]
        && (!strcmp(link->kind, "vlan") || !strcmp(link->kind, "macvlan")
            || !strcmp(link->kind, "ipvlan"))) {
        link->lower = nl_attr_get_u32(attrs[IFLA_LINK]);
    }
    hmap_insert(links, &link->node, hash_int(link->ifindex, 0));
}

static void
dump_links(struct hmap *links)
{
    uint64_t stub[NL_DUMP_BUFSIZE / 8];
    struct ofpbuf request, reply, buf;
    struct ifinfomsg *ifinfo;
    struct nl_dump dump;
    int error;

    ofpbuf_init(&request, 0);
    nl_msg_put_nlmsghdr(&request, sizeof *ifinfo, RTM_GETLINK, NLM_F_REQUEST);
    ofpbuf_put_zeros(&request, sizeof *ifinfo);
    nl_dump_start(&dump, NETLINK_ROUTE, &request);
    ofpbuf_uninit(&request);

    ofpbuf_use_stub(&buf, stub, sizeof stub);
    while (nl_dump_next(&dump, &reply, &buf)) {
        parse_link(&reply, links);
    }
    ofpbuf_uninit(&buf);
    error = nl_dump_done(&dump);
    if (error) {
        VLOG_WARN_RL(&rl, "cannot list network devices: %s",
                     ovs_strerror(error));
    }
}

/* Network namespaces.
 *
 * An internal port may have been moved to another one.  The kernel then gives
 * a number that only rtnetlink knows; the programs know the inode number. */

#define NETNS_FILE "/proc/self/ns/net"

/* Returns the number of the daemon's network namespace. */
static uint32_t
own_netns(void)
{
    struct stat s;

    return stat(NETNS_FILE, &s) ? 0 : s.st_ino;
}

/* Where namespaces with names are. */
static const char *netns_dirs[] = {
    "/run/netns",
    "/run/docker/netns",
};

/* Returns the number that the kernel has for namespace 'fd', -1 if none. */
static int
netns_id(int fd)
{
    static const struct nl_policy policy[] = {
        [NETNSA_NSID] = { .type = NL_A_U32 },
    };
    struct nlattr *attrs[ARRAY_SIZE(policy)];
    struct ofpbuf request, *reply;
    int id = -1;

    ofpbuf_init(&request, 0);
    nl_msg_put_nlmsghdr(&request, sizeof(struct rtgenmsg), RTM_GETNSID,
                        NLM_F_REQUEST);
    ofpbuf_put_zeros(&request, NLMSG_ALIGN(sizeof(struct rtgenmsg)));
    nl_msg_put_u32(&request, NETNSA_FD, fd);
    if (!nl_transact(NETLINK_ROUTE, &request, &reply)) {
        if (nl_policy_parse(reply, (NLMSG_HDRLEN
                                    + NLMSG_ALIGN(sizeof(struct rtgenmsg))),
                            policy, attrs, ARRAY_SIZE(policy))) {
            id = nl_attr_get_u32(attrs[NETNSA_NSID]);
        }
        ofpbuf_delete(reply);
    }
    ofpbuf_uninit(&request);
    return id;
}

/* Returns the inode number of the namespace that the kernel calls 'id', 0 if
 * it cannot be found. */
static uint32_t
find_netns(int id)
{
    uint32_t found = 0;

    for (size_t i = 0; i < ARRAY_SIZE(netns_dirs) && !found; i++) {
        DIR *dir = opendir(netns_dirs[i]);
        struct dirent *entry;

        while (dir && !found && (entry = readdir(dir)) != NULL) {
            int fd = openat(dirfd(dir), entry->d_name, O_RDONLY | O_CLOEXEC);
            struct stat s;

            if (fd >= 0) {
                if (entry->d_name[0] != '.' && netns_id(fd) == id
                    && !fstat(fd, &s)) {
                    found = s.st_ino;
                }
                close(fd);
            }
        }
        if (dir) {
            closedir(dir);
        }
    }
    return found;
}

/* Datapaths and their ports. */

/* Starts to dump all of 'family' by 'command'. */
static void
start_dump(struct nl_dump *dump, int family, uint8_t command, uint8_t version,
           int dp_ifindex)
{
    struct ovs_header *header;
    struct ofpbuf request;

    ofpbuf_init(&request, 0);
    nl_msg_put_genlmsghdr(&request, 0, family, NLM_F_REQUEST, command,
                          version);
    header = ofpbuf_put_zeros(&request, sizeof *header);
    header->dp_ifindex = dp_ifindex;
    nl_dump_start(dump, NETLINK_GENERIC, &request);
    ofpbuf_uninit(&request);
}

#define OVS_PAYLOAD (NLMSG_HDRLEN + GENL_HDRLEN + sizeof(struct ovs_header))

struct dp {
    int ifindex;
    char *name;
};

/* Returns the datapaths of the kernel, which the caller frees. */
static struct dp *
dump_dps(size_t *n)
{
    static const struct nl_policy policy[] = {
        [OVS_DP_ATTR_NAME] = { .type = NL_A_STRING, .max_len = IFNAMSIZ },
    };
    uint64_t stub[NL_DUMP_BUFSIZE / 8];
    struct ofpbuf reply, buf;
    struct dp *dps = NULL, *dp;
    size_t allocated = 0;
    struct nl_dump dump;
    int family = 0;

    *n = 0;
    if (nl_lookup_genl_family(OVS_DATAPATH_FAMILY, &family)) {
        return NULL;            /* The module is not loaded. */
    }
    start_dump(&dump, family, OVS_DP_CMD_GET, OVS_DATAPATH_VERSION, 0);
    ofpbuf_use_stub(&buf, stub, sizeof stub);
    while (nl_dump_next(&dump, &reply, &buf)) {
        const struct ovs_header *header
            = ofpbuf_at(&reply, NLMSG_HDRLEN + GENL_HDRLEN, sizeof *header);
        struct nlattr *attrs[ARRAY_SIZE(policy)];

        if (header && nl_policy_parse(&reply, OVS_PAYLOAD, policy, attrs,
                                      ARRAY_SIZE(policy))) {
            if (*n >= allocated) {
                dps = x2nrealloc(dps, &allocated, sizeof *dps);
            }
            dp = &dps[(*n)++];
            dp->ifindex = header->dp_ifindex;
            dp->name = xstrdup(nl_attr_get_string(attrs[OVS_DP_ATTR_NAME]));
        }
    }
    ofpbuf_uninit(&buf);
    nl_dump_done(&dump);
    return dps;
}

/* Names of tunnels: by the number that OVS's module gives to the type, by what
 * the kernel calls the kind of the device, and as in the database. */
static const struct {
    uint32_t type;
    const char *kind;
    const char *name;
} tunnels[] = {
    { OVS_VPORT_TYPE_GRE, "gretap", "gre" },
    { OVS_VPORT_TYPE_GRE, "gre", "gre" },
    { OVS_VPORT_TYPE_VXLAN, "vxlan", "vxlan" },
    { OVS_VPORT_TYPE_GENEVE, "geneve", "geneve" },
    { OVS_VPORT_TYPE_ERSPAN, "erspan", "erspan" },
    { OVS_VPORT_TYPE_IP6ERSPAN, "ip6erspan", "ip6erspan" },
    { OVS_VPORT_TYPE_IP6GRE, "ip6gretap", "ip6gre" },
    { OVS_VPORT_TYPE_GTPU, "gtp", "gtpu" },
    { OVS_VPORT_TYPE_BAREUDP, "bareudp", "bareudp" },
};

/* Returns the type of a port as in the database. */
static const char *
port_type(uint32_t type, const char *kind)
{
    if (type == OVS_VPORT_TYPE_INTERNAL) {
        return "internal";
    }
    for (size_t i = 0; i < ARRAY_SIZE(tunnels); i++) {
        if (type == tunnels[i].type
            || (type == OVS_VPORT_TYPE_NETDEV
                && !strcmp(kind, tunnels[i].kind))) {
            return tunnels[i].name;
        }
    }
    return "system";
}

static bool
is_tunnel(const char *type)
{
    return strcmp(type, "internal") && strcmp(type, "system");
}

static void
add_dev(struct vmlat_kernel_scan *scan, uint32_t ifindex, uint32_t netns,
        uint16_t flags, size_t port)
{
    if (scan->n_devs >= scan->allocated_devs) {
        scan->devs = x2nrealloc(scan->devs, &scan->allocated_devs,
                                sizeof *scan->devs);
    }
    scan->devs[scan->n_devs++] = (struct vmlat_kernel_scan_dev) {
        ifindex, netns, flags, port
    };
}

/* Adds the devices below 'link', which belongs to 'port'.  Returns true if
 * there are any. */
static bool
add_lower(struct vmlat_kernel_scan *scan, const struct hmap *links,
          const struct link *link, uint32_t netns, size_t port, int depth)
{
    bool is_aggregate = (!strcmp(link->kind, "bond")
                         || !strcmp(link->kind, "team"));
    const struct link *member;
    bool found = false;

    if (depth >= MAX_STACKED) {
        return false;
    }
    if (link->lower) {
        const struct link *lower = find_link(links, link->lower);

        if (lower) {
            bool through = add_lower(scan, links, lower, netns, port,
                                     depth + 1);

            add_dev(scan, lower->ifindex, netns,
                    VMLAT_DEV_LOWER | (through ? VMLAT_DEV_THROUGH : 0), port);
            found = true;
        }
    }
    if (is_aggregate) {
        HMAP_FOR_EACH (member, node, links) {
            if (member->master == link->ifindex) {
                add_lower(scan, links, member, netns, port, depth + 1);
                add_dev(scan, member->ifindex, netns, VMLAT_DEV_LOWER, port);
                found = true;
            }
        }
    }
    return found;
}

/* Adds the port whose device has number 'ifindex' in 'netns', which is 0 if it
 * is unknown. */
static void
add_port(struct vmlat_kernel_scan *scan, const struct hmap *links,
         const char *dp_name, const char *name, uint32_t type,
         uint32_t ifindex, uint32_t netns)
{
    const struct link *link = (netns == own_netns()
                               ? find_link(links, ifindex) : NULL);
    struct vmlat_kernel_scan_port *port;
    uint16_t flags = VMLAT_DEV_PORT;

    if (scan->n_ports >= scan->allocated_ports) {
        scan->ports = x2nrealloc(scan->ports, &scan->allocated_ports,
                                 sizeof *scan->ports);
    }
    port = &scan->ports[scan->n_ports++];
    port->name = xstrdup(name);
    port->type = xstrdup(port_type(type, link ? link->kind : ""));
    port->dp = xstrdup(dp_name);
    port->ifindex = netns ? ifindex : 0;
    port->is_tap = link && !strcmp(link->kind, "tun");
    if (!port->ifindex) {
        return;
    }

    if (type == OVS_VPORT_TYPE_INTERNAL) {
        flags |= VMLAT_DEV_INTERNAL;
    } else if (is_tunnel(port->type)) {
        flags |= VMLAT_DEV_TUNNEL;
    } else if (link && add_lower(scan, links, link, netns, scan->n_ports - 1,
                                 0)) {
        flags |= VMLAT_DEV_THROUGH;
    }
    if (port->is_tap) {
        flags |= VMLAT_DEV_TAP;
    }
    add_dev(scan, ifindex, netns, flags, scan->n_ports - 1);
}

static void
dump_ports(struct vmlat_kernel_scan *scan, const struct hmap *links,
           int family, const struct dp *dp)
{
    static const struct nl_policy policy[] = {
        [OVS_VPORT_ATTR_PORT_NO] = { .type = NL_A_U32 },
        [OVS_VPORT_ATTR_TYPE] = { .type = NL_A_U32 },
        [OVS_VPORT_ATTR_NAME] = { .type = NL_A_STRING, .max_len = IFNAMSIZ },
        [OVS_VPORT_ATTR_IFINDEX] = { .type = NL_A_U32, .optional = true },
        [OVS_VPORT_ATTR_NETNSID] = { .type = NL_A_U32, .optional = true },
    };
    uint64_t stub[NL_DUMP_BUFSIZE / 8];
    struct ofpbuf reply, buf;
    struct nl_dump dump;
    int error;

    start_dump(&dump, family, OVS_VPORT_CMD_GET, OVS_VPORT_VERSION,
               dp->ifindex);
    ofpbuf_use_stub(&buf, stub, sizeof stub);
    while (nl_dump_next(&dump, &reply, &buf)) {
        struct nlattr *attrs[ARRAY_SIZE(policy)];
        uint32_t ifindex, netns;
        const char *name;

        if (!nl_policy_parse(&reply, OVS_PAYLOAD, policy, attrs,
                             ARRAY_SIZE(policy))) {
            continue;
        }
        name = nl_attr_get_string(attrs[OVS_VPORT_ATTR_NAME]);
        if (!strcmp(name, OFPROTO_DP)) {
            continue;
        }
        ifindex = (attrs[OVS_VPORT_ATTR_IFINDEX]
                   ? nl_attr_get_u32(attrs[OVS_VPORT_ATTR_IFINDEX])
                   : if_nametoindex(name));
        netns = (attrs[OVS_VPORT_ATTR_NETNSID]
                 ? find_netns(nl_attr_get_u32(attrs[OVS_VPORT_ATTR_NETNSID]))
                 : own_netns());
        add_port(scan, links, dp->name, name,
                 nl_attr_get_u32(attrs[OVS_VPORT_ATTR_TYPE]), ifindex, netns);
    }
    ofpbuf_uninit(&buf);
    error = nl_dump_done(&dump);
    if (error && error != ENODEV) {
        VLOG_WARN_RL(&rl, "cannot list the ports of datapath %s: %s",
                     dp->name, ovs_strerror(error));
    }
}

struct vmlat_kernel_scan *
vmlat_kernel_scan(void)
{
    struct vmlat_kernel_scan *scan = xzalloc(sizeof *scan);
    struct hmap links = HMAP_INITIALIZER(&links);
    struct link *link;
    int family = 0;
    struct dp *dps;
    size_t n_dps;

    dps = dump_dps(&n_dps);
    if (n_dps && !nl_lookup_genl_family(OVS_VPORT_FAMILY, &family)) {
        dump_links(&links);
        for (size_t i = 0; i < n_dps; i++) {
            dump_ports(scan, &links, family, &dps[i]);
        }
    }
    HMAP_FOR_EACH_POP (link, node, &links) {
        free(link);
    }
    hmap_destroy(&links);
    for (size_t i = 0; i < n_dps; i++) {
        free(dps[i].name);
    }
    free(dps);
    return scan;
}

void
vmlat_kernel_scan_destroy(struct vmlat_kernel_scan *scan)
{
    if (scan) {
        for (size_t i = 0; i < scan->n_ports; i++) {
            free(scan->ports[i].name);
            free(scan->ports[i].type);
            free(scan->ports[i].dp);
        }
        free(scan->ports);
        free(scan->devs);
        free(scan);
    }
}

/* What the main thread makes of it. */

/* A device as it should be in 'devs'. */
struct device {
    struct hmap_node node;      /* By 'ifindex'. */
    uint32_t ifindex;
    uint32_t netns;
    uint16_t slot;
    uint16_t flags;
    bool written;
};
static struct hmap devices = HMAP_INITIALIZER(&devices);

static struct device *
find_device(uint32_t ifindex, uint32_t netns)
{
    struct device *device;

    HMAP_FOR_EACH_WITH_HASH (device, node, hash_int(ifindex, 0), &devices) {
        if (device->ifindex == ifindex && device->netns == netns) {
            return device;
        }
    }
    return NULL;
}

static void
add_device(uint32_t ifindex, uint32_t netns, uint16_t slot, uint16_t flags)
{
    struct device *device = find_device(ifindex, netns);

    if (!device) {
        device = xzalloc(sizeof *device);
        device->ifindex = ifindex;
        device->netns = netns;
        device->slot = slot;
        hmap_insert(&devices, &device->node, hash_int(ifindex, 0));
    }
    if (flags & VMLAT_DEV_PORT) {
        device->slot = slot;    /* Rather than a port above it. */
    }
    device->flags |= flags;
}

/* Marks the kernel ports that are not among those found. */
static void
mark_gone(struct vmlat_port *port, void *found_)
    OVS_REQUIRES(vmlat_ports_mutex)
{
    const bool *found = found_;

    if (port->is_kernel && port->is_present && !found[port->slot]) {
        vmlat_port_kernel_gone(port);
    }
}

void
vmlat_kernel_ports_apply(const struct vmlat_kernel_scan *scan)
{
    bool *found = xcalloc(VMLAT_MAX_PORTS, sizeof *found);
    uint16_t *slots = xcalloc(scan->n_ports + 1, sizeof *slots);
    unsigned int n_unslotted = 0;
    struct device *device;

    ovs_mutex_lock(&vmlat_ports_mutex);
    for (size_t i = 0; i < scan->n_ports; i++) {
        const struct vmlat_kernel_scan_port *sp = &scan->ports[i];
        struct vmlat_port *port
            = vmlat_port_kernel_found(sp->name, sp->type, sp->ifindex,
                                      sp->is_tap);

        if (port) {
            slots[i] = port->slot;
            found[port->slot] = true;
        } else {
            n_unslotted++;
        }
    }
    vmlat_port_kernel_set_unslotted(n_unslotted);
    vmlat_port_for_each(mark_gone, found);
    ovs_mutex_unlock(&vmlat_ports_mutex);

    HMAP_FOR_EACH_POP (device, node, &devices) {
        free(device);
    }
    for (size_t i = 0; i < scan->n_devs; i++) {
        const struct vmlat_kernel_scan_dev *dev = &scan->devs[i];

        if (slots[dev->port]) {
            add_device(dev->ifindex, dev->netns, slots[dev->port],
                       dev->flags);
        }
    }
    free(slots);
    free(found);
}

/* In the place of an entry that was removed: the programs look no further than
 * to the first free entry.  No device has this number. */
#define REMOVED UINT32_MAX

/* Stores to memory that BPF programs read at the same time. */
#define STORE(MEMBER, VALUE) \
    __atomic_store_n(&(MEMBER), VALUE, __ATOMIC_RELEASE)

static void
write_entry(struct vmlat_bpf_dev *e, const struct device *device)
{
    STORE(e->flags, 0);
    STORE(e->dev, 0);
    STORE(e->slot, device->slot);
    STORE(e->netns, device->netns);
    STORE(e->ifindex, device->ifindex);
    STORE(e->flags, device->flags);
}

void
vmlat_kernel_devs_write(struct vmlat_bpf_dev *devs)
{
    struct device *device;

    HMAP_FOR_EACH (device, node, &devices) {
        device->written = false;
    }
    for (size_t i = 0; i < VMLAT_BPF_DEVS; i++) {
        struct vmlat_bpf_dev *e = &devs[i];

        if (!e->ifindex || e->ifindex == REMOVED) {
            continue;
        }
        device = find_device(e->ifindex, e->netns);
        if (!device) {
            STORE(e->flags, 0);
            STORE(e->ifindex, REMOVED);
            STORE(e->dev, 0);
        } else {
            if (e->slot != device->slot || e->flags != device->flags) {
                write_entry(e, device);
            }
            device->written = true;
        }
    }
    HMAP_FOR_EACH (device, node, &devices) {
        for (size_t i = 0; !device->written && i < VMLAT_BPF_DEV_PROBES;
             i++) {
            struct vmlat_bpf_dev *e
                = &devs[VMLAT_BPF_DEV_HASH(device->ifindex + i)];

            if (!e->ifindex || e->ifindex == REMOVED) {
                write_entry(e, device);
                device->written = true;
            }
        }
        if (!device->written) {
            VLOG_WARN_RL(&rl, "device number %"PRIu32" is not measured: no "
                         "room in the table of devices", device->ifindex);
        }
    }

    /* Those removed that nothing comes after. */
    for (size_t i = 2 * VMLAT_BPF_DEVS; i > 0; i--) {
        struct vmlat_bpf_dev *e = &devs[VMLAT_BPF_DEV_HASH(i - 1)];

        if (e->ifindex == REMOVED && !devs[VMLAT_BPF_DEV_HASH(i)].ifindex) {
            STORE(e->ifindex, 0);
        }
    }
}
