#!/usr/bin/env python3
"""Sends hostile question banks while students save answers, and shows what the students notice.

    tests/attack/load_of_imports.py [--server PROGRAM] [--database URL] [--only WORD] [--wait SECONDS]

Needs Python 3.9 and nothing else. The server (target/release/marmalade without --server) runs on an empty folder and a
free port of 127.0.0.1; with --database, on that empty PostgreSQL database. Each case sends three files at once, each
within the limits of `importBank`. Meanwhile eight students save answers, and a monitor asks `/healthz` twenty times a
second. A line of the table: the file, its size, the seconds until all three were imported, the saves with their 99th
percentile and their slowest, the slowest `/healthz`, the resident memory at its highest and a minute after, both above
what it was before.

The script fails if an import is not finished, a save fails, its 99th percentile is 100 ms or more, or the memory is not
back within 64 MiB. The slowest save is about as long as an import holds SQLite's writer.
"""
import argparse, base64, http.client, io, json, pathlib, sys, threading, time, zipfile
from attack import Server

FILES, STUDENTS, P99, GROWTH_KIB = 3, 8, 0.100, 64 * 1024
CASES = {}


def case(name):
    return lambda make: CASES.setdefault(name, make)


def csv(rows):
    return "bank.csv", "\n".join(rows).encode()


def workbook(sheets):
    """An XLSX file of sheets, each the rows as XML."""
    kept = io.BytesIO()
    with zipfile.ZipFile(kept, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as file:
        names = "".join(f'<sheet name="S{i}" sheetId="{i}" r:id="r{i}"/>' for i in range(1, len(sheets) + 1))
        ties = "".join(f'<Relationship Id="r{i}" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet"'
                       f' Target="worksheets/s{i}.xml"/>' for i in range(1, len(sheets) + 1))
        file.writestr("[Content_Types].xml", '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>')
        file.writestr("_rels/.rels", '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="r1" Type='
                      '"http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="xl/workbook.xml"/></Relationships>')
        file.writestr("xl/workbook.xml", '<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" xmlns:r='
                      f'"http://schemas.openxmlformats.org/officeDocument/2006/relationships"><sheets>{names}</sheets></workbook>')
        file.writestr("xl/_rels/workbook.xml.rels", f'<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">{ties}</Relationships>')
        for i, rows in enumerate(sheets, 1):
            file.writestr(f"xl/worksheets/s{i}.xml", '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">'
                          f'<sheetData>{"".join(rows)}</sheetData></worksheet>')
    return "bank.xlsx", kept.getvalue()


def text(cell, value):
    return f'<c r="{cell}" t="inlineStr"><is><t>{value}</t></is></c>'


HEADER = '<row r="1">' + text("A1", "Question") + "".join(text(f"{c}1", c) for c in "BCDEF").replace(">B<", ">A<").replace(">C<", ">B<") \
    .replace(">D<", ">C<").replace(">E<", ">D<").replace(">F<", ">E<") + text("G1", "F") + text("H1", "Answer") + "</row>"


@case("brackets that nest")
def _():
    return csv(["Question,A,B,Answer,Explanation"] + [f"Is it {i}?,1,2,1," + "[" * 1330 + "x" + "](a:)" * 1330 for i in range(87)])


@case("many findings")
def _():
    rows = ["<row>" + "<c><f>1</f></c>" * 8 + "</row>"] * 5000
    return workbook([[HEADER] + rows] * 50)


@case("many questions")
def _():
    rows = [f'<row r="{i}">' + text(f"A{i}", f"Is it {i}?") + text(f"B{i}", "yes") + text(f"C{i}", "no") + text(f"H{i}", "A") + "</row>"
            for i in range(2, 5002)]
    return workbook([[HEADER] + rows] * 7)


def ask(server, token, query, variables=None, connection=None):
    connection = connection or server.connection()
    headers = {"content-type": "application/json", "authorization": f"Bearer {token}"}
    connection.request("POST", "/graphql", json.dumps({"query": query, "variables": variables or {}}), headers)
    reply = json.loads(connection.getresponse().read())
    if reply.get("errors"):
        raise ValueError(reply["errors"])
    return reply["data"]


def patiently(server, *question):
    """Asks again while the server is too busy to answer."""
    ends = time.monotonic() + 300
    while True:
        try:
            return ask(server, *question)
        except (OSError, http.client.HTTPException, json.JSONDecodeError):
            if time.monotonic() > ends:
                raise
            time.sleep(0.25)


class Repeated(threading.Thread):
    """Does something again and again, and times it."""

    def __init__(self, server, pause, act):
        super().__init__(daemon=True)
        self.server, self.pause, self.act = server, pause, act
        self.times, self.failures, self.ended = [], [], threading.Event()

    def run(self):
        connection = self.server.connection()
        while not self.ended.wait(self.pause):
            began = time.perf_counter()
            try:
                self.act(connection)
            except (OSError, http.client.HTTPException, ValueError, AssertionError) as error:
                self.failures.append(repr(error)[:200])
                connection = self.server.connection()
            self.times.append(time.perf_counter() - began)


def student(server, number):
    handle = f"s{time.time_ns() % 10**12}_{number}"
    account = {"email": f"{handle}@example.com", "handle": handle, "password": "correct horse", "client": "NATIVE"}
    made = server.ask("mutation($i: RegisterInput!) { register(input: $i) { tokens { accessToken } } }", {"i": account})
    token = made["data"]["register"]["tokens"]["accessToken"]
    quiz = ask(server, token, "{ quizzes(first: 1) { nodes { id } } }")["quizzes"]["nodes"][0]["id"]
    start = "mutation($q: ID!) { startAttempt(input: {quizId: $q}) { attempt { id questions { id choices { id } } } } }"
    attempt = ask(server, token, start, {"q": quiz})["startAttempt"]["attempt"]
    question, count = attempt["questions"][0], [0]
    save = "mutation($i: SaveAnswerInput!) { saveAnswer(input: $i) { outcome errors { code } } }"

    def act(connection):
        count[0] += 1
        choice = question["choices"][count[0] % len(question["choices"])]["id"]
        answer = {"attemptId": attempt["id"], "questionId": question["id"], "choiceId": choice, "seq": count[0]}
        saved = ask(server, token, save, {"i": answer}, connection)["saveAnswer"]
        assert saved["outcome"] == "SAVED" and not saved["errors"], saved

    return Repeated(server, 0.05, act)


def monitor(server):
    def act(connection):
        connection.request("GET", "/healthz")
        reply = connection.getresponse()
        reply.read()
        assert reply.status == 200, reply.status

    return Repeated(server, 0.05, act)


def percentile(times, share):
    return sorted(times)[min(len(times) - 1, int(len(times) * share))]


def attacked(server, make, wait):
    signed = server.ask('mutation { signIn(input: {email: "editor@demo.example", password: "marmalade-demo", client: NATIVE}) '
                        '{ tokens { accessToken } } }')
    token = signed["data"]["signIn"]["tokens"]["accessToken"]
    name, content = make()
    assert len(content) <= 700 * 1024, f"{len(content)} bytes are refused at once"
    students, health = [student(server, i) for i in range(STUDENTS)], monitor(server)
    everybody = students + [health]
    for one in everybody:
        one.start()
    time.sleep(5)
    usual = percentile([t for one in students for t in one.times], 0.99)
    before, marks, peak, began = server.memory(), {one: len(one.times) for one in everybody}, 0, time.monotonic()
    send = "mutation($i: ImportBankInput!) { importBank(input: $i) { bankImport { id } errors { message } } }"
    ids = []
    for number in range(FILES):
        bank = {"fileName": name, "content": base64.b64encode(content).decode(), "quizTitle": f"Hostile {number}", "subject": "Physics", "publish": True}
        ids.append(patiently(server, token, send, {"i": bank})["importBank"]["bankImport"]["id"])
    finished = "query($id: ID!) { bankImport(id: $id) { finishedAt error } }"
    imported = []
    while len(imported) < FILES and time.monotonic() - began < 600:
        time.sleep(0.25)
        peak = max(peak, server.memory())
        imported = [i for i in (patiently(server, token, finished, {"id": id})["bankImport"] for id in ids) if i["finishedAt"]]
    took = time.monotonic() - began
    time.sleep(1)
    for one in everybody:
        one.ended.set()
    for one in everybody:
        one.join()
    saves = [t for one in students for t in one.times[marks[one]:]]
    time.sleep(wait)
    after = server.memory()
    p99, failures = percentile(saves, 0.99), [f for one in everybody for f in one.failures]
    errors = {i["error"] for i in imported} - {None}
    print(f"{len(content) // 1024:5} KiB {took:7.1f} s {len(saves):7} saves, p99 {p99 * 1000:7.0f} ms (before {usual * 1000:3.0f}), slowest "
          f"{max(saves) * 1000:6.0f} ms, healthz {max(health.times[marks[health]:]) * 1000:6.0f} ms, memory {before // 1024:4} "
          f"{(peak - before) // 1024:+5} {(after - before) // 1024:+5} MiB {errors or ''}", flush=True)
    for failure in sorted(set(failures))[:3]:
        print("    ", failure)
    return len(imported) == FILES and not failures and p99 < P99 and after - before <= GROWTH_KIB


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--server", default=str(pathlib.Path(__file__).resolve().parents[2] / "target/release/marmalade"))
    options.add_argument("--database")
    options.add_argument("--only", default="")
    options.add_argument("--wait", type=float, default=60)
    options = options.parse_args()
    held = True
    for name, make in CASES.items():
        if options.only in name:
            server = Server(options.server, options.database)
            print(f"{name:22}", end=" ", flush=True)
            try:
                held &= attacked(server, make, options.wait)
            finally:
                log = server.stop()
                if "panicked" in log:
                    print(log)
                    held = False
    sys.exit(0 if held else 1)


if __name__ == "__main__":
    main()
