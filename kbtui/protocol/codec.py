"""Frames to typed messages and back. Pure; reading never raises, whatever a server sends."""

from __future__ import annotations

import json
import math
from typing import Any, Final

import msgspec

from kbtui.protocol.messages import (
    ExtractionLog,
    Message,
    Progress,
    Request,
    RequestId,
    Response,
    Unrecognised,
)
from kbtui.protocol.stages import NAMED_STEPS

SAMPLE_BYTES: Final = 200
UNKNOWN_KIND: Final = "neither a response nor a progress report"
"""The reason of an `Unrecognised` that is a JSON object all the same: perhaps of a newer server."""

_OPTIONAL_PROGRESS_FIELDS: Final = (
    "total_stages",
    "timestamp",
    "duration",
    "error",
    "request_id",
    "document_id",
    "sequence",
    "current",
    "total",
)


class MalformedRequest(ValueError):
    """A frame from a client that is no request; its text is fit to be sent back as the error."""


class _Frame(msgspec.Struct):
    """Every field any message has, each as loosely typed as servers treat it."""

    type: Any = None
    id: Any = msgspec.UNSET
    result: Any = msgspec.UNSET
    error: Any = msgspec.UNSET
    stage: Any = None
    step: Any = None
    status: Any = None
    message: Any = None
    total_stages: Any = None
    duration: Any = None
    timestamp: Any = None
    request_id: Any = None
    document_id: Any = None
    document_name: Any = None
    event_type: Any = None
    data: Any = None
    sequence: Any = None
    current: Any = None
    total: Any = None


_decode_frame = msgspec.json.Decoder(_Frame).decode
_encode = msgspec.json.Encoder().encode


def parse_message(raw: str | bytes) -> Message:
    """Read one frame from a server. What cannot be read becomes `Unrecognised`; never raises."""
    try:
        frame = _decode_frame(raw)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        lenient = _decode_leniently(raw)
        if not isinstance(lenient, dict):
            return Unrecognised(_one_line(error), _sample(raw))
        known = {k: v for k, v in lenient.items() if k in _Frame.__struct_fields__}
        frame = _Frame(**known)
    if frame.type == "progress":
        return _progress(frame)
    if frame.type == "extraction_log":
        return ExtractionLog(
            document_id=_text_or_none(frame.document_id),
            document_name=_text_or_none(frame.document_name),
            event_type=_text(frame.event_type),
            data=frame.data if isinstance(frame.data, dict) else {},
        )
    if frame.id is not msgspec.UNSET and (
        frame.result is not msgspec.UNSET or frame.error is not msgspec.UNSET
    ):
        return _response(frame)
    return Unrecognised(UNKNOWN_KIND, _sample(raw))


def parse_request(raw: str | bytes) -> Request:
    """Read one frame from a client.

    Raises MalformedRequest with a sentence for the client where the frame is no request.
    """
    try:
        body = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise MalformedRequest(f"the request is not valid JSON: {_one_line(error)}") from None
    if not isinstance(body, dict):
        raise MalformedRequest("the request is not a JSON object")
    method, params, request_id = body.get("method"), body.get("params"), body.get("id")
    if not isinstance(method, str) or not method:
        raise MalformedRequest("the request has no method")
    if params is None:
        params = {}
    if not isinstance(params, dict):
        raise MalformedRequest("the request's params are not an object")
    if isinstance(request_id, bool) or not isinstance(request_id, str | int | None):
        raise MalformedRequest("the request's id is neither a string nor an integer")
    return Request(method, params, request_id)


def encode_request(request: Request) -> str:
    """One frame for the wire; `params` must be JSON-able."""
    return _encode(request).decode()


def encode_response(request_id: RequestId, *, result: Any = None, error: str | None = None) -> str:
    """KBV2's exact envelope: all three keys, always."""
    return _encode({"result": result, "error": error, "id": request_id}).decode()


def encode_progress(progress: Progress) -> str:
    """A progress frame that serves both kinds of client.

    `type`, a numeric `stage`, `status` and `message` are always there, as KBV2 clients expect;
    what is None is left out.
    """
    frame: dict[str, Any] = {
        "type": "progress",
        "stage": _whole_if_possible(progress.stage or 0),
        "status": progress.status,
        "message": progress.message,
    }
    for field in _OPTIONAL_PROGRESS_FIELDS:
        value = getattr(progress, field)
        if value is not None:
            frame[field] = value
    return _encode(frame).decode()


def _progress(frame: _Frame) -> Progress:
    stage, label = _stage_of(frame)
    status = _text(frame.status)
    duration = _number_or_none(frame.duration)
    error = None if frame.error is msgspec.UNSET else _text_or_none(frame.error)
    return Progress(
        stage=stage,
        status=status,
        message=_text(frame.message),
        label=label,
        total_stages=_count_or_none(frame.total_stages),
        duration=duration,
        timestamp=_number_or_none(frame.timestamp),
        error=error,
        final=duration is not None and status in ("completed", "failed"),
        request_id=_text_or_none(frame.request_id),
        document_id=_text_or_none(frame.document_id),
        sequence=_count_or_none(frame.sequence),
        current=_count_or_none(frame.current),
        total=_count_or_none(frame.total),
    )


def _stage_of(frame: _Frame) -> tuple[float | None, str | None]:
    """The stage's number and the server's name for it, from `stage` or `step`."""
    number = _number_or_none(frame.stage)
    if number is not None:
        return number, None
    if frame.stage == "started":
        return 0.0, "started"  # the outer layer's, before the step of that name
    for value in (frame.stage, frame.step):
        number = _number_or_none(value)
        if number is not None:
            return number, None
        if isinstance(value, str) and value:
            return NAMED_STEPS.get(value), value
    return None, None


def _response(frame: _Frame) -> Response:
    request_id = frame.id
    if isinstance(request_id, float) and request_id.is_integer():
        request_id = int(request_id)
    if isinstance(request_id, bool) or not isinstance(request_id, str | int | None):
        request_id = _text(request_id)
    result = None if frame.result is msgspec.UNSET else frame.result
    error = None if frame.error is msgspec.UNSET else frame.error
    return Response(request_id, result, None if error is None else _text(error))


def _decode_leniently(raw: str | bytes) -> Any:
    """A second try with the standard library: NaN, Infinity, lone surrogates, a BOM."""
    try:
        text = raw.decode("utf-8-sig", "replace") if isinstance(raw, bytes) else raw
        value = json.loads(text.lstrip("\ufeff"))
        # Once more through text, which replaces lone surrogates wherever they are.
        return json.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None


def _text(value: Any) -> str:
    """Any JSON value as text."""
    if type(value) is str:
        return value  # neither decoder lets a lone surrogate through
    if value is None or value is msgspec.UNSET:
        return ""
    try:
        return json.dumps(value, ensure_ascii=False)
    except (RecursionError, ValueError):
        # What the decoder could just read, called from as deep as this, cannot be written.
        return "(too large to show)"


def _text_or_none(value: Any) -> str | None:
    return None if value is None else _text(value)


def _number_or_none(value: Any) -> float | None:
    # A boolean is no number: its type is neither of the two.
    if type(value) is not float and type(value) is not int:
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _count_or_none(value: Any) -> int | None:
    if value is None:
        return None
    number = _number_or_none(value)
    return None if number is None else int(number)


def _whole_if_possible(number: float) -> float:
    return int(number) if float(number).is_integer() else number


def _sample(raw: str | bytes) -> bytes:
    data = raw.encode("utf-8", "replace") if isinstance(raw, str) else bytes(raw)
    return data[:SAMPLE_BYTES]


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
