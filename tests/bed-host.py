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

"""What runs on the hosts and in the VMs of the test bed: talks through the
sockets of the network namespace that it runs in (bed-wire.py, on the other
hand, writes frames)."""

import argparse
import ctypes
import fcntl
import os
import select
import signal
import socket
import struct
import sys
import threading
import time


def stop(signum, frame):
    raise KeyboardInterrupt


def family(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def serve_tcp(listener):
    """Reads each connection to its end, then answers how many bytes came."""
    while True:
        conn, _ = listener.accept()

        def drain(conn=conn):
            total = 0
            try:
                while True:
                    data = conn.recv(1 << 20)
                    if not data:
                        break
                    total += len(data)
                conn.sendall(b"%d\n" % total)
            except OSError:
                pass
            conn.close()

        threading.Thread(target=drain, daemon=True).start()


def cmd_serve(args):
    """Sends UDP back, swallows TCP, on --port of all addresses."""
    udp = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    udp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
    # An answer comes from the address that was asked.
    udp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
    udp.bind(("::", args.port))
    tcp = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
    tcp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    tcp.bind(("::", args.port))
    tcp.listen(64)
    threading.Thread(target=serve_tcp, args=(tcp,), daemon=True).start()
    print("serving", flush=True)
    while True:
        try:
            data, info, _, peer = udp.recvmsg(65536, 256)
            # No interface in the answer: it goes as routes say.
            info = [(level, kind, value[:16] + bytes(4))
                    for level, kind, value in info
                    if kind == socket.IPV6_PKTINFO]
            udp.sendmsg([data], info, 0, peer)
        except OSError:
            pass


def cmd_talk(args):
    """Sends --rate UDP packets a second, in turn to each of --to, from
    --flows ports, until --seconds (0: until ended); then prints how many were
    sent and how many came back."""
    socks = []
    for i in range(args.flows):
        for to in args.to:
            sock = socket.socket(family(to), socket.SOCK_DGRAM)
            sock.setblocking(False)
            if args.source:
                sock.bind((args.source, 0))
            sock.connect((to, args.port))
            socks.append(sock)
    poll = select.poll()
    by_fd = {}
    for sock in socks:
        poll.register(sock, select.POLLIN)
        by_fd[sock.fileno()] = sock
    sent = failed = received = 0
    data = bytes(args.size)
    start = time.monotonic()
    try:
        while True:
            now = time.monotonic() - start
            if args.seconds and now >= args.seconds + args.linger:
                break
            until = min(now, args.seconds) if args.seconds else now
            while sent + failed < until * args.rate:
                try:
                    socks[(sent + failed) % len(socks)].send(data)
                    sent += 1
                except OSError:
                    failed += 1
            for fd, _ in poll.poll(1):
                try:
                    while True:
                        by_fd[fd].recv(65536)
                        received += 1
                except OSError:
                    pass
    except KeyboardInterrupt:
        pass
    print("sent=%d failed=%d received=%d" % (sent, failed, received),
          flush=True)


def cmd_stream(args):
    """Sends by TCP to --to for --seconds; prints Mbit/s."""
    sock = socket.socket(family(args.to[0]), socket.SOCK_STREAM)
    sock.settimeout(args.seconds + 10)
    sock.connect((args.to[0], args.port))
    data = bytes(1 << 16)
    start = time.monotonic()
    while time.monotonic() - start < args.seconds:
        sock.send(data)
    sock.shutdown(socket.SHUT_WR)
    total = b""
    while not total.endswith(b"\n"):
        part = sock.recv(100)
        if not part:
            break
        total += part
    seconds = time.monotonic() - start
    print("%.1f" % (int(total or b"0") * 8 / seconds / 1e6))


def cmd_tap(args):
    """A VM on a tap: makes tap --device here and tap eth0 in network
    namespace --namespace, and carries frames between them until ended."""
    def open_tap(name):
        fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(fd, 0x400454ca,     # TUNSETIFF, IFF_TAP | IFF_NO_PI
                    struct.pack("16sH22x", name.encode(), 0x1002))
        return fd

    here = open_tap(args.device)
    libc = ctypes.CDLL(None, use_errno=True)
    ns = os.open("/run/netns/" + args.namespace, os.O_RDONLY)
    if libc.setns(ns, 0x40000000):      # CLONE_NEWNET
        raise OSError(ctypes.get_errno(), "setns")
    there = open_tap("eth0")
    print("serving", flush=True)
    poll = select.poll()
    poll.register(here, select.POLLIN)
    poll.register(there, select.POLLIN)
    while True:
        for fd, _ in poll.poll():
            try:
                for _ in range(64):
                    os.write(there if fd == here else here,
                             os.read(fd, 65536))
            except OSError:
                # Nothing more to read, or the device is down.
                time.sleep(0)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    sub = parser.add_subparsers(dest="command", required=True)
    for name, function in (("serve", cmd_serve), ("talk", cmd_talk),
                           ("stream", cmd_stream), ("tap", cmd_tap)):
        cmd = sub.add_parser(name, help=function.__doc__)
        cmd.set_defaults(function=function)
        if name == "tap":
            cmd.add_argument("--device", required=True)
            cmd.add_argument("--namespace", required=True)
            continue
        cmd.add_argument("--port", type=int, default=7000)
        if name == "serve":
            continue
        cmd.add_argument("--to", action="append", required=True)
        cmd.add_argument("--seconds", type=float,
                         default=0 if name == "talk" else 2)
        if name == "talk":
            cmd.add_argument("--source")
            cmd.add_argument("--rate", type=float, default=500)
            cmd.add_argument("--flows", type=int, default=1)
            cmd.add_argument("--size", type=int, default=200)
            cmd.add_argument("--linger", type=float, default=0.5,
                             help="wait so long for the last answers")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, stop)
    try:
        return args.function(args)
    except KeyboardInterrupt:
        return 0


if __name__ == "__main__":
    sys.exit(main())
