#!/usr/bin/env python3
"""Attacks a server of its own and shows that it refuses them, keeps its memory, and that an honest client never notices.

    tests/attack/attack.py [--server PROGRAM] [--database URL] [--only WORD]

Needs Python 3.9 and nothing else. The server (target/release/marmalade without --server) runs on an empty folder and a
free port of 127.0.0.1. Each attack runs beside an honest client that reads the catalogue and the own account twenty
times a second on a connection of its own. A line of the table: the attack, what it was answered (status and code, with
how often), by how much the server's resident memory grew, and the honest client's requests, failures and slowest reply.
The script fails if an attack was answered otherwise than documented, if an honest request failed or took longer than a
second, or if the memory grew by more than 64 MiB.
"""
import argparse, base64, collections, gzip, http.client, json, os, pathlib, re, socket, struct, subprocess, sys
import tempfile, threading, time

ROOT = pathlib.Path(__file__).resolve().parents[2]
GROWTH_KIB, SLOWEST = 64 * 1024, 1.0
JSON = {"content-type": "application/json"}


class Server:
    def __init__(self, program, database=None, crowd=16):
        self.folder = tempfile.TemporaryDirectory(prefix="marmalade-attack-")
        env = {"PATH": os.environ["PATH"], "MARMALADE_LISTEN": "127.0.0.1:0", "MARMALADE_DATA_DIR": self.folder.name,
               "MARMALADE_LOG": "warn", "RUST_BACKTRACE": "1"}
        # The attacks come from one address: what they are refused with must not be a limiter's doing.
        known = subprocess.run([program, "config"], env=env, capture_output=True, text=True, cwd=self.folder.name).stdout
        env.update({key: "100000/60s" for key in re.findall(r"MARMALADE_LIMIT_\w+", known)})
        if database:
            env.update(DATABASE_URL=database, MARMALADE_MODE="development")
        self.log = open(pathlib.Path(self.folder.name, "log"), "w+")
        self.process = subprocess.Popen([program], env=env, cwd=self.folder.name, stdout=subprocess.PIPE, stderr=self.log, text=True)
        for line in self.process.stdout:
            found = re.search(r"serves on http://\S+:(\d+)", line)
            if found:
                self.port = int(found.group(1))
                break
        else:
            sys.exit("the server did not start")
        threading.Thread(target=self.process.stdout.read, daemon=True).start()
        account = {"email": "honest@example.com", "handle": "honest", "password": "correct horse", "client": "NATIVE"}
        made = self.ask("mutation($i: RegisterInput!) { register(input: $i) { tokens { accessToken } } }", {"i": account})
        self.token = made["data"]["register"]["tokens"]["accessToken"]
        # Password hashes take 19 MiB each, as many at once as the server allows; that is no attack's doing.
        sign_in = 'mutation { signIn(input: {email: "x@example.com", password: "not this one"}) { errors { code } } }'
        crowd = [threading.Thread(target=self.post, args=(sign_in,)) for _ in range(crowd)]
        for one in crowd:
            one.start()
        for one in crowd:
            one.join()

    def connection(self, timeout=60):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)

    def send(self, body, headers=JSON, method="POST", path="/graphql"):
        """The status, the first code and the text of a reply."""
        connection = self.connection()
        try:
            connection.request(method, path, body, headers)
            reply = connection.getresponse()
            text = reply.read().decode("utf-8", "replace")
            return reply.status, code_of(text), text
        except TimeoutError:
            return "no answer", "after 60 s", ""
        except (ConnectionError, http.client.HTTPException) as error:
            return "closed", type(error).__name__, ""
        finally:
            connection.close()

    def post(self, query, variables=None):
        headers = dict(JSON, authorization=f"Bearer {self.token}") if hasattr(self, "token") else JSON
        return self.send(json.dumps({"query": query, "variables": variables or {}}), headers)

    def ask(self, query, variables=None):
        return json.loads(self.post(query, variables)[2])

    def memory(self):
        return int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{self.process.pid}/status").read_text()).group(1))

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self.log.seek(0)
        return self.log.read()


def code_of(text):
    try:
        return json.loads(text)["errors"][0]["extensions"]["code"]
    except (ValueError, LookupError, TypeError):
        return "-"


class Honest(threading.Thread):
    """Asks what everybody asks, all the time."""

    def __init__(self, server):
        super().__init__(daemon=True)
        self.server, self.times, self.failures, self.ended = server, [], [], threading.Event()

    def run(self):
        connection = self.server.connection(10)
        body = json.dumps({"query": "{ quizzes(first: 5) { nodes { id title } } viewer { handle } }"})
        headers = dict(JSON, authorization=f"Bearer {self.server.token}")
        while not self.ended.wait(0.05):
            began = time.perf_counter()
            try:
                connection.request("POST", "/graphql", body, headers)
                reply = connection.getresponse()
                text = reply.read()
                if reply.status != 200 or b"errors" in text:
                    self.failures.append(f"{reply.status} {text[:200]}")
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(repr(error))
                connection = self.server.connection(10)
            self.times.append(time.perf_counter() - began)


ATTACKS = []


def attack(name, *expected):
    """`expected`: each a status and a code that the design documents for it."""
    return lambda run: ATTACKS.append((name, set(expected), run)) or run


REFUSED = [(200, "QUERY_TOO_COMPLEX"), (400, "QUERY_TOO_COMPLEX"), (400, "BAD_USER_INPUT"), (200, "BAD_USER_INPUT")]


@attack("depth 1,000", *REFUSED)
def _(server):
    deep = "{ subjects { nodes { chapters { nodes { subject " * 250 + "{ id }" + " } } } } }" * 250
    yield server.post("{ node(id: \"x\") { ... on Subject { " + "chapters { nodes { subject { " * 333 + "id" + " } } }" * 333 + " } } }")
    yield server.post(deep)
    yield server.post("{ " * 1000 + "a" + " }" * 1000)
    yield server.post("{ quizzes(filter: " + "{a: " * 1000 + "1" + "}" * 1000 + ") { totalCount } }")
    yield server.post("{ quizzes(filter: " + "[" * 100_000 + "]" * 100_000 + ") { totalCount } }")
    yield server.post("query($a: " + "[" * 10_000 + "Int" + "]" * 10_000 + ") { __typename }")


@attack("10,000 aliases", *REFUSED)
def _(server):
    yield server.post("{ " + " ".join(f"a{i}: __typename" for i in range(10_000)) + " }")
    yield server.post("{ " + " ".join(f"a{i}: subjects {{ totalCount }}" for i in range(10_000)) + " }")
    yield server.post("mutation { " + " ".join(f"a{i}: signOut {{ errors {{ code }} }}" for i in range(10_000)) + " }")


@attack("circular fragments", *REFUSED)
def _(server):
    yield server.post("{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }")
    yield server.post("{ ...A } fragment A on Query { ...A }")
    many = " ".join(f"fragment F{i} on Query {{ ...F{i + 1} ...F{i + 1} }}" for i in range(30))
    yield server.post("{ ...F0 } " + many + " fragment F30 on Query { __typename }")
    long = " ".join(f"fragment F{i} on Query {{ ...F{i + 1} }}" for i in range(5_000))
    yield server.post("{ ...F0 } " + long + " fragment F5000 on Query { __typename }")


@attack("100,000 directives", *REFUSED)
def _(server):
    yield server.post("{ __typename " + "@skip(if: false) " * 50_000 + " }")
    yield server.post("{ __typename " + "@a" * 100_000 + " }")
    yield server.post("query " + "@a" * 100_000 + " { __typename }")


@attack("10,000 duplicate fields", (200, "-"), *REFUSED)
def _(server):
    yield server.post("{ " + "__typename " * 10_000 + "}")


@attack("a body of 100 MB", (413, "-"), ("closed", "BrokenPipeError"), ("closed", "ConnectionResetError"))
def _(server):
    yield server.send(b'{"query": "{ __typename } #' + b"x" * 100_000_000 + b'"}')

    def chunks():
        for _ in range(1_600):
            yield b"x" * 65_536

    yield server.send(chunks(), dict(JSON, **{"transfer-encoding": "chunked"}))


@attack("a compressed bomb", (415, "BAD_USER_INPUT"))
def _(server):
    bomb = gzip.compress(b'{"query": "{ __typename }", "variables": {"x": "' + b"x" * 200_000_000 + b'"}}', 9)
    for encoding in ("gzip", "gzip, gzip", "deflate", "br"):
        yield server.send(bomb, dict(JSON, **{"content-encoding": encoding}))


@attack("a deep JSON variable", (400, "-"), *REFUSED)
def _(server):
    for opening, closing in (("[", "]"), ('{"a":', "}")):
        deep = opening * 100_000 + "1" + closing * 100_000
        yield server.send('{"query": "query($x: [Int]) { __typename }", "variables": {"x": ' + deep + "}}")
        yield server.send('{"query": "{ __typename }", "extensions": ' + deep + "}")


@attack("200 sockets with slow headers", ("closed", "in time"), (408, "-"))
def _(server):
    sockets = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(200)]
    for one in sockets:
        one.sendall(b"POST /graphql HTTP/1.1\r\nHost: x\r\n")
    yield from dripped(sockets, b"X-A: b\r\n", 90)


@attack("50 sockets with slow bodies", ("closed", "in time"), (408, "-"), (503, "-"), (400, "-"))
def _(server):
    sockets = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(50)]
    for one in sockets:
        one.sendall(b"POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{")
    yield from dripped(sockets, b" ", 90)


def dripped(sockets, drop, patience):
    """What becomes of sockets that send a little every second."""
    ends, open_ = time.monotonic() + patience, {one: b"" for one in sockets}
    while open_ and time.monotonic() < ends:
        for one in list(open_):
            one.setblocking(False)
            try:
                heard = one.recv(65_536)
                if not heard:
                    text = open_.pop(one)
                    yield (int(text.split()[1]) if text else "closed"), ("-" if text else "in time"), ""
                    continue
                open_[one] += heard
            except BlockingIOError:
                pass
            except OSError:
                text = open_.pop(one)
                yield (int(text.split()[1]) if text else "closed"), ("-" if text else "in time"), ""
                continue
            try:
                one.send(drop)
            except OSError:
                pass
        time.sleep(1)
    for one, text in open_.items():
        one.close()
        yield (int(text.split()[1]), "-", "") if text else ("open", f"after {patience} s", "")


TEXTS = {"NUL": "a\\u0000b", "a lone high surrogate": "a\\ud800b", "a lone low surrogate": "a\\udc00b", "a reversed pair": "\\udc00\\ud800"}


@attack("lone surrogates and NUL", (200, "-"), (400, "-"), (400, "BAD_USER_INPUT"), (200, "BAD_USER_INPUT"), (200, "NOT_FOUND"),
        (200, "UNAUTHENTICATED"))
def _(server):
    """Every text that an argument or input field takes, in a variable and in the document."""
    for operation, input_type, selection, fields in inputs(server):
        for text in TEXTS.values():
            for field in fields:
                values = ", ".join(f'"{name}": ' + (f'"{text}"' if name == field else example) for name, example in fields.items())
                query = f"mutation($i: {input_type}!) {{ {operation}(input: $i) {{ {selection} }} }}"
                headers = dict(JSON, authorization=f"Bearer {server.token}")
                yield server.send(f'{{"query": {json.dumps(query)}, "variables": {{"i": {{{values}}}}}}}', headers)
    for text in TEXTS.values():
        for query in ("{ node(id: %s) { id } }", "{ nodes(ids: [%s]) { id } }", "{ quiz(id: %s) { id } }", "{ attempt(id: %s) { id } }",
                      "{ board(id: %s) { id } }", "{ quizzes(filter: {text: %s}) { totalCount } }", "{ quizzes(after: %s) { totalCount } }"):
            yield server.send('{"query": ' + json.dumps(query % f'"{text}"').replace("\\\\u", "\\u") + "}")
            yield server.send(json.dumps({"query": query % f'"{text}"'}), dict(JSON, authorization=f"Bearer {server.token}"))
        yield server.send(f'{{"query": "{text}"}}')
        yield server.send(f'{{"query": "{{ __typename }}", "operationName": "{text}"}}')
    yield server.send(b'{"query": "{ __typename } #\xff\xfe\xc0\x80"}')


def inputs(server):
    """The mutations with their inputs of texts, from the committed schema."""
    sdl = (ROOT / "schema.graphql").read_text()
    sdl = re.sub(r'"""(?s:.*?)"""', "", sdl)
    kinds = {name: re.findall(r"(\w+): ([\w!\[\]]+)", body) for name, body in re.findall(r"^input (\w+)[^{]*\{(.*?)^\}", sdl, re.S | re.M)}
    examples = {"String": '"correct horse"', "ID": '"quiz_AAAAAAAAAAAAAAAAAAAAAA"', "Int": "1", "Float": "1.0", "Boolean": "true"}
    mutation = re.search(r"^type Mutation[^{]*\{(.*?)^\}", sdl, re.S | re.M).group(1)
    for operation, input_type in re.findall(r"(\w+)\(\s*input: (\w+)!", mutation):
        if operation in ("deleteAccount", "signOut", "revokeOtherSessions"):
            continue
        fields = {name: examples[kind.strip("!")] for name, kind in kinds[input_type] if kind.strip("!") in examples}
        texts = {name: example for name, example in fields.items() if example.startswith('"')}
        if texts:
            required = {name: kind for name, kind in kinds[input_type] if kind.endswith("!")}
            if all(kind.strip("!") in examples for kind in required.values()):
                yield operation, input_type, "errors { code }", {n: e for n, e in fields.items() if n in required or n in texts}


@attack("integers beyond 64 bits", (200, "-"), (400, "-"), (200, "NOT_FOUND"), *REFUSED)
def _(server):
    for number in ("9223372036854775808", "-9223372036854775809", "18446744073709551616", "1" + "0" * 400, "1e400", "2147483648", "-1"):
        yield server.post("{ quizzes(first: %s) { totalCount } }" % number)
        yield server.post("{ quizzes(filter: {minQuestions: %s, maxMinutes: %s}) { totalCount } }" % (number, number))
        yield server.send('{"query": "query($n: Int) { quizzes(first: $n) { totalCount } }", "variables": {"n": %s}}' % number)
        save = 'attemptId: "x", questionId: "x", choiceId: "x", seq: %s' % number
        yield server.post("mutation { saveAnswer(input: {%s}) { errors { code } } }" % save)
        yield server.post("{ board(window: WEEK) { aroundViewer(above: %s, below: %s) { totalCount } } }" % (number, number))


@attack("batches", (400, "-"), (400, "BAD_USER_INPUT"))
def _(server):
    yield server.send(json.dumps([{"query": "{ __typename }"}] * 2))
    yield server.send(json.dumps([{"query": "mutation { signOut { errors { code } } }"}] * 1000))
    yield server.send("[]")


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--database", help="URL of an empty PostgreSQL database; SQLite without it")
    options.add_argument("--server", default=str(ROOT / "target/release/marmalade"))
    options.add_argument("--only", default="")
    given = options.parse_args()
    server = Server(os.path.abspath(given.server), given.database)
    bad = []
    print(f"{'attack':32} {'answers':60} {'memory':>16} honest client")
    try:
        for name, expected, run in ATTACKS:
            if given.only not in name:
                continue
            before, honest = server.memory(), Honest(server)
            honest.start()
            answers, details = collections.Counter(), {}
            for status, code, text in run(server):
                answers[status, code] += 1
                details.setdefault((status, code), text)
            time.sleep(1)
            honest.ended.set()
            honest.join()
            grown, times = server.memory() - before, sorted(honest.times)
            p99 = times[int(len(times) * 0.99)] * 1000
            shown = ", ".join(f"{count} x {status} {code}" for (status, code), count in answers.most_common())
            print(f"{name:32} {shown:60} {grown:>+10,} KiB  {len(times)} requests, {len(honest.failures)} failed, p99 {p99:.0f} ms, slowest {times[-1] * 1000:.0f} ms", flush=True)
            for answer in answers.keys() - expected:
                bad.append(f"{name}: {answer} is not documented: {details[answer][:300]}")
            bad += [f"{name}: an honest request failed: {failure}" for failure in honest.failures[:3]]
            if times[-1] > SLOWEST:
                bad.append(f"{name}: an honest request took {times[-1]:.2f} s")
            if grown > GROWTH_KIB:
                bad.append(f"{name}: the memory grew by {grown:,} KiB")
            if server.process.poll() is not None or any(status == "no answer" for status, _ in answers):
                bad.append(f"{name}: the server is lost\n{server.stop()[-2000:]}")
                server = Server(os.path.abspath(given.server), given.database)
        print(f"resident memory in the end: {server.memory():,} KiB")
    finally:
        log = server.stop()
    bad += [line for line in log.splitlines() if re.search(r"panic|ERROR|INTERNAL", line)][:10]
    print("\n".join(bad) or "every attack was refused as documented")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
