"""Reading the constants of an ONNX file and writing a small graph, without the onnx package.

ONNX is protobuf. Of its wire format this needs little: a field is a key (number and wire type)
and a value. The numbers are those of onnx.proto3 (https://onnx.ai/onnx/repo-docs/IR.html).
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from numpy.typing import NDArray

_VARINT, _BYTES, _FLOAT = 0, 2, 5
_FIXED: Final = {1: 8, 5: 4}
"""Lengths of the values of the wire types with a fixed one."""

_IR_VERSION: Final = 8
_OPSET: Final = 17
_INT64_TYPE: Final = 7
_TYPES: Final = {1: np.float32, 2: np.uint8, 3: np.int8, _INT64_TYPE: np.int64, 9: np.bool_}
"""TensorProto.DataType of the constants that are read or written."""
_NUMBERS: Final = {np.dtype(kind): number for number, kind in _TYPES.items()}
_ATTRIBUTE_FLOAT, _ATTRIBUTE_INT = 1, 2


def read_constants(model: bytes) -> dict[str, NDArray[Any]]:
    """The initialisers of an ONNX file by name, in the file's order; views of its bytes.

    Raises:
        ValueError, LookupError: it is not such a file, or has constants of another kind.
    """
    (graph,) = (value for number, value in _fields(memoryview(model)) if number == 7)
    return dict(_constant(value) for number, value in _fields(graph) if number == 5)


def _constant(tensor: memoryview) -> tuple[str, NDArray[Any]]:
    fields = list(_fields(tensor))
    values = dict(fields)
    shape = [value for number, value in fields if number == 1]
    array: NDArray[Any] = np.frombuffer(values[9], _TYPES[values[2]])
    return bytes(values[8]).decode(), array.reshape(shape)


def _fields(message: memoryview) -> Iterator[tuple[int, Any]]:
    """(number, value) of a message's fields: an int of a varint, else the bytes."""
    at = 0
    while at < len(message):
        key, at = _read_varint(message, at)
        number, kind = key >> 3, key & 7
        value: int | memoryview
        if kind == _VARINT:
            value, at = _read_varint(message, at)
        else:
            if kind == _BYTES:
                length, at = _read_varint(message, at)
            else:
                length = _FIXED[kind]
            value = message[at : at + length]
            at += length
        yield number, value


def _read_varint(message: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while message[at] & 0x80:
        value |= (message[at] & 0x7F) << shift
        shift += 7
        at += 1
    return value | message[at] << shift, at + 1


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _field(number: int, value: float | str | bytes) -> bytes:
    """One field: a varint of an int (not negative), a float of a float, else length and bytes."""
    if isinstance(value, int):
        return _varint(number << 3 | _VARINT) + _varint(value)
    if isinstance(value, float):
        return _varint(number << 3 | _FLOAT) + struct.pack("<f", value)
    data = value.encode() if isinstance(value, str) else value
    return b"".join((_varint(number << 3 | _BYTES), _varint(len(data)), data))


class GraphWriter:
    """Builds a graph node by node; names of values are its own business."""

    def __init__(self) -> None:
        self._nodes: list[bytes] = []
        self._constants: list[bytes] = []
        self._names = 0

    def constant(self, array: NDArray[Any]) -> str:
        """Adds a constant and gives its name."""
        name = self._name()
        shape = [_field(1, length) for length in array.shape]
        kind = _field(2, _NUMBERS[array.dtype])
        tensor = b"".join((*shape, kind, _field(8, name), _field(9, array.tobytes())))
        self._constants.append(_field(5, tensor))
        return name

    def node(
        self,
        operator: str,
        *inputs: str,
        domain: str = "",
        outputs: int = 1,
        **attributes: float,
    ) -> list[str]:
        """Adds a node and gives the names of its outputs. An input "" is left out."""
        names = [self._name() for _ in range(outputs)]
        parts = [_field(1, name) for name in inputs]
        parts += [_field(2, name) for name in names]
        parts.append(_field(4, operator))
        for key, value in attributes.items():
            integer = isinstance(value, int)
            number, kind = (3, _ATTRIBUTE_INT) if integer else (2, _ATTRIBUTE_FLOAT)
            parts.append(_field(5, _field(1, key) + _field(number, value) + _field(20, kind)))
        parts.append(_field(7, domain))
        self._nodes.append(_field(1, b"".join(parts)))
        return names

    def model(self, input_name: str, output_name: str, domain: str) -> bytes:
        """The file: from an int64 vector of any length to a float32 tensor. `domain` is the set of
        operators used beside ONNX's own."""
        parts = [
            *self._nodes,
            _field(2, "graph"),
            *self._constants,
            _field(11, _value(input_name, _INT64_TYPE, ["length"])),
            _field(12, _value(output_name, 1, ["batch", "length", "width"])),
        ]
        graph = b"".join(parts)
        onnx = _field(8, _field(1, "") + _field(2, _OPSET))
        other = _field(8, _field(1, domain) + _field(2, 1))
        return b"".join((_field(1, _IR_VERSION), _field(7, graph), onnx, other))

    def _name(self) -> str:
        self._names += 1
        return f"v{self._names}"


def _value(name: str, kind: int, dimensions: Sequence[str]) -> bytes:
    shape = b"".join(_field(1, _field(2, dimension)) for dimension in dimensions)
    tensor = _field(1, kind) + _field(2, shape)
    return _field(1, name) + _field(2, _field(1, tensor))
