"""Whatever a server or a client sends is read without an exception of another kind."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kbtui.protocol.codec import (
    SAMPLE_BYTES,
    UNKNOWN_KIND,
    MalformedRequest,
    encode_progress,
    encode_request,
    encode_response,
    parse_message,
    parse_request,
)
from kbtui.protocol.messages import (
    ExtractionLog,
    Message,
    Progress,
    Request,
    Response,
    Unrecognised,
)
from tests.kbv2.recordings import received_frames, versions

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(10**25), 10**25)
    | st.floats()
    | st.text(st.characters(), max_size=20)
)
anything = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4)
    ),
    max_leaves=12,
)
FIELDS = [
    "type", "id", "result", "error", "stage", "step", "status", "message", "total_stages",
    "duration", "timestamp", "request_id", "document_id", "document_name", "event_type", "data",
    "sequence", "current", "total",
]  # fmt: skip
frames = st.dictionaries(
    st.sampled_from(FIELDS),
    anything | st.sampled_from(["progress", "extraction_log", "completed", "started"]),
)
plain_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


def check(message: Message) -> None:
    """What every reader of messages relies on."""
    if isinstance(message, Unrecognised):
        assert message.reason
        assert len(message.sample) <= SAMPLE_BYTES
        return
    texts = []
    if isinstance(message, Response):
        assert message.id is None or type(message.id) in (str, int)
        assert message.error is None or isinstance(message.error, str)
        texts = [message.error, message.id]
        json.dumps(message.result, ensure_ascii=False).encode()
    elif isinstance(message, ExtractionLog):
        assert isinstance(message.data, dict)
        json.dumps(message.data, ensure_ascii=False).encode()
        texts = [message.document_id, message.document_name, message.event_type]
    else:
        assert isinstance(message, Progress)
        for number in (message.stage, message.duration):
            assert number is None or math.isfinite(number)
        for count in (message.total_stages, message.sequence, message.current, message.total):
            assert count is None or type(count) is int
        texts = [message.status, message.message, message.label, message.error]
        texts += [message.request_id, message.document_id]
    for text in texts:
        if isinstance(text, str):
            text.encode()  # no lone surrogates


@given(st.binary() | st.text(st.characters()))
@example(b"")
@example("")
@example(b"\xef\xbb\xbf{}")
@example("\ud800")
@example(b"\x80")
def test_any_bytes_and_any_text(raw):
    check(parse_message(raw))


@given(anything)
def test_any_json(value):
    text = json.dumps(value)  # with NaN, Infinity and lone surrogates where hypothesis likes
    check(parse_message(text))
    check(parse_message(text.encode()))
    check(parse_message(json.dumps(value, ensure_ascii=False)))


@given(frames)
def test_any_frame(frame):
    for text in (json.dumps(frame), json.dumps(frame, ensure_ascii=False)):
        message = parse_message(text)
        check(message)
        if frame.get("type") == "progress":
            assert isinstance(message, Progress)
        elif frame.get("type") == "extraction_log":
            assert isinstance(message, ExtractionLog)
        elif "id" in frame and ("result" in frame or "error" in frame):
            assert isinstance(message, Response)
        else:
            assert isinstance(message, Unrecognised)
            assert message.reason == UNKNOWN_KIND


DEEP = 100_000


@pytest.mark.parametrize(
    "raw",
    [
        "[" * DEEP,
        "[" * DEEP + "]" * DEEP,
        '{"id":' * DEEP,
        '{"type":"progress","stage":' + "[" * DEEP + "]" * DEEP + "}",
        '{"id":"a","result":' + '{"a":' * DEEP + "1" + "}" * DEEP + "}",
        '{"id":"a","result":NaN,"error":' + "[" * DEEP + "]" * DEEP + "}",
        "9" * 5000,
        '{"type":"progress","stage":' + "9" * 5000 + "}",
        '{"id":' + "9" * 5000 + ',"result":1}',
        '{"id":"a","result":' + "9" * 5000 + ',"error":null}',
        '{"id":"a","result":' + "9" * 5000 + ',"error":NaN}',
        '{"type":"progress","stage":1e999,"duration":-1e999}',
        '{"type":"progress","total":1e300}',
        '{"id":"a","error":1e400,"result":null}',
        "{}{}",
        "[1]",
        "null",
        "\ufeff",
    ],
    ids=range(18),
)
def test_the_monstrous(raw):
    check(parse_message(raw))
    check(parse_message(raw.encode()))


@pytest.mark.parametrize(
    "frame",
    [
        '{"id":"a","result":null,"error":%s}',
        '{"id":"a","result":NaN,"error":%s}',
        '{"id":%s,"result":1}',
        '{"type":"progress","stage":NaN,"message":%s}',
    ],
)
def test_nesting_around_the_limit_of_recursion(frame):
    for depth in range(600, 1100):
        check(parse_message(frame % ("[" * depth + "]" * depth)))


def test_nan_surrogates_and_a_bom_are_read_all_the_same():
    message = parse_message(
        '\ufeff{"type":"progress","stage":3,"duration":NaN,"message":"a\\ud800b"}'
    )
    assert message == Progress(stage=3, status="", message="a?b")
    assert parse_message(b'\xef\xbb\xbf{"id":"a","result":Infinity,"error":null}') == Response(
        "a", math.inf
    )


@pytest.mark.parametrize(
    ("raw", "stage", "label"),
    [
        ('{"type":"progress","stage":3.75}', 3.75, None),
        ('{"type":"progress","step":2}', 2, None),
        ('{"type":"progress","stage":"started"}', 0, "started"),
        ('{"type":"progress","step":"started"}', 1, "started"),
        ('{"type":"progress","step":"extracting"}', 3, "extracting"),
        ('{"type":"progress","stage":"completed"}', 9, "completed"),
        ('{"type":"progress","stage":"of its own"}', None, "of its own"),
        ('{"type":"progress","stage":null,"step":7}', 7, None),
        ('{"type":"progress","stage":true}', None, None),
        ('{"type":"progress"}', None, None),
    ],
)
def test_the_stages_of_all_versions(raw, stage, label):
    message = parse_message(raw)
    assert isinstance(message, Progress)
    assert (message.stage, message.label) == (stage, label)


@pytest.mark.parametrize(
    ("error", "text"),
    [("", ""), (None, None), (5, "5"), ({"a": 1}, '{"a": 1}'), (False, "false")],
)
def test_an_error_is_made_a_string(error, text):
    message = parse_message(json.dumps({"id": "a", "result": None, "error": error}))
    assert message == Response("a", None, text)


@pytest.mark.parametrize("version", versions())
def test_every_recorded_frame_is_recognised(version):
    frames = received_frames(version)
    assert len(frames) > 100
    for name, raw in frames:
        message = parse_message(raw)
        check(message)
        assert not isinstance(message, Unrecognised), (name, raw)
        if isinstance(message, Progress):
            assert message.stage is not None, (name, raw)
            assert message.status in ("started", "completed", "failed"), (name, raw)


requests = st.builds(
    Request,
    method=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20),
    params=st.dictionaries(plain_text, plain_text | st.integers(-(2**60), 2**60) | st.none()),
    id=plain_text | st.integers(-(2**63), 2**63) | st.none(),
)


@given(requests)
def test_a_request_survives_the_wire(request):
    assert parse_request(encode_request(request)) == request
    assert parse_request(encode_request(request).encode()) == request


@given(st.none() | plain_text | st.integers(-(2**63), 2**63), anything, st.none() | plain_text)
def test_a_response_survives_the_wire(request_id, result, error):
    try:
        raw = encode_response(request_id, result=result, error=error)
    except (UnicodeEncodeError, ValueError):
        return  # the server's own text with a lone surrogate
    assert set(json.loads(raw)) == {"result", "error", "id"}
    message = parse_message(raw)
    assert isinstance(message, Response)
    assert (message.id, message.error) == (request_id, error)


progress = st.builds(
    Progress,
    stage=st.integers(0, 20).map(float) | st.sampled_from([2.5, 3.5, 3.75]),
    status=st.sampled_from(["started", "completed", "failed"]),
    message=plain_text,
    label=st.none(),
    total_stages=st.none() | st.integers(0, 100),
    duration=st.none() | st.floats(0, 1e6),
    timestamp=st.none(),
    error=st.none() | plain_text,
    final=st.just(False),
    request_id=st.none() | plain_text,
    document_id=st.none() | plain_text,
    sequence=st.none() | st.integers(0, 2**50),
    current=st.none() | st.integers(0, 2**50),
    total=st.none() | st.integers(0, 2**50),
)


@given(progress)
def test_progress_survives_the_wire(sent):
    raw = encode_progress(sent)
    frame = json.loads(raw)
    assert frame["type"] == "progress"
    assert type(frame["stage"]) in (int, float)
    received = parse_message(raw)
    assert isinstance(received, Progress)
    final = sent.duration is not None and sent.status in ("completed", "failed")
    assert received.final is final
    for field in sent.__struct_fields__:
        if field not in ("final", "timestamp"):
            assert getattr(received, field) == getattr(sent, field), field


@given(st.binary() | st.text(st.characters()) | anything.map(json.dumps))
@example("[" * DEEP)
@example("9" * 5000)
@example(b"\xff")
@example("\ud800")
@example('{"method":"a","id":1.5}')
@example('{"method":"\\ud800"}')
def test_what_is_no_request_is_refused_in_words(raw):
    try:
        request = parse_request(raw)
    except MalformedRequest as error:
        assert str(error).startswith("the request")
    else:
        assert request.method
        assert isinstance(request.params, dict)
        assert request.id is None or type(request.id) in (str, int)
