"""Python's gql, over HTTP and over both of its WebSockets. Started by python.mjs, which starts the server.

What it prints: `ok` or `FAIL`, the name of a check, and what is to be said about it, between tabs.
"""
import asyncio, os

from gql import Client, GraphQLRequest, gql
from gql.transport.aiohttp import AIOHTTPTransport
from gql.transport.aiohttp_websockets import AIOHTTPWebsocketsTransport
from gql.transport.exceptions import TransportError, TransportQueryError
from gql.transport.websockets import WebsocketsTransport

URL, SOCKET, TOKEN, EXPIRED = (os.environ[key] for key in ("URL", "SOCKET", "TOKEN", "EXPIRED"))
AUTHORIZATION = {"authorization": f"Bearer {TOKEN}"}
BOARD = gql("subscription { boardChanged(board: {everything: WEEK}, first: 3) { asOf totalCount board { id } } }")
SOCKETS = {"websockets": WebsocketsTransport, "aiohttp": AIOHTTPWebsocketsTransport}
CHECKS = []


def check(name):
    return lambda work: CHECKS.append((name, work)) or work


def http(**more) -> Client:
    return Client(transport=AIOHTTPTransport(url=URL, headers=AUTHORIZATION), **more)


@check("a query with variables, checked against the schema that the server tells")
async def _():
    async with http(fetch_schema_from_transport=True) as session:
        query = gql("query Titles($first: Int!) { quizzes(first: $first) { nodes { id title } } viewer { handle } }")
        query.variable_values = {"first": 2}
        found = await session.execute(query)
        assert len(found["quizzes"]["nodes"]) == 2, found
        assert session.client.schema.get_type("Quiz") is not None


@check("enums and our own scalars are written by the schema and read back")
async def _():
    async with http(fetch_schema_from_transport=True) as session:
        query = gql("query Board($window: BoardWindow) { board(window: $window) { window startsAt endsAt } }")
        query.variable_values = {"window": "WEEK"}
        found = await session.execute(query, serialize_variables=True, parse_result=True)
        assert found["board"]["window"] == "WEEK" and found["board"]["startsAt"].endswith(("Z", "+00:00")), found


@check("a field that failed is null, beside its error (1)")
async def _():
    async with http() as session:
        try:
            await session.execute(gql("{ jobs(first: 1) { totalCount } viewer { id } }"))
        except TransportQueryError as error:
            assert list(error.data) == ["jobs", "viewer"], error.data
            assert error.data["jobs"] is None
            assert error.errors[0]["extensions"]["code"] == "FORBIDDEN"
            return
        raise AssertionError("not refused")


@check("an answer with failed fields fits the schema (1)")
async def _():
    async with http(fetch_schema_from_transport=True) as session:
        query = gql("{ board { id standings(first: 1000) { totalCount } } quizzes(first: 1) { nodes { title } } }")
        result = await session._execute(query, parse_result=True)
        assert result.data["board"] is None, result.data
        assert result.errors[0]["path"] == ["board", "standings"], result.errors


@check("of several operations the one that is named runs (5)")
async def _():
    document = "query A { viewer { id } } query B($first: Int!) { quizzes(first: $first) { totalCount } }"
    async with http() as session:
        found = await session.execute(GraphQLRequest(document, operation_name="A"))
        assert list(found) == ["viewer"], found
        request = GraphQLRequest(document, operation_name="B", variable_values={"first": 1})
        assert (await session.execute(request))["quizzes"]["totalCount"] > 0


def over(transport, token=TOKEN) -> Client:
    payload = {"authorization": f"Bearer {token}"}
    return Client(transport=transport(url=SOCKET, init_payload=payload, connect_timeout=5, ack_timeout=5))


for name, transport in SOCKETS.items():

    @check(f"{name}: the server's protocol is understood, whatever the case of its header (16)")
    async def _(transport=transport):
        async with over(transport) as session:
            assert session.transport.subprotocol == "graphql-transport-ws", session.transport.subprotocol
            found = await session.execute(gql("{ viewer { handle } }"))
            assert found["viewer"]["handle"], found

    @check(f"{name}: a subscription is followed (16)")
    async def _(transport=transport):
        async with over(transport) as session:
            async for event in session.subscribe(BOARD):
                assert event["boardChanged"]["asOf"], event
                return


@check("an expired token is told by 4403 (15)")
async def _():
    try:
        # aiohttp keeps the code to itself.
        await over(WebsocketsTransport, EXPIRED).connect_async()
    except TransportError as error:
        assert "4403" in repr(error.__cause__), repr(error.__cause__)
        return
    raise AssertionError("let in")


async def main():
    for name, work in CHECKS:
        try:
            await asyncio.wait_for(work(), 30)
            print(f"ok\t{name}\t", flush=True)
        except Exception as error:
            print(f"FAIL\t{name}\t{type(error).__name__} {error}".replace("\n", " ")[:400], flush=True)


asyncio.run(main())
