"""What a call that failed raises, and when it may be tried again."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2

# The pauses between attempts where the server names none, in seconds: doubled each time, and random, so that clients that
# failed together don't come back together.
FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 2.0

# Codes after which trying again may help even if the server says no more: nobody is there at the moment.
_PASSING = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


@dataclass(frozen=True)
class Violation:
    """A field of the request that can't be taken."""

    field: str
    """Its path, such as `car.daily_rate.currency_code`."""
    description: str
    """What would be right."""


class Error(grpc.RpcError):
    """A call failed. The gRPC error it was made of is its `__cause__`."""

    def __init__(self, code: grpc.StatusCode, message: str, found: Sequence[any_pb2.Any] = ()) -> None:
        self._code = code
        self._message = message
        self.reason = ""
        """What programs go by, such as `PERIOD_TAKEN`; empty if no server of Nadeuri answered."""
        self.violations: list[Violation] = []
        """The fields that can't be taken, when the reason is `INVALID_FIELDS`."""
        self.retry_delay: float | None = None
        """After how many seconds trying again may help, if the server says so."""
        for detail in found:
            self._read(detail)
        super().__init__(f"{self.reason or code.name}: {message}")

    def code(self) -> grpc.StatusCode:
        """The status; a method, as it is of every error of gRPC's."""
        return self._code

    def details(self) -> str:
        """What it says to people."""
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
        """What gRPC tells of a failed call."""
        status = status_pb2.Status()
        for key, value in failed.trailing_metadata() or ():
            if key == "grpc-status-details-bin" and isinstance(value, bytes):
                status.ParseFromString(value)
        return Error(failed.code(), failed.details() or "", status.details)

    def pause_s(self, attempt: int) -> float | None:
        """How long to wait after this attempt (the first is 1) until the next; `None` if another would not help."""
        if self.retry_delay is not None:
            return self.retry_delay + random.uniform(0, FIRST_PAUSE_S)
        if self._code in _PASSING:
            return random.uniform(0, min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2**attempt))
        return None
