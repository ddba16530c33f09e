"""A client of Catena in Python, written from docs/api.md alone.

The modules of `catena.v1` are generated from the .proto files:

    python -m grpc_tools.protoc -I net/proto --python_out=stubs --grpc_python_out=stubs \
        catena/v1/common.proto catena/v1/error.proto catena/v1/kv.proto catena/v1/coordination.proto
"""

import queue
import random
import threading
import time
import zlib
from concurrent.futures import Future
from typing import NamedTuple

import grpc
from catena.v1 import error_pb2
from catena.v1.coordination_pb2 import GetRouteRequest
from catena.v1.coordination_pb2_grpc import CoordinationStub
from catena.v1.kv_pb2 import (
    COMPARISON_EQ,
    Condition,
    DeleteRequest,
    GetRequest,
    OpenSessionRequest,
    PutRequest,
    ScanRequest,
    SessionRequest,
    SessionWrite,
)
from catena.v1.kv_pb2_grpc import KvStub
from google.protobuf.message import DecodeError

WIRE_VERSION = 2

NOT_EXECUTED = error_pb2.KIND_NOT_EXECUTED
UNKNOWN = error_pb2.KIND_UNKNOWN

HEAD, TAIL = 0, -1

# Repeating does not help, or is not for the client to decide.
FINAL = {
    "key_empty",
    "key_too_long",
    "value_too_large",
    "unknown_slot",
    "malformed",
    "message_too_large",
    "wrong_cluster",
    "condition_failed",
    "session_expired",
    "already_answered",
}

CHANNEL_OPTIONS = [
    ("grpc.max_receive_message_length", 64 << 20),
    ("grpc.max_send_message_length", -1),
    ("grpc.keepalive_time_ms", 2_000),
    ("grpc.keepalive_timeout_ms", 4_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.enable_retries", 0),
    # So that a new channel dials at once, whatever became of one before.
    ("grpc.use_local_subchannel_pool", 1),
]


def slot_of(key, slots):
    return zlib.crc32(key) % slots


def exists(there):
    return Condition(exists=there)


def version(value, comparison=COMPARISON_EQ):
    return Condition(version=Condition.VersionTest(comparison=comparison, version=value))


def updated_at(value, comparison=COMPARISON_EQ):
    return Condition(updated_at=Condition.UpdatedAtTest(comparison=comparison, updated_at_ns=value))


class Failure(Exception):
    """Why a call did not give a result, and what may be concluded."""

    def __init__(self, kind, reason, message, detail=None, code=None):
        super().__init__(f"{error_pb2.Kind.Name(kind)}, {reason}: {message}")
        self.kind, self.reason, self.message, self.detail, self.code = kind, reason, message, detail, code

    @classmethod
    def of_detail(cls, detail, code, message):
        # What is not said to be not executed may have been.
        kind = NOT_EXECUTED if detail.kind == NOT_EXECUTED else UNKNOWN
        reason = detail.WhichOneof("reason")
        return cls(kind, reason, message, getattr(detail, reason) if reason else None, code)

    @classmethod
    def of_status(cls, error):
        code, message = error.code(), error.details()
        for name, value in error.trailing_metadata() or ():
            if name == "grpc-status-details-bin":
                try:
                    return cls.of_detail(error_pb2.ErrorDetail.FromString(value), code, message)
                except DecodeError:
                    break
        return cls(UNKNOWN, None, f"{code}: {message}", code=code)

    def of_kind(self, kind):
        return Failure(kind, self.reason, self.message, self.detail, self.code)


def connect(address, timeout):
    """A channel whose connection has come about: what fails here was never sent."""
    channel = grpc.insecure_channel(address, CHANNEL_OPTIONS)
    states = queue.Queue()
    channel.subscribe(states.put, try_to_connect=True)
    deadline = time.monotonic() + timeout
    try:
        while True:
            state = states.get(timeout=max(deadline - time.monotonic(), 0))
            if state is grpc.ChannelConnectivity.READY:
                channel.unsubscribe(states.put)
                return channel
            if state is grpc.ChannelConnectivity.TRANSIENT_FAILURE:
                break
    except queue.Empty:
        pass
    channel.close()
    raise Failure(NOT_EXECUTED, "unreachable", f"{address} is not reached")


class Place(NamedTuple):
    address: str
    version: int


class Routes:
    """Where everything is, as the coordinators say; a thread follows what changes."""

    def __init__(self, endpoints, timeout):
        self.endpoints = endpoints
        self.cluster, self.slots, self.revision = b"", 0, 0
        self.max_key_bytes, self.max_value_bytes = 0, 0
        self.chains, self.nodes = {}, {}
        self._changed = threading.Condition()
        self._stream, self._closed = None, False
        self._fetch(timeout)
        threading.Thread(target=self._follow, daemon=True).start()

    def _fetch(self, timeout):
        """The first route, from whichever coordinator gives it."""
        deadline = time.monotonic() + timeout
        while True:
            for endpoint in self.endpoints:
                try:
                    with connect(endpoint, 1) as channel:
                        return self._learn(CoordinationStub(channel).GetRoute(GetRouteRequest(), timeout=1))
                except grpc.RpcError as error:
                    failure = Failure.of_status(error)
                except Failure as unreachable:
                    failure = unreachable
            if time.monotonic() >= deadline:
                raise failure.of_kind(NOT_EXECUTED)
            time.sleep(0.05)

    def _follow(self):
        turn = 0
        while not self._closed:
            try:
                with connect(self.endpoints[turn % len(self.endpoints)], 1) as channel:
                    self._stream = CoordinationStub(channel).WatchRoute(GetRouteRequest(cluster=self.cluster))
                    for route in self._stream:
                        self._learn(route)
            except (grpc.RpcError, Failure):
                pass  # the next one, then; what is known stays good
            turn += 1
            time.sleep(0.05)

    def _learn(self, route):
        if route.wire_version != WIRE_VERSION:
            raise Failure(NOT_EXECUTED, "wrong_wire_version", f"the cluster speaks version {route.wire_version}")
        with self._changed:
            for chain in route.chains:
                if chain.slot not in self.chains or self.chains[chain.slot].version < chain.version:
                    self.chains[chain.slot] = chain
            for record in route.nodes:
                if route.revision >= self.revision or record.node not in self.nodes:
                    self.nodes[record.node] = record
            self.revision = max(self.revision, route.revision)
            self.cluster, self.slots = route.cluster, route.slots
            self.max_key_bytes, self.max_value_bytes = route.max_key_bytes, route.max_value_bytes
            self._changed.notify_all()

    def place(self, slot, end):
        """Where the calls of a slot go; `None`: nowhere yet."""
        with self._changed:
            chain = self.chains.get(slot)
            record = chain and self.nodes.get(chain.members[end].node)
            return record and Place(record.address, chain.version)

    def versions(self):
        """Of every slot, its chain's version."""
        with self._changed:
            return {slot: chain.version for slot, chain in sorted(self.chains.items())}

    def await_change(self, slot, end, place, timeout):
        """Waits for another place of the slot's calls. Whether there is one."""
        with self._changed:
            return self._changed.wait_for(lambda: self.place(slot, end) != place, timeout)

    def close(self):
        self._closed = True
        if self._stream:
            self._stream.cancel()


class Nodes:
    """Connections to storage nodes, by address."""

    def __init__(self):
        self._lock, self._locks, self._channels = threading.Lock(), {}, {}

    def channel(self, address, timeout=1):
        with self._lock:
            lock = self._locks.setdefault(address, threading.Lock())
        with lock:
            if address not in self._channels:
                self._channels[address] = connect(address, timeout)
            return self._channels[address]

    def forget(self, address, channel):
        """The connection is lost, or of no use; those who still have a call on it keep it."""
        with self._lock:
            if self._channels.get(address) is channel:
                del self._channels[address]

    def close(self):
        for channel in self._channels.values():
            channel.close()


class Session:
    """A session of one slot, and which numbers of it are unanswered."""

    # Below what the head keeps of answers, counted from the lowest unanswered number.
    SPREAD = 128
    # Half of what the cluster lets a session be idle for.
    IDLE_SECONDS = 300

    def __init__(self, name, since):
        self.name, self.used = name, since
        self.next, self.unanswered = 1, set()

    def has_room(self):
        return not self.unanswered or self.next - min(self.unanswered) < self.SPREAD

    def is_fresh(self):
        return time.monotonic() - self.used < self.IDLE_SECONDS


class Client:
    """Reads and writes. Any number of threads may share one."""

    def __init__(self, endpoints, call_timeout=10.0, try_timeout=2.0):
        self.call_timeout, self.try_timeout = call_timeout, try_timeout
        self.routes, self.nodes = Routes(endpoints, call_timeout), Nodes()
        # By slot. Numbers are given and returned under the lock; sessions are opened under that of their slot.
        self.sessions, self._numbers, self._opening = {}, threading.Condition(), {}

    def close(self):
        self.routes.close()
        self.nodes.close()

    def slot(self, key):
        return slot_of(key, self.routes.slots)

    def get(self, key):
        slot = self.slot(key)

        def send(kv, version, timeout):
            request = GetRequest(cluster=self.routes.cluster, slot=slot, chain_version=version, key=key)
            return kv.Get(request, timeout=timeout)

        return self.call(slot, TAIL, send, repeatable=True)

    def scan(self, slot, limit_bytes=0):
        """All objects of a slot, page by page."""
        after = b""
        while True:

            def send(kv, version, timeout, after=after):
                request = ScanRequest(
                    cluster=self.routes.cluster, slot=slot, chain_version=version, after=after, limit_bytes=limit_bytes
                )
                return kv.Scan(request, timeout=timeout)

            page = self.call(slot, TAIL, send, repeatable=True)
            yield from page.objects
            if not page.next:
                return
            after = page.next

    def put(self, key, value, *conditions, once=True):
        """Creates or replaces an object; exactly once, or without a session at most once."""
        slot = self.slot(key)

        def send(kv, version, timeout, write=None):
            request = PutRequest(
                cluster=self.routes.cluster,
                slot=slot,
                chain_version=version,
                key=key,
                value=value,
                conditions=conditions,
                session=write,
            )
            return kv.Put(request, timeout=timeout)

        return self._write(slot, send, once)

    def delete(self, key, *conditions, once=True):
        slot = self.slot(key)

        def send(kv, version, timeout, write=None):
            request = DeleteRequest(
                cluster=self.routes.cluster, slot=slot, chain_version=version, key=key, conditions=conditions, session=write
            )
            return kv.Delete(request, timeout=timeout)

        return self._write(slot, send, once)

    def open_session(self, slot):
        """The name of a new session."""

        def send(kv, version, timeout):
            request = OpenSessionRequest(cluster=self.routes.cluster, slot=slot, chain_version=version)
            return kv.OpenSession(request, timeout=timeout)

        return self.call(slot, HEAD, send, repeatable=True).session

    def _write(self, slot, send, once):
        if not once:
            return self.call(slot, HEAD, send, repeatable=False)
        session, number = self._take_number(slot)
        since = time.monotonic()

        def send_numbered(kv, version, timeout):
            with self._numbers:
                write = SessionWrite(session=session.name, number=number, answered_below=min(session.unanswered))
            return send(kv, version, timeout, write)

        answered = False
        try:
            answer = self.call(slot, HEAD, send_numbered, repeatable=True)
            answered = True
            return answer
        except Failure as failure:
            answered = failure.reason == "condition_failed"
            if failure.reason == "session_expired":
                with self._numbers:
                    if self.sessions.get(slot) is session:
                        del self.sessions[slot]
            raise
        finally:
            with self._numbers:
                # Answered, or given up: nobody asks for it again.
                session.unanswered.remove(number)
                if answered:
                    session.used = max(session.used, since)
                self._numbers.notify_all()

    def _take_number(self, slot):
        deadline = time.monotonic() + self.call_timeout
        while True:
            session = self._session(slot)
            with self._numbers:
                if self._numbers.wait_for(session.has_room, deadline - time.monotonic()):
                    number = session.next
                    session.next += 1
                    session.unanswered.add(number)
                    return session, number
            raise Failure(NOT_EXECUTED, "no_turn", f"slot {slot}: too many writes are unanswered")

    def _session(self, slot):
        with self._numbers:
            opening = self._opening.setdefault(slot, threading.Lock())
        with opening:
            session = self.sessions.get(slot)
            if session is None or not session.is_fresh():
                since = time.monotonic()
                session = Session(self.open_session(slot), since)
                with self._numbers:
                    self.sessions[slot] = session
            return session

    def attempt(self, send, kv, version, timeout):
        """One try."""
        try:
            return send(kv, version, timeout)
        except grpc.RpcError as error:
            raise Failure.of_status(error) from None

    def call(self, slot, end, send, repeatable):
        """Tries until there is an answer, as far as errors let it."""
        deadline = time.monotonic() + self.call_timeout
        kind, waits, timeouts = NOT_EXECUTED, 0, 0
        while True:
            place = self.routes.place(slot, end)
            left = deadline - time.monotonic()
            if place is None:
                failure = Failure(NOT_EXECUTED, "no_chain", f"slot {slot} has no chain yet")
            else:
                channel = None
                try:
                    channel = self.nodes.channel(place.address)
                    limit = self.try_timeout * 2**timeouts if repeatable else left
                    return self.attempt(send, KvStub(channel), place.version, max(min(limit, left), 0.001))
                except Failure as failed:
                    failure = failed
                if failure.kind == UNKNOWN:
                    kind = UNKNOWN
                if failure.code is grpc.StatusCode.DEADLINE_EXCEEDED:
                    timeouts += 1
                elif failure.reason is None and failure.code is grpc.StatusCode.UNAVAILABLE:
                    self.nodes.forget(place.address, channel)
                if failure.reason == "condition_failed":
                    raise failure  # the write's answer, whatever became of the tries before
                if failure.reason in FINAL or (failure.kind == UNKNOWN and not repeatable):
                    raise failure.of_kind(kind)
            left = deadline - time.monotonic()
            if left <= 0:
                raise failure.of_kind(kind)
            bound = min(0.002 * 2**waits, 0.1)
            waits += 1
            if self.routes.await_change(slot, end, place, min(bound * random.uniform(0.5, 1), left)):
                waits = 0


class Stream:
    """`Kv.Session`: many calls over one stream, without waiting for one before the next."""

    def __init__(self, channel):
        self._lock, self._last, self._waiting, self._ended = threading.Lock(), 0, {}, None
        self._requests = queue.SimpleQueue()
        self._responses = KvStub(channel).Session(iter(self._requests.get, None))
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def send(self, **call):
        """Queues a call, such as `put=PutRequest(..)`; the response to come."""
        future = Future()
        with self._lock:
            if self._ended:
                future.set_exception(self._ended)
                return future
            self._last += 1
            self._waiting[self._last] = future
            self._requests.put(SessionRequest(id=self._last, **call))
        return future

    def _read(self):
        try:
            for response in self._responses:
                with self._lock:
                    future = self._waiting.pop(response.id)
                outcome = response.WhichOneof("outcome")
                if outcome == "refused":
                    refused = response.refused
                    future.set_exception(Failure.of_detail(refused.detail, refused.code, refused.message))
                else:
                    future.set_result(getattr(response, outcome))
            failure = Failure(UNKNOWN, None, "the stream has ended")
        except grpc.RpcError as error:
            failure = Failure.of_status(error)
        with self._lock:
            waiting, self._waiting, self._ended = self._waiting, {}, failure
        self._requests.put(None)
        for future in waiting.values():
            future.set_exception(failure)

    def close(self):
        """Half-closes, and waits for what is under way. The code that the stream ends with."""
        self._requests.put(None)
        self._reader.join()
        return self._responses.code()
