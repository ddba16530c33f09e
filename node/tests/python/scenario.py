"""What a client in Python finds, driven by node/tests/processes/python.rs.

    scenario.py basics HOST:PORT DOCUMENT     every call and every refusal, against a cluster of four nodes and three replicas
    scenario.py failover HOST:PORT            writes until its standard input ends, whatever dies meanwhile, and then looks
                                              whether all that was acknowledged is there, once
"""

import itertools
import os
import random
import re
import sys
import threading
import time
import traceback

import grpc
from catena.v1 import error_pb2
from catena.v1.kv_pb2 import (
    COMPARISON_GT,
    COMPARISON_GTE,
    COMPARISON_LT,
    COMPARISON_LTE,
    Condition,
    DeleteRequest,
    DeleteResponse,
    GetRequest,
    OpenSessionRequest,
    PutRequest,
    PutResponse,
    ScanRequest,
    SessionWrite,
)
from catena.v1.kv_pb2_grpc import KvStub
from client import (
    HEAD,
    NOT_EXECUTED,
    TAIL,
    UNKNOWN,
    Client,
    Failure,
    Stream,
    exists,
    slot_of,
    updated_at,
    version,
)

TIMEOUT = 30


def equal(found, wanted, what=""):
    assert found == wanted, f"{what}: {found!r}, not {wanted!r}"


def refused(call, kind, reason, code=None):
    """Demands that a call fails so. The reason's own message."""
    try:
        answer = call()
    except grpc.RpcError as error:
        failure = Failure.of_status(error)
    except Failure as failed:
        failure = failed
    else:
        raise AssertionError(f"{reason} was expected, not {answer}")
    equal((failure.kind, failure.reason), (kind, reason), failure.message)
    if code is not None:
        equal(failure.code, code, reason)
    return failure.detail


class Raw:
    """Single calls to single nodes, past all that the client does by itself, but for waiting until a node has its lease."""

    def __init__(self, client):
        self.client = client

    def at(self, slot, position):
        """A member of the slot's chain, by its position."""
        routes = self.client.routes
        return self.of_node(routes.chains[slot].members[position].node)

    def of_node(self, node):
        return KvStub(self.client.nodes.channel(self.client.routes.nodes[node].address))

    def fields(self, key, **changed):
        slot = self.client.slot(key) if key else 0
        routes = self.client.routes
        return {"cluster": routes.cluster, "slot": slot, "chain_version": routes.chains[slot].version, "key": key} | changed

    def send(self, method, request):
        while True:
            try:
                return method(request, timeout=TIMEOUT)
            except grpc.RpcError as error:
                failure = Failure.of_status(error)
            if failure.reason != "no_lease":
                raise failure
            time.sleep(0.05)

    def get(self, key, kv=None, **changed):
        kv = kv or self.at(self.client.slot(key), TAIL)
        return self.send(kv.Get, GetRequest(**self.fields(key, **changed)))

    def put(self, key, value=b"", kv=None, **changed):
        kv = kv or self.at(self.client.slot(key) if key else 0, HEAD)
        return self.send(kv.Put, PutRequest(**self.fields(key, value=value, **changed)))

    def delete(self, key, **changed):
        kv = self.at(self.client.slot(key), HEAD)
        return self.send(kv.Delete, DeleteRequest(**self.fields(key, **changed)))

    def scan(self, slot, **changed):
        return self.send(self.at(slot, TAIL).Scan, ScanRequest(slot=slot, **changed))

    def open(self, slot):
        routes = self.client.routes
        request = OpenSessionRequest(cluster=routes.cluster, slot=slot, chain_version=routes.chains[slot].version)
        return self.send(self.at(slot, HEAD).OpenSession, request)


def keys_of(slot, slots, prefix):
    """Keys that belong to a slot, without an end."""
    keys = (f"{prefix} {number}".encode() for number in itertools.count())
    return (key for key in keys if slot_of(key, slots) == slot)


def the_documents_vectors_hold(document):
    with open(document, encoding="utf-8") as lines:
        rows = re.findall(r"^\| `([0-9a-f]+)` \|[^|]*\| `([0-9a-f]{8})` \| (\d+) \| (\d+) \| (\d+) \|$", lines.read(), re.M)
    assert len(rows) >= 5, rows
    for key, crc, *slots in rows:
        key = bytes.fromhex(key)
        equal(slot_of(key, 2**32), int(crc, 16), key)
        equal([slot_of(key, count) for count in (16, 1000, 4096)], [int(slot) for slot in slots], key)


def the_route_names_every_chain_and_node(client):
    routes = client.routes
    equal(len(routes.cluster), 16)
    equal(sorted(routes.chains), list(range(routes.slots)))
    equal(sorted(routes.nodes), ["n1", "n2", "n3", "n4"])
    equal((routes.max_key_bytes, routes.max_value_bytes), (4096, 16 << 20))
    for chain in routes.chains.values():
        equal(len(chain.members), 3)


def objects_are_written_read_and_removed(client):
    for key in [b"greeting", b"\x00", b"\xff\x00\x01", "köttbulle".encode(), b"k" * 4096]:
        absent = client.get(key)
        equal((absent.found, absent.slot), (False, client.slot(key)))
        equal(client.delete(key).applied, False)
        first = client.put(key, b"hello")
        equal(first.metadata.version, first.seq)
        equal(first.metadata.created_at_ns, first.metadata.updated_at_ns)
        assert abs(first.metadata.updated_at_ns - time.time_ns()) < 600 * 10**9, first
        second = client.put(key, b"")
        assert second.metadata.version > first.metadata.version
        equal(second.metadata.created_at_ns, first.metadata.created_at_ns)
        assert second.metadata.updated_at_ns > first.metadata.updated_at_ns
        found = client.get(key)
        equal((found.found, found.value, found.metadata), (True, b"", second.metadata))
        deleted = client.delete(key)
        assert deleted.applied and deleted.seq > second.seq
        equal(client.get(key).found, False)
        again = client.put(key, b"again")
        assert again.metadata.version > deleted.seq and again.metadata.created_at_ns > second.metadata.created_at_ns
    # Over what gRPC libraries receive by default.
    large = random.randbytes(16 << 20)
    client.put(b"large", large)
    equal(client.get(b"large").value, large)


def conditions_decide(client):
    key = b"conditional"
    old = client.put(key, b"1", exists(False)).metadata
    failed = refused(lambda: client.put(key, b"2", exists(False)), NOT_EXECUTED, "condition_failed", grpc.StatusCode.ABORTED)
    equal(failed.object, old)
    new = client.put(key, b"2", version(old.version), updated_at(old.updated_at_ns), exists(True)).metadata
    for conditions in [
        [version(old.version)],
        [version(new.version), updated_at(old.updated_at_ns)],
        [version(new.version, COMPARISON_LT)],
        [version(new.version, COMPARISON_GT)],
        [updated_at(new.updated_at_ns, COMPARISON_LT)],
    ]:
        equal(refused(lambda: client.put(key, b"3", *conditions), NOT_EXECUTED, "condition_failed").object, new)
        equal(refused(lambda: client.delete(key, *conditions), NOT_EXECUTED, "condition_failed").object, new)
        equal(refused(lambda: client.put(key, b"3", *conditions, once=False), NOT_EXECUTED, "condition_failed").object, new)
    equal(client.get(key).value, b"2")
    # The object's side is on the left.
    client.put(key, b"3", version(new.version + 1, COMPARISON_LT), version(new.version, COMPARISON_GTE))
    equal(client.delete(key, version(new.version, COMPARISON_GT)).applied, True)
    for condition in [exists(True), version(0, COMPARISON_GTE), version(2**64 - 1, COMPARISON_LTE), updated_at(0, COMPARISON_GT)]:
        failed = refused(lambda: client.put(key, b"4", condition), NOT_EXECUTED, "condition_failed")
        equal(failed.HasField("object"), False)
    client.put(key, b"4", exists(False), once=False)


def every_refusal_says_why(client, key):
    raw = Raw(client)
    slot = client.slot(key)
    chain = client.routes.chains[slot]
    codes = grpc.StatusCode
    refused(lambda: raw.put(b""), NOT_EXECUTED, "key_empty", codes.INVALID_ARGUMENT)
    detail = refused(lambda: raw.put(b"k" * 4097), NOT_EXECUTED, "key_too_long", codes.INVALID_ARGUMENT)
    equal((detail.len, detail.limit), (4097, 4096))
    limit = client.routes.max_value_bytes
    detail = refused(lambda: raw.put(key, bytes(limit + 1)), NOT_EXECUTED, "value_too_large", codes.INVALID_ARGUMENT)
    equal((detail.len, detail.limit), (limit + 1, limit))
    detail = refused(lambda: raw.put(key, bytes(40 << 20)), NOT_EXECUTED, "message_too_large", codes.INVALID_ARGUMENT)
    equal(detail.limit, (32 << 20) + 4096)
    for wrong in [(slot + 1) % client.routes.slots, client.routes.slots]:
        detail = refused(lambda: raw.put(key, slot=wrong), NOT_EXECUTED, "unknown_slot", codes.INVALID_ARGUMENT)
        equal((detail.slot, detail.slots), (wrong, client.routes.slots))
    detail = refused(lambda: raw.get(key, cluster=bytes(16)), NOT_EXECUTED, "wrong_cluster", codes.FAILED_PRECONDITION)
    equal((detail.given, detail.here), (bytes(16), client.routes.cluster))
    for malformed in [
        lambda: raw.put(key, cluster=b"short"),
        lambda: raw.put(key, conditions=[exists(True)] * 17),
        lambda: raw.put(key, conditions=[Condition()]),
        lambda: raw.put(key, conditions=[version(1, 0)]),
        lambda: raw.put(key, session=SessionWrite(session=1, number=1, answered_below=2)),
        lambda: raw.scan(0, limit_bytes=(1 << 20) + 1),
    ]:
        refused(malformed, NOT_EXECUTED, "malformed", codes.INVALID_ARGUMENT)

    def misrouted(call, reason, role, current=chain.version):
        detail = refused(call, NOT_EXECUTED, "routing", codes.FAILED_PRECONDITION)
        equal((detail.slot, detail.current), (slot, current))
        equal(error_pb2.MismatchReason.Name(detail.reason), f"MISMATCH_REASON_{reason}")
        equal(error_pb2.Role.Name(detail.role), f"ROLE_{role}")
        return detail

    for position, role in [(0, "HEAD"), (1, "MIDDLE")]:
        misrouted(lambda: raw.get(key, kv=raw.at(slot, position)), "WRONG_ROLE", role)
    for position, role in [(1, "MIDDLE"), (2, "TAIL")]:
        misrouted(lambda: raw.put(key, kv=raw.at(slot, position)), "WRONG_ROLE", role)
    newer = chain.version + 1
    equal(misrouted(lambda: raw.put(key, chain_version=newer), "WRONG_VERSION", "HEAD").expected, newer)
    outside = next(node for node in client.routes.nodes if node not in [member.node for member in chain.members])
    detail = refused(lambda: raw.get(key, kv=raw.of_node(outside)), NOT_EXECUTED, "routing")
    equal((detail.reason, detail.role), (error_pb2.MISMATCH_REASON_NO_REPLICA, error_pb2.ROLE_NONE))
    equal(client.get(key).found, False, "nothing of this is stored")
    # An older version is good enough for a node that still has the place.
    equal(raw.put(key, b"v", chain_version=chain.version - 1).chain_version, chain.version)
    equal(raw.get(key, chain_version=0).chain_version, chain.version)
    # What is not from Catena has no details.
    channel = client.nodes.channel(client.routes.place(slot, TAIL).address)
    request = GetRequest(**raw.fields(key))
    zipped = lambda: KvStub(channel).Get(request, compression=grpc.Compression.Gzip, timeout=TIMEOUT)
    refused(zipped, UNKNOWN, None, codes.UNIMPLEMENTED)
    refused(lambda: channel.unary_unary("/catena.v1.Kv/Nothing")(b"", timeout=TIMEOUT), UNKNOWN, None, codes.UNIMPLEMENTED)


def a_number_takes_effect_once(client, key):
    raw = Raw(client)
    slot = client.slot(key)
    session = raw.open(slot).session

    def named(number, answered_below=1):
        return SessionWrite(session=session, number=number, answered_below=answered_below)

    first = raw.put(key, b"1", session=named(1))
    for repeated in [b"1", b"another value"]:
        equal(raw.put(key, repeated, session=named(1)), first)
    second = raw.put(key, b"2", session=named(2))
    equal(raw.put(key, b"1", session=named(1)), first, "the first answer, though the object has changed since")
    found = client.get(key)
    equal((found.value, found.metadata), (b"2", second.metadata))
    refused(lambda: raw.delete(key, session=named(1)), UNKNOWN, "already_answered", grpc.StatusCode.UNKNOWN)
    # A failed condition is an answer, and stays one when the condition has come true.
    condition = [exists(False)]
    failing = lambda: raw.put(key, b"3", session=named(3), conditions=condition)
    equal(refused(failing, NOT_EXECUTED, "condition_failed").object, second.metadata)
    deleted = raw.delete(key, session=named(4))
    equal(refused(failing, NOT_EXECUTED, "condition_failed").object, second.metadata)
    equal(raw.delete(key, session=named(4)), deleted)
    equal(raw.delete(key, session=named(5)).applied, False)
    third = raw.put(key, b"6", session=named(6))
    equal(raw.delete(key, session=named(5)).applied, False, "as it was then")
    # Gaps and late numbers are fine; what was said to be answered is not.
    raw.put(key, b"9", session=named(9, 8))
    raw.put(key, b"8", session=named(8))
    refused(lambda: raw.put(key, b"6", session=named(6)), UNKNOWN, "already_answered")
    refused(lambda: raw.put(key, b"7", session=named(7)), UNKNOWN, "already_answered")
    equal(client.get(key).value, b"8")
    assert client.get(key).metadata.version > third.seq
    # So many answers are kept.
    for number in range(10, 8 + 128):
        raw.put(key, b"%d" % number, session=named(number, 8))
    over = lambda below: raw.put(key, b"over", session=named(8 + 128, below))
    detail = refused(lambda: over(8), NOT_EXECUTED, "backpressure", grpc.StatusCode.RESOURCE_EXHAUSTED)
    equal((detail.resource, detail.current, detail.limit), (error_pb2.RESOURCE_SESSION_WRITES, 128, 128))
    over(9)
    # A session that was never opened is one that has expired; one of a seq to come is nothing that can be told.
    never = SessionWrite(session=first.seq, number=1)
    detail = refused(lambda: raw.put(key, b"never", session=never), UNKNOWN, "session_expired", grpc.StatusCode.UNKNOWN)
    equal((detail.slot, detail.session), (slot, first.seq))
    beyond = SessionWrite(session=first.seq + 10**6, number=1)
    refused(lambda: raw.put(key, b"never", session=beyond), NOT_EXECUTED, "not_caught_up", grpc.StatusCode.UNAVAILABLE)
    equal(client.get(key).value, b"over")


def a_stream_carries_many_calls_at_once(client, key):
    raw = Raw(client)
    slot, count = client.slot(key), 1000
    stream = Stream(client.nodes.channel(client.routes.place(slot, HEAD).address))
    session = stream.send(open_session=OpenSessionRequest(slot=slot, chain_version=0)).result(TIMEOUT).session
    puts = []
    for number in range(1, count + 1):
        write = SessionWrite(session=session, number=number, answered_below=max(1, number - 100))
        puts.append(stream.send(put=PutRequest(**raw.fields(key, value=b"%d" % number, session=write))))
        if number >= 100:
            puts[number - 100].result(TIMEOUT)
    seqs = [put.result(TIMEOUT).seq for put in puts]
    equal(seqs, sorted(set(seqs)), "writes of a stream are ordered as they were sent")
    equal(client.get(key).value, b"%d" % count)
    # Under the session, since then the head needs no lease to say so.
    failing = SessionWrite(session=session, number=count + 1, answered_below=count)
    bad = stream.send(put=PutRequest(**raw.fields(key, conditions=[exists(False)], session=failing)))
    good = stream.send(delete=DeleteRequest(**raw.fields(key)))
    refused(lambda: bad.result(TIMEOUT), NOT_EXECUTED, "condition_failed", grpc.StatusCode.ABORTED.value[0])
    equal(good.result(TIMEOUT).applied, True)
    refused(lambda: stream.send().result(TIMEOUT), NOT_EXECUTED, "malformed")
    refused(lambda: stream.send(get=GetRequest(**raw.fields(key))).result(TIMEOUT), NOT_EXECUTED, "routing")
    late = stream.send(put=PutRequest(**raw.fields(key, value=b"late")))
    equal(stream.close(), grpc.StatusCode.OK)
    assert late.result(0).seq > seqs[-1], "what was sent before the half-close is answered"


def scans_give_every_object_once_and_in_order(client):
    slots = client.routes.slots
    written = {b"scan %d" % number: b"x" * (number % 500) for number in range(400)}
    for key, value in written.items():
        client.put(key, value)
    for key in list(written)[::7]:
        client.delete(key)
        del written[key]
    for limit in [0, 1, 700, 1 << 20]:
        found = {}
        for slot in range(slots):
            page = list(client.scan(slot, limit))
            keys = [entry.key for entry in page]
            equal(keys, sorted(set(keys)))
            assert all(slot_of(key, slots) == slot for key in keys)
            found |= {entry.key: entry.value for entry in page if entry.key.startswith(b"scan ")}
        equal(found, written)


def increments_of_many_are_all_counted(client):
    key, writers, each = b"counter", 8, 25
    client.put(key, b"0")
    in_threads(writers, lambda _: [increment(client, key) for _ in range(each)])
    equal(client.get(key).value, b"%d" % (writers * each))


def increment(client, key):
    """Adds one by compare-and-set."""
    while True:
        found = client.get(key)
        try:
            return client.put(key, b"%d" % (int(found.value) + 1), version(found.metadata.version))
        except Failure as failure:
            if failure.reason != "condition_failed":
                raise


def in_threads(count, work):
    """Runs it so many times at once, with the number of each; fails if any does."""
    failures = []

    def run(number):
        try:
            work(number)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(number,), daemon=True) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for failure in failures:
        raise failure


def steadily(story, client):
    """Tells a story of single calls, which go by the route as it is. Where a chain has changed meanwhile, since the machine
    has stood still, it begins anew, with another key."""
    for attempt in itertools.count():
        versions = client.routes.versions()
        try:
            return story(client, f"{story.__name__} {attempt}".encode())
        except (AssertionError, Failure):
            time.sleep(1)
            if attempt == 5 or client.routes.versions() == versions:
                raise


def basics(endpoint, document):
    the_documents_vectors_hold(document)
    refused(lambda: Client(["127.0.0.1:1"], call_timeout=0.2), NOT_EXECUTED, "unreachable")
    # Of several coordinators, one that is not there does no harm.
    client = Client(["127.0.0.1:1", endpoint], call_timeout=TIMEOUT)
    the_route_names_every_chain_and_node(client)
    objects_are_written_read_and_removed(client)
    conditions_decide(client)
    steadily(every_refusal_says_why, client)
    steadily(a_number_takes_effect_once, client)
    steadily(a_stream_carries_many_calls_at_once, client)
    scans_give_every_object_once_and_in_order(client)
    increments_of_many_are_all_counted(client)
    print("verified every call and every refusal", flush=True)
    client.close()


class Forgetful(Client):
    """A client that loses every tenth answer to a write, as a broken connection would."""

    lost = 0

    def attempt(self, send, kv, version, timeout):
        answer = super().attempt(send, kv, version, timeout)
        if isinstance(answer, (PutResponse, DeleteResponse)) and random.random() < 0.1:
            self.lost += 1
            raise Failure(UNKNOWN, None, "the answer is lost")
        return answer


class Ledger:
    """What was acknowledged in one slot."""

    def __init__(self):
        self.lock, self.writes = threading.Lock(), []

    def note(self, seq, key, value):
        with self.lock:
            self.writes.append((seq, key, value))

    def check(self, slot, client):
        """Every write that was acknowledged is one entry of the slot's history, and there are no others: so none is lost,
        and none was done twice. The last of each key is there."""
        self.writes.sort(key=lambda write: write[0])
        seqs = [seq for seq, _, _ in self.writes]
        first = seqs[0]
        equal(seqs, list(range(first, first + len(seqs))), f"slot {slot}")
        for key, (seq, value) in {key: (seq, value) for seq, key, value in self.writes}.items():
            found = client.get(key)
            wanted = (False, b"", 0) if value is None else (True, value, seq)
            equal((found.found, found.value, found.metadata.version), wanted, key)


def failover(endpoint):
    # One call may have to wait for a chain that heals on a busy machine.
    client = Forgetful([endpoint], call_timeout=TIMEOUT)
    slots = client.routes.slots
    *written, counted = range(slots)
    ledgers = {slot: Ledger() for slot in written}
    keepsakes = {slot: keepsake(client, slot) for slot in range(slots)}
    for slot, ledger in ledgers.items():
        # Opens the slot's session, which is an entry, too.
        key = next(keys_of(slot, slots, "first"))
        ledger.note(client.put(key, b"first").seq, key, b"first")
    counter = next(keys_of(counted, slots, "counter"))
    client.put(counter, b"0")
    stop, acknowledged = threading.Event(), [0] * 12

    def count(number):
        while not stop.is_set():
            increment(client, counter)
            acknowledged[number] += 1

    def write(number):
        slot = written[number % len(written)]
        keys = list(itertools.islice(keys_of(slot, slots, f"writer {number}, key"), 10))
        for turn in itertools.count():
            if stop.is_set():
                return
            key, value = keys[turn % len(keys)], b"%d" % turn
            ledgers[slot].note(client.put(key, value).seq, key, value)
            if turn % 5 == 0:
                equal(client.get(key).value, value, "a read sees what was acknowledged before")
            if turn % 7 == 0:
                deleted = client.delete(key)
                equal(deleted.applied, True, key)
                ledgers[slot].note(deleted.seq, key, None)
            acknowledged[number] += 1

    def work(number):
        try:
            (count if number < 3 else write)(number)
        except BaseException:
            # At once: nobody is to wait for what does not come.
            traceback.print_exc()
            os._exit(1)

    def report():
        while not stop.wait(0.02):
            print(f"acknowledged {sum(acknowledged)}", flush=True)

    def until_input_ends():
        sys.stdin.read()
        stop.set()

    for thread in [report, until_input_ends]:
        threading.Thread(target=thread, daemon=True).start()
    in_threads(len(acknowledged), work)
    for slot, ledger in ledgers.items():
        ledger.check(slot, client)
    equal(client.get(counter).value, b"%d" % sum(acknowledged[:3]), "an increment was lost, or done twice")
    for slot, again in keepsakes.items():
        again(slot)
    assert client.lost > 0
    print(f"verified {sum(acknowledged)} writes, {client.lost} lost answers, chains {client.routes.versions()}", flush=True)
    client.close()


def keepsake(client, slot):
    """Writes under a session that is not used otherwise. Returns what sends the same write once more, and demands the same
    answer."""
    raw = Raw(client)
    key = next(keys_of(slot, client.routes.slots, "keepsake"))
    write = SessionWrite(session=client.open_session(slot), number=1, answered_below=1)

    def send(kv, version, timeout):
        return kv.Put(PutRequest(**raw.fields(key, value=b"kept", chain_version=version, session=write)), timeout=timeout)

    first = client.call(slot, HEAD, send, repeatable=True)

    def again(slot):
        equal(client.call(slot, HEAD, send, repeatable=True), first, "another head gives the first answer")
        equal(client.get(key).metadata, first.metadata)

    return again


if __name__ == "__main__":
    {"basics": basics, "failover": failover}[sys.argv[1]](*sys.argv[2:])
