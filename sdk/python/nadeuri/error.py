"""The error of a failed call, and when to retry."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2

# The pauses between attempts if the server sets no delay, in seconds: doubled each time, with jitter so that clients that
# failed together don't retry together.
FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 2.0

# Codes on which a retry may help without a delay from the server: no server answered.
_PASSING = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


@dataclass(frozen=True)
class Violation:
    """An invalid field of the request."""

    field: str
    """Its path, such as `car.daily_rate.currency_code`."""
    description: str
    """What is expected."""


class Error(grpc.RpcError):
    """The error of a failed call. Its `__cause__` is the gRPC error."""

    def __init__(self, code: grpc.StatusCode, message: str, found: Sequence[any_pb2.Any] = ()) -> None:
        self._code = code
        self._message = message
        self.reason = ""
        """The reason for programs, such as `PERIOD_TAKEN`; empty if no server of Nadeuri answered."""
        self.violations: list[Violation] = []
        """The invalid fields, if the reason is `INVALID_FIELDS`."""
        self.retry_delay: float | None = None
        """The server's retry delay in seconds, if it sets one."""
        for detail in found:
            self._read(detail)
        super().__init__(f"{self.reason or code.name}: {message}")

    def code(self) -> grpc.StatusCode:
        """The status code; a method, as in every error of grpcio."""
        return self._code

    def details(self) -> str:
        """The message for people."""
        return self._message

    def _read(self, detail: any_pb2.Any) -> None:
        info = error_details_pb2.ErrorInfo()
        fields = error_details_pb2.BadRequest()
        retry = error_details_pb2.RetryInfo()
        if detail.Unpack(info):
            self.reason = info.reason
        elif detail.Unpack(fields):
            self.violations = [Violation(found.field, found.description) for found in fields.field_violations]
        elif detail.Unpack(retry):
            self.retry_delay = retry.retry_delay.ToMicroseconds() / 1_000_000

    @staticmethod
    def of(failed: Any) -> Error:
        """The typed error of a gRPC error."""
        status = status_pb2.Status()
        for key, value in failed.trailing_metadata() or ():
            if key == "grpc-status-details-bin" and isinstance(value, bytes):
                status.ParseFromString(value)
        return Error(failed.code(), failed.details() or "", status.details)

    def pause_s(self, attempt: int) -> float | None:
        """The pause after this attempt (the first is 1); `None` if another would not help."""
        if self.retry_delay is not None:
            return self.retry_delay + random.uniform(0, FIRST_PAUSE_S)
        if self._code in _PASSING:
            return random.uniform(0, min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2**attempt))
        return None
