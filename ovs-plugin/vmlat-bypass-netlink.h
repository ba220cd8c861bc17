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

#ifndef VMLAT_BYPASS_NETLINK_H
#define VMLAT_BYPASS_NETLINK_H 1

/* Dumps of tables that the kernel keeps, and parts of vmlat-bypass-host.c that
 * are files of their own.
 *
 * OVS's nl_dump_*() does not tell whether a table changed while it was dumped,
 * nor an error at its end. */

#include <linux/netlink.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "netlink.h"
#include "vmlat-bypass-facts.h"

struct ofpbuf;

/* Handles 'message', one entry of a table. */
typedef void vmlat_netlink_func(const struct nlmsghdr *message, void *aux);

/* Sends 'request', which the caller destroys, and hands each message of the
 * answer to 'handle'.  A table that changes meanwhile is dumped again, a few
 * times: then, 'restart' is called before, to drop what 'handle' has got so
 * far.  '*overrun' is set to true if the table kept changing, or was lost in
 * part, and otherwise left as it is.
 *
 * Returns 0 or a positive errno.  Logs nothing.  May block. */
int vmlat_netlink_dump(int protocol, struct ofpbuf *request,
                       void (*restart)(void *aux), vmlat_netlink_func *handle,
                       void *aux, bool *overrun);

/* Stores pointers to the attributes in 'message' behind a header of 'header'
 * bytes into the 'n' elements of 'attrs', by type, and NULL to the others.
 * Returns the header, or NULL if the message is too short for it. */
const void *vmlat_netlink_parse(const struct nlmsghdr *message, size_t header,
                                const struct nlattr *attrs[], size_t n);

/* The same, of attributes nested in 'nested', which may be NULL. */
void vmlat_netlink_parse_nested(const struct nlattr *nested,
                                const struct nlattr *attrs[], size_t n);

/* The same, of the 'size' bytes at 'p'. */
void vmlat_netlink_parse_attrs(const void *p, size_t size,
                               const struct nlattr *attrs[], size_t n);

/* Return the value of 'attr', or 0 if it is NULL or too short. */
uint32_t vmlat_netlink_u32(const struct nlattr *attr);
uint8_t vmlat_netlink_u8(const struct nlattr *attr);

/* Stores an address of 'family', IPv4 mapped, to '*ip'.  Returns false, and
 * stores all 0, if 'attr' is NULL or is none. */
bool vmlat_netlink_ip(int family, const struct nlattr *attr,
                      struct in6_addr *ip);

/* Copies a string of at most 'size' - 1 characters to 'dst': "" if 'attr' is
 * NULL. */
void vmlat_netlink_string(const struct nlattr *attr, char *dst, size_t size);

/* Notes in host->why_not that 'what' is missing because of 'error', a positive
 * errno. */
void vmlat_bypass_host_failed(struct vmlat_bypass_host *host,
                              const char *what, int error);

/* Parts of vmlat_bypass_host_read() in files of their own: drivers of the
 * links that '*host' has, routes, rules that choose among tables of routes,
 * whether there is NAT. */
void vmlat_bypass_host_read_drivers(struct vmlat_bypass_host *host);
void vmlat_bypass_host_read_routes(struct vmlat_bypass_host *host);
void vmlat_bypass_host_read_policies(struct vmlat_bypass_host *host);
void vmlat_bypass_host_read_nat(struct vmlat_bypass_host *host);

#endif /* vmlat-bypass-netlink.h */
