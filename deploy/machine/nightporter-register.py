#!/usr/bin/env python3
"""Register with the night porter that this machine is about to sleep.

Runs on the machine just before it sleeps. Needs Python 3.7 and, to detect the
machine's own addresses, the command "ip". Settings are on the command line or in
the section [register] of a configuration file, whose keys are the long options.
The exit code is 0 only if the porter answered "OK.".
"""

import argparse
import configparser
import difflib
import json
import os
import random
import re
import socket
import subprocess
import sys
import time

DEFAULT_CONFIG = "/etc/nightporter/register.conf"
DEFAULT_PORT = 13717
ANSWER_LIMIT = 1024
FIRST_PAUSE = 0.25  # seconds
LAST_PAUSE = 1.0
SHORTEST_SEND = 1.0  # seconds for an attempt, unless less time is left
CHECKED = "checked: "  # prefix of the answer to a check that would be accepted
NUMBER = re.compile(r"[0-9]{1,5}\Z")
# Flags of addresses that are temporary or not usable yet.
PASSING = ("temporary", "deprecated", "tentative", "dadfailed")
# How long duplicate address detection may take: up to a second before and a second after
# the kernel's probe (RFC 4862 section 5.4), and longer on a busy machine.
TEST_TIME = 3.0
TEST_PAUSE = 0.2


class Failure(Exception):
    """An error that a retry cannot solve."""


class Busy(Exception):
    """The porter asked for a retry."""


def options():
    """Return the parser of the command line."""
    p = argparse.ArgumentParser(description="Register with the night porter that this machine is about to sleep.")
    p.add_argument("--config", metavar="FILE", help="settings (default: %s if it exists)" % DEFAULT_CONFIG)
    p.add_argument("--to", metavar="HOST[:PORT]", help="the porter (default port %d)" % DEFAULT_PORT)
    p.add_argument("--mac", help="default: of the interface that leads to the porter")
    p.add_argument("--wake-mac", metavar="MAC", help="of the card that wakes the machine; default: the card's permanent one")
    p.add_argument("--name", help="default: the host name")
    p.add_argument("--port", metavar="PORTS", help="ports to wake for at every address found: ssh,22/tcp,51820/udp,icmp")
    p.add_argument("--monitor", action="append", metavar="IP=PORTS", help="an address and its ports; may be repeated")
    p.add_argument("--token", help="better in the configuration file, which other users cannot read")
    p.add_argument("--idle-watts", type=float, metavar="WATTS")
    p.add_argument("--sleep-watts", type=float, metavar="WATTS")
    p.add_argument("--password", help="SecureOn password for magic packets")
    p.add_argument("--wake-from", metavar="PREFIXES", help="prefixes whose hosts may wake the machine (default: all)")
    p.add_argument("--retries", type=int, help="maximum number of retries (default: as long as the timeout allows)")
    p.add_argument("--timeout", type=float, metavar="SECONDS", help="fail after this time in total (default: 10)")
    p.add_argument("--at-shutdown", action="store_true", help="do nothing unless systemd is about to power off or halt")
    p.add_argument("--watch", action="store_true", help="register that the machine is up, so that the porter watches it")
    p.add_argument("--check", action="store_true",
                   help="print what would be sent, ask the porter whether it would accept it, register nothing")
    return p


def settings(argv):
    """Merge the command line over the configuration file."""
    args = options().parse_args(argv)
    path = args.config or DEFAULT_CONFIG
    if args.config or os.path.exists(path):
        merge(args, path)
    if not args.to:
        raise Failure("to: missing: expected the porter's HOST or HOST:PORT")
    if args.retries is None:
        args.retries = -1
    if args.timeout is None:
        args.timeout = 10.0
    return args


def merge(args, path):
    """Set options that the command line does not give from the file at path."""
    conf = configparser.ConfigParser(interpolation=None)
    try:
        with open(path, encoding="utf-8") as f:
            conf.read_file(f)
    except (OSError, configparser.Error, UnicodeDecodeError) as e:
        raise Failure("%s: %s" % (path, e)) from e
    numbers = {"idle_watts": float, "sleep_watts": float, "timeout": float, "retries": int}
    texts = {"to", "mac", "name", "port", "token", "password", "wake_from", "wake_mac"}
    for key, value in conf.items("register") if conf.has_section("register") else []:
        name = key.replace("-", "_")
        if name == "monitor":
            parsed = value.split()
        elif name in numbers:
            try:
                parsed = numbers[name](value)
            except ValueError:
                raise Failure("%s: %s: found %r: expected a number" % (path, key, value)) from None
        elif name in texts:
            parsed = value
        else:
            similar = difflib.get_close_matches(name, sorted(numbers) + sorted(texts) + ["monitor"], 1)
            raise Failure("%s: %s: unknown key" % (path, key) + "".join(": did you mean %s?" % s for s in similar))
        if getattr(args, name) is None and value != "":
            setattr(args, name, parsed)


def split_host_port(to):
    """Read HOST, HOST:PORT, [IPV6]:PORT or a bare IPv6 address."""
    host, port = to, str(DEFAULT_PORT)
    if to.startswith("["):
        host, _, rest = to[1:].partition("]")
        port = rest[1:] if rest.startswith(":") else port
    elif to.count(":") == 1:
        host, port = to.split(":")
    if not host or not NUMBER.match(port) or not 0 < int(port) < 65536:
        raise Failure("to: found %r: expected HOST or HOST:PORT" % to)
    return host, int(port)


def ports(text):
    """Split a list of ports. A bare number (TCP and UDP) is sent as a number."""
    entries = [p for p in text.replace(",", " ").split() if p]
    return [int(p) if NUMBER.match(p) else p for p in entries]


def ask_ip(*args):
    """Return the output of the command "ip" as parsed JSON."""
    try:
        out = subprocess.run(("ip", "-j") + args, check=True, timeout=5,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        return json.loads(out.stdout.decode())
    except (OSError, subprocess.SubprocessError, ValueError) as e:
        raise Failure("cannot detect this machine's own addresses (%s): give mac and monitor" % e) from e


def card_of(link):
    """Return the permanent MAC of an interface, or of the active interface of a bond; or None."""
    active = link.get("linkinfo", {}).get("info_data", {}).get("active_slave")
    if active:
        link = [entry for entry in ask_ip("-d", "link", "show", "dev", active) if entry.get("ifname")][0]
    return link.get("permaddr")  # iproute2 shows it only if it differs from the address


def under_test(address):
    """Report whether duplicate address detection of a global address is under way."""
    return address.get("scope") == "global" and address.get("tentative") and not address.get("dadfailed")


def settled(device, end):
    """Return the output of "ip" about an interface once no address is under test, or at the time end."""
    end = min(end, time.monotonic() + TEST_TIME)
    while True:
        links = ask_ip("-d", "addr", "show", "dev", device)
        link = [entry for entry in links if entry.get("ifname")][0]
        if time.monotonic() >= end or not any(map(under_test, link.get("addr_info", []))):
            return link
        time.sleep(TEST_PAUSE)


def identity(host, port, end):
    """Return the MAC, the permanent MAC if it differs, and the permanent global addresses of the interface to host."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as e:
        raise Failure("to: no address for %s: give the porter's IP address" % host) from e
    routes = ask_ip("route", "get", found[0][4][0].partition("%")[0])
    if routes[0].get("type") == "local":
        raise Failure("to: %s is this host itself: give the porter, and run this on the machine that sleeps" % host)
    link = settled(routes[0]["dev"], end)
    if link.get("link_type") != "ether":
        raise Failure("the route to %s uses %s, which has no Ethernet address: give mac and monitor"
                      % (host, link["ifname"]))
    addrs = [a["local"] for a in link.get("addr_info", [])
             if a.get("scope") == "global" and not any(a.get(flag) for flag in PASSING)]
    card = card_of(link)
    return link["address"], card if card != link["address"] else None, addrs


def describe(args, end):
    """Build the registration, not later than the time end."""
    host, port = split_host_port(args.to)
    body = {"mac": args.mac}
    if args.name or not args.mac:  # mac may be another machine's, which has another name
        body["name"] = args.name or socket.gethostname().partition(".")[0]
    if args.monitor:
        pairs = [m.partition("=") for m in args.monitor]
        body["monitor"] = [{"ip": ip, "port": ports(rest)} for ip, _, rest in pairs]
    elif not args.port:
        raise Failure("nothing would wake this machine: expected port (such as 22/tcp) or monitor")
    if not (args.mac and args.monitor):
        mac, card, addrs = identity(host, port, end)
        body["mac"] = args.mac or mac
        if card and not args.mac:  # mac may be another machine's, which has another card
            body["wake_mac"] = card
        if not args.monitor:
            body["monitor"] = [{"ip": ip, "port": ports(args.port)} for ip in addrs]
    for key in ("token", "idle_watts", "sleep_watts", "password", "wake_mac"):
        if getattr(args, key) is not None:
            body[key] = getattr(args, key)
    if args.watch:
        body["watch"] = True
    if args.wake_from:
        body["wake_from"] = args.wake_from.replace(",", " ").split()
    if args.check:
        body["check"] = True
    for entry in body["monitor"]:
        if not entry["port"]:
            print("%s has no ports: it is claimed while the machine sleeps, but nothing there wakes it"
                  % entry["ip"], file=sys.stderr)
    return body


def send(host, port, body, deadline):
    """Send the registration once and return the porter's answer."""
    with socket.create_connection((host, port), timeout=max(0.1, deadline - time.monotonic())) as s:
        s.settimeout(max(0.1, deadline - time.monotonic()))
        try:
            s.sendall(json.dumps(body).encode("utf-8"))
        except ConnectionError:
            pass  # the porter may have answered before it read everything
        answer = b""
        while len(answer) < ANSWER_LIMIT:
            part = s.recv(ANSWER_LIMIT - len(answer))
            if not part:
                break
            answer += part
            s.settimeout(max(0.1, deadline - time.monotonic()))
    text = answer.decode("utf-8", "replace")
    text = "".join(c if c.isprintable() else " " for c in text).strip()
    if body.get("check"):
        if text.startswith(CHECKED):
            return text[len(CHECKED):]
        if answer == b"OK.":
            raise Failure("the porter is older than this script: it has registered the machine, "
                          "and takes it for awake again later")
    if answer == b"OK.":
        return text
    if not text:
        raise OSError("the porter closed the connection without an answer")
    if text.endswith("try again"):
        raise Busy(text)
    raise Failure("the porter refused: " + text)


def send_retrying(args, body, deadline):
    """Send until the porter has answered, or no retry or no time is left."""
    host, port = split_host_port(args.to)
    pause = FIRST_PAUSE
    said = None  # the porter's last answer, which is a better error than a timeout
    left = args.retries  # negative: any number
    while True:
        end = deadline
        if left != 0:  # half of the time, so that a retry is possible if the porter is silent
            now = time.monotonic()
            end = min(deadline, now + max((deadline - now) / 2, SHORTEST_SEND))
        try:
            return send(host, port, body, end)
        except (OSError, Busy) as e:
            said = e if isinstance(e, Busy) else said
            wait = random.uniform(pause / 2, pause)  # random, so that several machines do not retry at the same time
            if left == 0 or time.monotonic() + wait >= deadline:
                raise Failure("%s: %s" % (args.to, said or e)) from e
            print("%s: %s: trying again" % (args.to, e), file=sys.stderr, flush=True)
        time.sleep(wait)
        pause = min(2 * pause, LAST_PAUSE)
        left -= 1


def powering_off():
    """Report whether systemd is powering the machine off, and not rebooting it."""
    try:
        out = subprocess.run(("systemctl", "list-jobs", "--no-legend", "--plain"), check=True, timeout=5,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE).stdout.decode()
    except (OSError, subprocess.SubprocessError) as e:
        print("cannot ask systemd whether it powers off (%s): registering" % e, file=sys.stderr)
        return True
    jobs = [line.split() for line in out.splitlines()]
    return any(job[1:3] in (["poweroff.target", "start"], ["halt.target", "start"]) for job in jobs)


def main(argv):
    """Register and return the exit code."""
    try:
        args = settings(argv)
        deadline = time.monotonic() + args.timeout
        if args.at_shutdown and not args.check and not powering_off():
            print("the machine does not power off: nothing to register")
            return 0
        body = describe(args, deadline)
        if args.check:
            shown = {k: "********" if k in ("token", "password") else v for k, v in body.items() if k != "check"}
            print(json.dumps(shown, indent=2), flush=True)
            args.retries = 0  # a user waits for the answer
        print(send_retrying(args, body, deadline))
    except Failure as e:
        print("nightporter-register: %s" % e, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
