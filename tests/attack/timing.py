#!/usr/bin/env python3
"""Measures whether time tells what bytes do not: another's attempt, or a deleted quiz, against an invented one.

    tests/attack/timing.py [--rounds 1000] [--server PROGRAM] [--database URL]

A student asks a server of its own for something hidden and for something invented, in turns, and the medians of each
kind of request are compared. Exits with 1 if any differs by 5 % or more; run it on a machine that does nothing else.
"""
import argparse, base64, http.client, json, os, pathlib, socket, sqlite3, statistics, struct, sys, time, uuid

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from attack import JSON, ROOT, Server


class Student:
    def __init__(self, server, handle):
        self.connection, self.port, self.token = server.connection(), server.port, None
        account = {"email": f"{handle}@example.com", "handle": handle, "password": "correct horse", "client": "NATIVE"}
        made = self.ask("mutation($i: RegisterInput!) { register(input: $i) { tokens { accessToken } errors { message } } }", {"i": account})
        self.token = made["register"]["tokens"]["accessToken"]

    def ask(self, query, variables=None):
        headers = dict(JSON, **({"authorization": f"Bearer {self.token}"} if self.token else {}))
        self.connection.request("POST", "/graphql", json.dumps({"query": query, "variables": variables or {}}), headers)
        answer = json.loads(self.connection.getresponse().read())
        self.code = answer.get("errors", [{}])[0].get("extensions", {}).get("code")
        return answer["data"]


class Socket:
    """A client of graphql-transport-ws (RFC 6455 with short text frames)."""

    def __init__(self, student):
        self.socket = socket.create_connection(("127.0.0.1", student.port), timeout=10)
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall((f"GET /graphql/ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n"
                             "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n").encode())
        self.reader = self.socket.makefile("rb")
        while self.reader.readline() not in (b"\r\n", b""):
            pass
        self.say({"type": "connection_init", "payload": {"authorization": f"Bearer {student.token}"}})
        assert self.hear()["type"] == "connection_ack"

    def say(self, message):
        data, mask = json.dumps(message).encode(), os.urandom(4)
        length = bytes([0x80 | len(data)]) if len(data) < 126 else b"\xfe" + struct.pack(">H", len(data))
        self.socket.sendall(b"\x81" + length + mask + bytes(byte ^ mask[i % 4] for i, byte in enumerate(data)))

    def hear(self):
        while True:
            kind, length = self.reader.read(2)
            if length == 126:
                length = struct.unpack(">H", self.reader.read(2))[0]
            data = self.reader.read(length)
            if kind & 0x0F == 8:
                raise ConnectionError(data[2:].decode())
            if kind & 0x0F == 1:
                return json.loads(data)

    def subscribe(self, query):
        name = uuid.uuid4().hex
        self.say({"type": "subscribe", "id": name, "payload": {"query": query}})
        while (message := self.hear()).get("id") != name:
            pass
        self.say({"type": "complete", "id": name})
        return json.dumps(message)


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rounds", type=int, default=1000)
    options.add_argument("--server", default=str(ROOT / "target/release/marmalade"))
    options.add_argument("--database", help="URL of an empty PostgreSQL database; SQLite without it")
    given = options.parse_args()
    server = Server(os.path.abspath(given.server), given.database)
    owner, other = Student(server, "owner"), Student(server, "other")
    quizzes = [quiz["id"] for quiz in owner.ask("{ quizzes(first: 2) { nodes { id } } }")["quizzes"]["nodes"]]
    start = "mutation($i: StartAttemptInput!) { startAttempt(input: $i) { attempt { id questions { id kind choices { id } } } } }"
    attempt = owner.ask(start, {"i": {"quizId": quizzes[0]}})["startAttempt"]["attempt"]
    question = next(question for question in attempt["questions"] if question["kind"] == "SINGLE_CHOICE")
    answer = f'questionId: "{question["id"]}", choiceId: "{question["choices"][0]["id"]}", seq: 1'
    kinds = [
        ("node", '{ node(id: "$ID") { id } }'),
        ("nodes", '{ nodes(ids: ["$ID"]) { id } }'),
        ("attempt", '{ attempt(id: "$ID") { id } }'),
        ("saveAnswer", 'mutation { saveAnswer(input: {attemptId: "$ID", %s}) { errors { code } } }' % answer),
        ("saveAnswers", 'mutation { saveAnswers(input: {attemptId: "$ID", answers: [{%s}]}) { errors { code } } }' % answer),
        ("submitAttempt", 'mutation { submitAttempt(input: {attemptId: "$ID", idempotencyKey: "a key of eight"}) { errors { code } } }'),
    ]
    hidden, invented = attempt["id"], "attempt_" + base64.urlsafe_b64encode(os.urandom(16)).decode().rstrip("=")
    measured = [(name, lambda query: other.ask(query), query, hidden, invented) for name, query in kinds]
    # A quiz that was deleted before anybody asked for it.
    raw = base64.urlsafe_b64decode(quizzes[1].removeprefix("quiz_") + "==")
    if not given.database:
        with sqlite3.connect(pathlib.Path(server.folder.name, "marmalade.db")) as db:
            assert db.execute("UPDATE quizzes SET deleted_at = 1 WHERE id = ?", (raw,)).rowcount == 1
        nothing = "quiz_" + invented.removeprefix("attempt_")
        for name, selection in (("standingChanged", "standing { rank }"), ("boardChanged", "standings { rank }")):
            query = 'subscription { %s(board: {quiz: {id: "$ID"}}) { totalCount %s } }' % (name, selection)
            measured.append((name, None, query, quizzes[1], nothing))
    worst = 0.0
    print(f"{'request':16} {'hidden':>10} {'invented':>10} {'difference':>11}   medians of {given.rounds} each, in turns")
    for name, send, query, there, nowhere in measured:
        # The server closes a socket that does not answer its pings, so each kind of stream gets its own.
        send = send or Socket(other).subscribe
        times = {there: [], nowhere: []}
        for n in range(-50, given.rounds):
            for id_ in ((there, nowhere), (nowhere, there))[n % 2]:
                text = query.replace("$ID", id_)
                began = time.perf_counter()
                reply = send(text)
                took = time.perf_counter() - began
                assert other.code == "NOT_FOUND" if not isinstance(reply, str) else "NOT_FOUND" in reply, (name, reply, other.code)
                if n >= 0:
                    times[id_].append(took)
        a, b = (statistics.median(times[id_]) * 1e6 for id_ in (there, nowhere))
        worst = max(worst, abs(a / b - 1))
        print(f"{name:16} {a:>7.0f} µs {b:>7.0f} µs {(a / b - 1) * 100:>+9.2f} %", flush=True)
    server.stop()
    sys.exit(1 if worst >= 0.05 else 0)


if __name__ == "__main__":
    main()
