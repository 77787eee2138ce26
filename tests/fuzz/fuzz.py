#!/usr/bin/env python3
"""Sends generated operations to a server of its own and sees that none of them makes it fail.

    python3 -m venv venv && venv/bin/pip install -r tests/fuzz/requirements.txt
    venv/bin/python tests/fuzz/fuzz.py [--requests 100000] [--shapes 2000] [--jobs 2] [--seed 1] [--server PROGRAM] [--database URL]

hypothesis-graphql makes the shapes of operations from the committed schema.graphql: all fields, arguments, inputs,
aliases and inline fragments. It makes a few a second, so each shape is sent many times, every time with other values:
ids of objects that are there, of the student's own and of none, numbers at the edges, texts of all of Unicode. They are
sent as nobody, as a student, as an editor and as an admin to target/release/marmalade, whose limits are raised by
configuration. One in five is broken on purpose: cut, doubled, or with noise in it. It fails if any reply is a 5xx, if
`INTERNAL` or a panic is found in a reply or in the server's log, or if fewer than half of the operations were valid and
run. It prints how often each status and code came.
"""
import argparse, collections, http.client, json, multiprocessing, os, pathlib, random, re, subprocess, sys, tempfile, threading, time

import hypothesis
from graphql import (GraphQLEnumType, TypeInfo, TypeInfoVisitor, Visitor, build_schema, get_named_type, language as ast, parse,
                     print_ast, visit)
from hypothesis import HealthCheck, Phase, given, settings, strategies as st
from hypothesis_graphql import from_schema, nodes

ROOT = pathlib.Path(__file__).resolve().parents[2]
PASSWORD = "marmalade-demo"
STAFF = {"editor": "editor@demo.example", "admin": "admin@demo.example"}


class Client:
    def __init__(self, port):
        self.port, self.connection = port, None

    def send(self, body, token=None):
        headers = {"content-type": "application/json", "accept": "application/graphql-response+json"}
        if token:
            headers["authorization"] = f"Bearer {token}"
        for last in (False, True):
            try:
                self.connection = self.connection or http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
                self.connection.request("POST", "/graphql", body, headers)
                reply = self.connection.getresponse()
                return reply.status, reply.read().decode()
            except (OSError, http.client.HTTPException):
                self.connection = None
                if last:
                    raise

    def ask(self, query, variables=None, token=None):
        return json.loads(self.send(json.dumps({"query": query, "variables": variables or {}}), token)[1])["data"]

    def sign_in(self, email):
        query = "mutation($i: SignInInput!) { signIn(input: $i) { tokens { accessToken } errors { message } } }"
        payload = self.ask(query, {"i": {"email": email, "password": PASSWORD, "client": "NATIVE"}})["signIn"]
        if not payload["tokens"]:
            raise SystemExit(f"{email} can't sign in: {payload['errors']}")
        return payload["tokens"]["accessToken"]

    def register(self, handle):
        query = "mutation($i: RegisterInput!) { register(input: $i) { tokens { accessToken } errors { message } } }"
        account = {"email": f"{handle}@example.com", "handle": handle, "password": "correct horse", "client": "NATIVE"}
        return self.ask(query, {"i": account})["register"]["tokens"]["accessToken"]


class Server:
    def __init__(self, program, database=None):
        self.folder = tempfile.TemporaryDirectory(prefix="marmalade-fuzz-")
        env = {"PATH": os.environ["PATH"], "MARMALADE_LISTEN": "127.0.0.1:0", "MARMALADE_DATA_DIR": self.folder.name,
               "MARMALADE_LOG": "warn", "MARMALADE_SQLITE_SYNCHRONOUS": "normal", "RUST_BACKTRACE": "1"}
        known = subprocess.run([program, "config"], env=env, capture_output=True, text=True, cwd=self.folder.name).stdout
        env.update({key: "1000000/60s" for key in re.findall(r"MARMALADE_LIMIT_\w+", known)})
        env.update({key: "1000000" for key in re.findall(r"MARMALADE_(?:MAX|MOST|OPERATION)_\w+", known)})
        if database:
            env.update(DATABASE_URL=database, MARMALADE_MODE="development")
        self.log = open(pathlib.Path(self.folder.name, "log"), "w+")
        self.process = subprocess.Popen([program], env=env, cwd=self.folder.name, stdout=subprocess.PIPE, stderr=self.log, text=True)
        for line in self.process.stdout:
            if found := re.search(r"serves on http://\S+:(\d+)", line):
                self.port = int(found.group(1))
                break
        else:
            self.log.seek(0)
            sys.exit(f"the server did not start:\n{self.log.read()}")
        threading.Thread(target=self.process.stdout.read, daemon=True).start()

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self.log.seek(0)
        return self.log.read()


def seed(client, who):
    """Ids of objects that are there, some of them the student's own and under way."""
    found = client.ask("{ quizzes(first: 50) { nodes { id subject { id chapters { nodes { id } } } } } board(window: WEEK) { id "
                       "standings(first: 20) { nodes { user { id } } } } viewer { id } }", token=who)
    ids = {found["board"]["id"], found["viewer"]["id"]}
    ids |= {node["user"]["id"] for node in found["board"]["standings"]["nodes"]}
    for quiz in found["quizzes"]["nodes"]:
        ids |= {quiz["id"], quiz["subject"]["id"]} | {chapter["id"] for chapter in quiz["subject"]["chapters"]["nodes"]}
        start = "mutation($i: StartAttemptInput!) { startAttempt(input: $i) { attempt { id questions { id choices { id } } } } }"
        attempt = client.ask(start, {"i": {"quizId": quiz["id"]}}, who)["startAttempt"]["attempt"]
        ids |= {attempt["id"]} | {question["id"] for question in attempt["questions"][:3]}
        ids |= {choice["id"] for question in attempt["questions"][:3] for choice in question["choices"][:1]}
    return sorted(ids)


def broken(document, chance):
    """A document that most likely is none any more."""
    at = chance.randrange(len(document))
    noise = chance.choice(["{", "}", "(", "$x", "...A", "@", "\"", "\\u0000", "\ufeff", "\U0001f34a", "-", "1e999", "__schema{types{name}}", "&", "#"])
    return chance.choice([document[:at], document[:at] + noise + document[at:], document * 2, document[:at] + document[at + 1 :]])


NUMBERS = [0, 1, 2, 3, 5, 50, 100, 101, 1000, -1, 2**31 - 1, 2**31, -(2**31), 2**53, 2**63 - 1, 2**63, 10**30]
TEXTS = ["", "a", "correct horse", "x@example.com", "Biology", "%", "_", "'; --", "\x00", "\u202e", "\u0660", "\ufeff",
         "\U0001f34a", "e\u0301" * 50, "a" * 300, "\n\t", "2026-11-25T00:00:00Z"]


class Redraw(Visitor):
    """Puts other values where a document has some."""

    def __init__(self, types, chance, ids):
        super().__init__()
        self.types, self.chance, self.ids = types, chance, ids

    def enter(self, node, *_):
        if not isinstance(node, (ast.IntValueNode, ast.StringValueNode, ast.BooleanValueNode, ast.FloatValueNode, ast.EnumValueNode)):
            return None
        wanted, chance = get_named_type(self.types.get_input_type()), self.chance
        if wanted is None or chance.random() < 0.2:
            return None
        if isinstance(wanted, GraphQLEnumType):
            return ast.EnumValueNode(value=chance.choice(list(wanted.values)))
        if wanted.name == "Int":
            number = chance.choice(NUMBERS[:6]) if chance.random() < 0.7 else chance.choice(NUMBERS)
            return ast.IntValueNode(value=str(number))
        if wanted.name == "Boolean":
            return ast.BooleanValueNode(value=chance.random() < 0.5)
        if wanted.name == "ID":
            return ast.StringValueNode(value=chance.choice(self.ids) if chance.random() < 0.9 else chance.choice(TEXTS))
        if wanted.name == "String":
            letters = "".join(chr(chance.choice([chance.randrange(32, 127), chance.randrange(0xD7FF), chance.randrange(0xE000, 0x110000)]))
                              for _ in range(chance.randrange(20)))
            return ast.StringValueNode(value=chance.choice([letters, chance.choice(TEXTS), chance.choice(self.ids)]))
        return None


def shapes(sdl, n, seed_):
    """Operations as the schema allows them."""
    schema, found = build_schema(sdl), []
    scalars = {name: st.just("2026-11-25T00:00:00Z").map(nodes.String) for name in re.findall(r"^scalar (\w+)", sdl, re.M)}
    scalars["ID"] = st.just("id").map(nodes.String)

    @hypothesis.seed(seed_)
    @settings(max_examples=n, database=None, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(from_schema(schema, custom_scalars=scalars))
    def draw(document):
        found.append(document)

    draw()
    return schema, [parse(document) for document in dict.fromkeys(found)]


def work(port, requests, n, seed_, results):
    client, chance = Client(port), random.Random(seed_)
    student = client.register(f"fuzz{seed_}")
    tokens = {"nobody": None, "student": student, **{who: client.sign_in(email) for who, email in STAFF.items()}}
    ids = seed(client, student)
    schema, drawn = shapes((ROOT / "schema.graphql").read_text(), n, seed_)
    counts, faults, sent = collections.Counter(), [], 0

    def one(document, kind):
        nonlocal sent
        who = chance.choice(list(tokens))
        damaged = chance.random() < 0.2
        document = broken(document, chance) if damaged else document
        try:
            body = json.dumps({"query": document})
            status, text = client.send(body, tokens[who])
        except Exception as error:  # whatever it is, it is the finding
            faults.append(f"{error!r}: {document[:2000]}")
            return
        sent += 1
        if status == 401:
            tokens[who] = client.register(f"again{seed_}x{sent}") if who == "student" else client.sign_in(STAFF[who])
        reply = json.loads(text) if text[:1] == "{" else {}
        codes = {error.get("extensions", {}).get("code", "none") for error in reply.get("errors", [])} or {"no error"}
        for payload in (reply.get("data") or {}).values():
            if isinstance(payload, dict) and isinstance(payload.get("errors"), list):
                codes |= {f"data {error['code']}" for error in payload["errors"] if isinstance(error, dict) and "code" in error}
        ran = "data" in reply
        counts.update([f"valid and run: {ran}", f"kind {kind}", f"as {who}", f"status {status}"] + [f"code {code}" for code in codes])
        if status >= 500 or "INTERNAL" in text:
            faults.append(f"{status} {text[:300]}: as {who}: {document[:2000]}")

    while sent < requests and len(faults) <= 50:
        types = TypeInfo(schema)
        document = print_ast(visit(chance.choice(drawn), TypeInfoVisitor(types, Redraw(types, chance, ids))))
        one(document, "mutation" if document.startswith("mutation") else "query")
    counts["shapes drawn"] = len(drawn)
    results.put((counts, faults, sent))


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--requests", type=int, default=100_000)
    options.add_argument("--shapes", type=int, default=2000)
    options.add_argument("--jobs", type=int, default=2)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--database", help="URL of an empty PostgreSQL database; SQLite without it")
    options.add_argument("--server", default=str(ROOT / "target/release/marmalade"))
    options.add_argument("--faults", help="file to write each failing operation to")
    given_ = options.parse_args()
    server, results, began = Server(os.path.abspath(given_.server), given_.database), multiprocessing.Queue(), time.monotonic()
    share = -(-given_.requests // given_.jobs)
    jobs = [multiprocessing.Process(target=work, args=(server.port, share, -(-given_.shapes // given_.jobs), given_.seed + n, results)) for n in range(given_.jobs)]
    for job in jobs:
        job.start()
    counts, faults, sent = collections.Counter(), [], 0
    try:
        for _ in jobs:
            while True:
                try:
                    more = results.get(timeout=5)
                    break
                except Exception:
                    if any(job.exitcode not in (None, 0) for job in jobs):
                        sys.exit("a worker failed")
            counts, faults, sent = counts + more[0], faults + more[1], sent + more[2]
    finally:
        log = server.stop()
        for job in jobs:
            job.kill()
    seconds = time.monotonic() - began
    print(f"{sent:,} requests in {seconds:.0f} s ({sent / seconds:.0f} a second)")
    for name, count in sorted(counts.items(), key=lambda item: (item[0].split()[0], -item[1])):
        print(f"  {name:40} {count:>9,}")
    faults += [line for line in log.splitlines() if re.search(r"panic|ERROR", line)][:50]
    if counts["valid and run: True"] * 2 < sent:
        faults.append("fewer than half were valid and run")
    if given_.faults:
        pathlib.Path(given_.faults).write_text("\n\n".join(faults))
    print("\n".join(fault[:600] for fault in faults[:20]) or "no 5xx, no panic, no INTERNAL")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
