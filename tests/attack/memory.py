#!/usr/bin/env python3
"""Makes a server of its own hold memory, and shows how much it takes and gives back.

    tests/attack/memory.py [--server PROGRAM] [--only WORD] [--wait SECONDS]

Needs Python 3.9 and nothing else. The server (target/release/marmalade without --server) runs on an empty folder and a
free port of 127.0.0.1, a new one for each line of the table: what was done, what it was answered, and the resident
memory before it, at its peak, and a minute after everything was closed. The script fails if the memory at the peak is
over 128 MiB more than before, or over 64 MiB more a minute after.
"""
import argparse, base64, collections, contextlib, json, os, socket, struct, sys, threading, time

from attack import JSON, ROOT, Server

PEAK_KIB, LEFT_KIB = 128 * 1024, 64 * 1024
TEXT, LAST = 0x01, 0x80


def frame(payload, first=LAST | TEXT, announced=None):
    """A masked frame; it may announce more than it holds."""
    length = announced or len(payload)
    if length < 126:
        head = struct.pack("!BB", first, 0x80 | length)
    elif length < 65_536:
        head = struct.pack("!BBH", first, 0x80 | 126, length)
    else:
        head = struct.pack("!BBQ", first, 0x80 | 127, length)
    return head + bytes(4) + payload


def upgrade(server, token=None):
    """A socket and the status that the upgrade was answered with."""
    one = socket.create_connection(("127.0.0.1", server.port))
    one.settimeout(30)
    lines = ["GET /graphql/ws HTTP/1.1", "Host: x", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
             "Sec-WebSocket-Key: " + base64.b64encode(os.urandom(16)).decode(), "Sec-WebSocket-Protocol: graphql-transport-ws"]
    if token:
        lines.append(f"Authorization: Bearer {token}")
    head = b""
    try:
        one.sendall("\r\n".join(lines + ["", ""]).encode())
        while b"\r\n\r\n" not in head:
            part = one.recv(1)
            if not part:
                return one, "closed"
            head += part
    except ConnectionError:
        return one, "closed"
    return one, int(head.split()[1])


def initiated(server, closing, count, each=20):
    """Sockets of accounts, past their acknowledgement."""
    for token in list(accounts(server, count)):
        for _ in range(each):
            one, status = upgrade(server, token)
            closing.append(one)
            if status == 101:
                one.sendall(frame(b'{"type":"connection_init"}'))
                one.recv(1024)
            yield one


def accounts(server, count):
    query = "mutation($i: RegisterInput!) { register(input: $i) { tokens { accessToken } } }"
    for i in range(count):
        account = {"email": f"a{i}@example.com", "handle": f"account{i}", "password": "correct horse", "client": "NATIVE"}
        yield server.ask(query, {"i": account})["data"]["register"]["tokens"]["accessToken"]


def close_code(heard):
    """The code of a close frame, which short frames may come before."""
    while len(heard) >= 4:
        if heard[0] == 0x88:
            return struct.unpack("!H", heard[2:4])[0]
        heard = heard[2 + heard[1]:] if heard[1] < 126 else b""


def ended(sockets, patience):
    """What becomes of the sockets: the code they are closed with."""
    ends, open_ = time.monotonic() + patience, set(sockets)
    while open_ and time.monotonic() < ends:
        for one in list(open_):
            one.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                try:
                    heard = one.recv(65_536)
                    end = close_code(heard) if heard else "closed"
                except ConnectionError:
                    end = "reset"
                if end:
                    open_.discard(one)
                    yield end
        time.sleep(0.1)
    yield from ["open"] * len(open_)


SCENES = []


def scene(name):
    return lambda run: SCENES.append((name, run)) or run


def unfinished(sockets):
    """Each sends a megabyte of a message that never ends."""
    for one in sockets:
        with contextlib.suppress(OSError):
            one.sendall(frame(b"x" * 1_040_000, announced=1_048_000))


@scene("500 sockets before init, 1 MB unfinished")
def _(server, closing):
    sockets = [upgrade(server)[0] for _ in range(500)]
    closing.extend(sockets)
    unfinished(sockets)
    yield from ended(sockets, 5)


@scene("500 sockets of 25 accounts, 1 MB unfinished")
def _(server, closing):
    sockets = list(initiated(server, closing, 25))
    unfinished(sockets)
    yield from ended(sockets, 5)


@scene("500 sockets of 25 accounts, 60 KB dripping")
def _(server, closing):
    sockets = list(initiated(server, closing, 25))
    for one in sockets:
        with contextlib.suppress(OSError):
            one.sendall(frame(b"x" * 60_000, first=TEXT))
    for _ in range(20):
        for one in sockets:
            with contextlib.suppress(OSError):
                one.sendall(frame(b"x", first=0) + frame(b"", first=0x8A))
        time.sleep(1)
    yield from ended(sockets, 5)


@scene("3,000 sockets of one address")
def _(server, closing):
    for _ in range(3_000):
        one, status = upgrade(server)
        closing.append(one)
        yield status


@scene("100 sockets of one account")
def _(server, closing):
    token = next(accounts(server, 1))
    for _ in range(100):
        one, status = upgrade(server, token)
        closing.append(one)
        yield status


DEEP = "{ __schema { types { name description fields { name description args { name description } type { name kind } } } } }"


@scene("200 sockets that read nothing")
def _(server, closing):
    sockets = list(initiated(server, closing, 10))
    for one in sockets:
        for operation in range(32):
            ask = json.dumps({"type": "subscribe", "id": str(operation), "payload": {"query": DEEP}})
            with contextlib.suppress(OSError):
                one.sendall(frame(ask.encode()))
    time.sleep(30)
    yield from ended(sockets, 5)


@scene("500 connections that read nothing")
def _(server, closing):
    body = json.dumps({"query": DEEP}).encode()
    for _ in range(500):
        one = socket.create_connection(("127.0.0.1", server.port))
        closing.append(one)
        one.sendall(b"POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
    time.sleep(30)
    yield "sent"


@scene("200 sign-ins at once")
def _(server, closing):
    answers = []
    sign_in = 'mutation { signIn(input: {email: "x%d@example.com", password: "not this one"}) { errors { code } } }'
    crowd = [threading.Thread(target=lambda i=i: answers.append(server.send(json.dumps({"query": sign_in % i}), JSON)[0])) for i in range(200)]
    for one in crowd:
        one.start()
    for one in crowd:
        one.join()
    yield from answers


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--server", default=str(ROOT / "target/release/marmalade"))
    options.add_argument("--only", default="")
    options.add_argument("--wait", type=int, default=60)
    given = options.parse_args()
    bad = []
    print(f"{'what':46} {'before':>9} {'peak':>9} {'after':>9}  MiB, and the answers")
    for name, run in SCENES:
        if given.only not in name:
            continue
        server = Server(os.path.abspath(given.server), crowd=0)
        before, peak, stop, closing = server.memory(), [0], threading.Event(), []

        def watch():
            while not stop.wait(0.05):
                peak[0] = max(peak[0], server.memory())

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        try:
            answers = collections.Counter(run(server, closing))
            stop.set()
            watcher.join()
            for one in closing:
                one.close()
            time.sleep(given.wait)
            after = server.memory()
        finally:
            stop.set()
            server.stop()
        shown = ", ".join(f"{count} x {answer}" for answer, count in answers.most_common())
        print(f"{name:46} {before / 1024:9.1f} {peak[0] / 1024:9.1f} {after / 1024:9.1f}  {shown}", flush=True)
        if peak[0] - before > PEAK_KIB:
            bad.append(f"{name}: the memory grew by {(peak[0] - before) // 1024} MiB")
        if after - before > LEFT_KIB:
            bad.append(f"{name}: {(after - before) // 1024} MiB were not given back")
    print("\n".join(bad) or "the memory is bounded, and given back")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
