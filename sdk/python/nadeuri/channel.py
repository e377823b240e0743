"""The channel under all stubs: it adds request ids, deadlines, retries and typed errors."""

from __future__ import annotations

import itertools
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import grpc
from google.protobuf import descriptor_pool
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.descriptor_pb2 import MethodOptions
from google.protobuf.message import Message

from nadeuri.error import Error

DEADLINE_S = 15.0
ATTEMPTS = 4
# Without keepalive, a stream without events would not notice a lost connection.
_KEEPALIVE_MS = 60_000

Token = str | Callable[[], str]


def connect(
    address: str,
    token: Token | None = None,
    *,
    ca: Path | str | None = None,
    headers: Mapping[str, str] | None = None,
    deadline_s: float = DEADLINE_S,
    attempts: int = ATTEMPTS,
) -> grpc.Channel:
    """Connects to a server at the first call. Close the channel when you are done.

    `address` is `http://HOST:PORT` or, for TLS, `https://HOST:PORT`. `token` is sent with each call; a function is called
    for each, so that the token can be renewed. `ca` is a PEM file of the certificates to trust instead of the machine's.
    `deadline_s` limits a call with all its attempts, unless the call sets its own `timeout`.
    """
    url = urlsplit(address)
    if url.scheme not in ("http", "https") or not url.hostname:
        raise ValueError(f"{address!r} is no address: give http://HOST:PORT, or https://HOST:PORT for TLS")
    options = [("grpc.keepalive_time_ms", _KEEPALIVE_MS)]
    if url.scheme == "https":
        roots = Path(ca).read_bytes() if ca else None
        target = f"{url.hostname}:{url.port or 443}"
        channel = grpc.secure_channel(target, grpc.ssl_channel_credentials(roots), options)
    else:
        channel = grpc.insecure_channel(f"{url.hostname}:{url.port or 80}", options)
    return grpc.intercept_channel(channel, _Layer(token, dict(headers or {}), deadline_s, attempts))


class _Details(
    NamedTuple(
        "_Details",
        [
            ("method", str),
            ("timeout", float | None),
            ("metadata", Any),
            ("credentials", Any),
            ("wait_for_ready", Any),
            ("compression", Any),
        ],
    ),
    grpc.ClientCallDetails,
):
    """The call details of grpcio, which has no public class for them."""


class _Layer(grpc.UnaryUnaryClientInterceptor, grpc.UnaryStreamClientInterceptor):
    def __init__(self, token: Token | None, headers: dict[str, str], deadline_s: float, attempts: int) -> None:
        self._token = token
        self._headers = headers
        self._deadline_s = deadline_s
        self._attempts = attempts

    def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
        method = _method(details.method)
        request = _with_request_id(request)
        ends = time.monotonic() + (self._deadline_s if details.timeout is None else details.timeout)
        for attempt in itertools.count(1):
            call = continuation(self._details(details, ends - time.monotonic()), request)
            failed = call.exception()
            if failed is None:
                return call
            error = Error.of(failed)
            pause = error.pause_s(attempt)
            is_last = attempt >= self._attempts or not _is_repeatable(method)
            if is_last or pause is None or time.monotonic() + pause >= ends:
                raise error from failed
            time.sleep(pause)

    def intercept_unary_stream(self, continuation: Any, details: Any, request: Any) -> Any:
        return _Stream(continuation(self._details(details, details.timeout), request))

    def _details(self, details: Any, timeout: float | None) -> _Details:
        metadata = [*(details.metadata or ()), *self._headers.items()]
        if self._token is not None:
            token = self._token if isinstance(self._token, str) else self._token()
            metadata.append(("authorization", f"Bearer {token}"))
        return _Details(
            details.method, timeout, metadata, details.credentials, details.wait_for_ready, details.compression
        )


class _Stream:
    """The responses of a stream; a failure raises `Error`."""

    def __init__(self, call: Any) -> None:
        self._call = call

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        try:
            return next(self._call)
        except grpc.RpcError as failed:
            raise Error.of(failed) from failed

    def cancel(self) -> None:
        self._call.cancel()


def _method(path: str) -> MethodDescriptor | None:
    """The descriptor of a method such as `/nadeuri.rental.v1.RentalService/ReserveCar`; none if it is not in the contracts."""
    try:
        return descriptor_pool.Default().FindMethodByName(path.removeprefix("/").replace("/", "."))
    except KeyError:
        return None


def _is_repeatable(method: MethodDescriptor | None) -> bool:
    """Whether the contract says that the call is safe to repeat with the same request id."""
    return method is not None and method.GetOptions().idempotency_level != MethodOptions.IDEMPOTENCY_UNKNOWN


def _with_request_id(request: Message) -> Message:
    """A copy of the request with a request id, if it has that field; the caller's own stays unchanged."""
    if "request_id" not in request.DESCRIPTOR.fields_by_name or getattr(request, "request_id"):
        return request
    copy = type(request)()
    copy.CopyFrom(request)
    setattr(copy, "request_id", str(uuid.uuid4()))
    return copy
