"""What a replayed server sends: recorded frames and replies, made to fit the request."""

from __future__ import annotations

import copy
import http
import json
import time
from typing import Any

from websockets.datastructures import Headers
from websockets.http11 import Response

from tests.kbv2.recordings import Recording, Script, call_key


def reply_to(recording: Recording, call: dict[str, Any]) -> dict[str, Any]:
    """The recorded answer without its id, or one of the recorded shape."""
    method, params = call.get("method"), call.get("params")
    known = recording.replies.get(call_key(call))
    if known is not None:
        return known
    if not isinstance(method, str) or not isinstance(params, dict | None):
        text = "1 validation error for MCPRequest"
        return {"result": None, "error": f"Failed to process request: {text}"}
    asked = params or {}
    query, limit = asked.get("query"), asked.get("limit", 10)
    result: dict[str, Any]
    if method in ("kbv2/search_chunks", "kbv2/search_entities") and query:
        found = method.removeprefix("kbv2/search_")
        result = {found: [], "total_count": 0, "query": query, "limit": limit, "domain": None}
    elif method == "kbv2/query_text_to_sql" and query:
        error = f"Could not translate query: {query}"
        result = {"sql": "", "results": [], "warnings": [], "error": error}
    elif method == "kbv2/get_document_status" and asked.get("document_id"):
        document_id = asked["document_id"]
        result = {"document_id": document_id, "status": "not_implemented", "progress": 0}
    elif (without := recording.replies.get(call_key({"method": method}))) is not None:
        return without
    else:
        result = {"message": f"Method '{method}' not implemented"}
    return {"result": result, "error": None}


def substituted(
    frame: dict[str, Any], script: Script, params: dict[str, Any], elapsed: float
) -> dict[str, Any]:
    """A recorded frame as it would be for `params`, now."""
    recorded_path = str(script.params["file_path"])
    recorded_name = str(script.params.get("document_name") or recorded_path)
    path = str(params["file_path"])
    name = str(params.get("document_name") or path)
    frame = copy.deepcopy(frame)
    for key in ("message", "error"):
        text = frame.get(key)
        if isinstance(text, str):
            if text.startswith("Starting ingestion of "):
                text = text.replace(recorded_name, name)
            elif text.startswith("Document ingestion completed successfully in "):
                text = f"Document ingestion completed successfully in {elapsed:.2f}s"
            frame[key] = text.replace(recorded_path, path)
    if "timestamp" in frame:
        frame["timestamp"] = time.time()
    if frame.get("duration"):
        frame["duration"] = elapsed
    if isinstance(frame.get("result"), dict):
        frame["result"]["duration"] = elapsed
    return frame


def echoed(request_id: Any) -> Any:
    """The id as the real server gives it back; raises ValueError where it drops the connection."""
    if isinstance(request_id, bool):
        return int(request_id)
    if isinstance(request_id, float):
        if not request_id.is_integer():
            raise ValueError(request_id)
        return int(request_id)
    if isinstance(request_id, list | dict):
        raise ValueError(request_id)  # noqa: TRY004 - not a mistake of the caller's
    return request_id


def encoded(reply: dict[str, Any]) -> str:
    """The envelope as the real server writes it: all three keys, in this order."""
    ordered = {key: reply[key] for key in ("result", "error", "id")}
    return json.dumps(ordered, ensure_ascii=False, separators=(",", ":"))


def failed(text: str, request_id: Any) -> str:
    """The answer to what is no request."""
    return encoded({"result": None, "error": text, "id": request_id})


def plain(status: http.HTTPStatus, content_type: str, body: bytes) -> Response:
    """An HTTP answer."""
    headers = Headers()
    headers["Content-Length"] = str(len(body))
    headers["Content-Type"] = content_type
    headers["Connection"] = "close"
    return Response(status.value, status.phrase, headers, body)
