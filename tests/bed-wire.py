#! /usr/bin/env python3
#
# Copyright (c) 2026 The vmlat authors.
#
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at:
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.

"""The far end of the test bed's wires: sends chosen frames, counts and prints
those that come in.  Run in a network namespace (bed_wire of testbed.sh)."""

import argparse
import ipaddress
import select
import socket
import struct
import sys
import time

ETH_P_ALL = 3
PACKET_OUTGOING = 4
PROTOCOLS = {"icmp": 1, "tcp": 6, "udp": 17, "icmp6": 58}


def mac(text):
    return bytes(int(part, 16) for part in text.split(":"))


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return total ^ 0xffff


def make_l4(args, src, dst, seq, length):
    proto = PROTOCOLS[args.proto]
    if args.proto in ("icmp", "icmp6"):
        kind = 8 if args.proto == "icmp" else 128
        head = struct.pack("!BBHHH", kind, 0, 0, args.icmp_id, seq & 0xffff)
        at = 2
    elif args.proto == "tcp":
        head = struct.pack("!HHIIBBHHH", args.sport, args.dport, seq, 0,
                           5 << 4, 0x10, 8192, 0, 0)
        at = 16
    else:
        head = struct.pack("!HHHH", args.sport, args.dport,
                           max(length, 8), 0)
        at = 6
    body = head + bytes(max(0, length - len(head)))
    pseudo = b""
    if args.proto != "icmp":
        if len(src) == 4:
            pseudo = src + dst + struct.pack("!BBH", 0, proto, len(body))
        else:
            pseudo = src + dst + struct.pack("!II", len(body), proto)
    csum = checksum(pseudo + body) or 0xffff
    return body[:at] + struct.pack("!H", csum) + body[at + 2:]


def make_frame(args, seq):
    """Returns the frame that 'args' describes, without FCS."""
    if args.hex:
        return bytes.fromhex(args.hex.replace(":", ""))
    src = ipaddress.ip_address(args.src_ip).packed
    dst = ipaddress.ip_address(args.dst_ip).packed
    proto = PROTOCOLS[args.proto]
    eth = mac(args.dst_mac) + mac(args.src_mac)
    tags = args.vlan or []
    for i, vid in enumerate(tags):
        tpid = 0x88a8 if i < len(tags) - 1 else 0x8100
        eth += struct.pack("!HH", tpid, vid)
    if len(src) == 4:
        room = args.size - len(eth) - 2 - 20
        l4 = make_l4(args, src, dst, seq, room)
        ip = struct.pack("!BBHHHBBH", 0x45, args.tos, 20 + len(l4),
                         seq & 0xffff, args.frag, args.ttl, proto,
                         0) + src + dst
        ip = ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:]
        frame = eth + struct.pack("!H", 0x0800) + ip + l4
    else:
        room = args.size - len(eth) - 2 - 40
        l4 = make_l4(args, src, dst, seq, room)
        ip = struct.pack("!IHBB", 6 << 28, len(l4), proto,
                         args.ttl) + src + dst
        frame = eth + struct.pack("!H", 0x86dd) + ip + l4
    return frame[:args.truncate] if args.truncate else frame


def open_socket(device):
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW,
                         socket.htons(ETH_P_ALL))
    try:
        sock.setsockopt(socket.SOL_SOCKET, 33, 1 << 24)  # SO_RCVBUFFORCE
    except OSError:
        pass
    sock.bind((device, ETH_P_ALL))
    return sock


def cmd_send(args):
    """Sends --count frames, --rate a second; prints how many."""
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    sock.bind((args.device, 0))
    start = time.monotonic()
    for seq in range(args.count):
        if args.rate:
            wait = start + seq / args.rate - time.monotonic()
            if wait > 0:
                time.sleep(wait)
        while True:
            try:
                sock.send(make_frame(args, seq))
                break
            except OSError as err:
                if err.errno != 105:  # ENOBUFS
                    raise
                time.sleep(0.001)
    print(args.count)


def cmd_recv(args):
    """Prints frames that come in as hex until --count or --seconds."""
    sock = open_socket(args.device)
    print("listening", file=sys.stderr, flush=True)
    end = time.monotonic() + args.seconds
    n = 0
    while n < args.count:
        left = end - time.monotonic()
        if left <= 0 or not select.select([sock], [], [], left)[0]:
            break
        frame, addr = sock.recvfrom(65536)
        if addr[2] == PACKET_OUTGOING:
            continue
        n += 1
        if not args.quiet:
            print(frame.hex(), flush=True)
    if args.quiet:
        print(n)
    return 0 if n >= args.count else 1


def cmd_traffic(args):
    """Sends --rate frames a second until --seconds (0: until killed) and
    swallows what comes back; then prints both numbers."""
    sock = open_socket(args.device)
    start = time.monotonic()
    sent = received = 0
    try:
        while True:
            now = time.monotonic() - start
            if args.seconds and now >= args.seconds:
                break
            while sent < now * args.rate:
                sock.send(make_frame(args, sent))
                sent += 1
            if select.select([sock], [], [], 0.001)[0]:
                addr = sock.recvfrom(65536)[1]
                received += addr[2] != PACKET_OUTGOING
    except (KeyboardInterrupt, OSError) as err:
        if isinstance(err, OSError):
            print("%s: %s" % (args.device, err), file=sys.stderr)
    print("sent=%d received=%d" % (sent, received), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    sub = parser.add_subparsers(dest="command", required=True)
    for name, function in (("send", cmd_send), ("recv", cmd_recv),
                           ("traffic", cmd_traffic)):
        cmd = sub.add_parser(name, help=function.__doc__)
        cmd.set_defaults(function=function)
        cmd.add_argument("device")
        cmd.add_argument("--count", type=int, default=1)
        cmd.add_argument("--seconds", type=float,
                         default=0 if name == "traffic" else 5)
        if name == "recv":
            cmd.add_argument("--quiet", action="store_true",
                             help="print the number only")
            continue
        cmd.add_argument("--rate", type=float,
                         default=1000 if name == "traffic" else 0)
        cmd.add_argument("--hex", help="the whole frame")
        cmd.add_argument("--src-mac", default="02:76:6d:00:01:00")
        cmd.add_argument("--dst-mac", default="02:76:6d:00:00:01")
        cmd.add_argument("--src-ip", default="192.168.100.254")
        cmd.add_argument("--dst-ip", default="192.168.100.1")
        cmd.add_argument("--proto", choices=PROTOCOLS, default="udp")
        cmd.add_argument("--sport", type=int, default=1000)
        cmd.add_argument("--dport", type=int, default=2000)
        cmd.add_argument("--icmp-id", type=int, default=1)
        cmd.add_argument("--size", type=int, default=64,
                         help="bytes of the frame, without FCS")
        cmd.add_argument("--truncate", type=int, default=0,
                         help="send only so many bytes of it")
        cmd.add_argument("--vlan", type=int, action="append",
                         help="outermost first")
        cmd.add_argument("--tos", type=int, default=0)
        cmd.add_argument("--ttl", type=int, default=64)
        cmd.add_argument("--frag", type=lambda text: int(text, 0), default=0,
                         help="the IPv4 flags and fragment offset word")
    args = parser.parse_args()
    return args.function(args)


if __name__ == "__main__":
    sys.exit(main())
