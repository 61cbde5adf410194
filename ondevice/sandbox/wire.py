"""Messages between two processes of one program, over a connected pair of sockets.

    length of head u32 | length of body u64 | head, JSON | body

The other side is not believed: lengths are refused before anything is allocated.
"""

import json
import os
import struct
from collections.abc import Mapping
from socket import recv_fds, send_fds, socket, socketpair
from typing import Any

from ondevice.errors import FormatError, OnDeviceError

_LENGTHS = struct.Struct("<IQ")
_HEAD = 1 << 20  # bytes that a head may have
_CHUNK = 1 << 20


class Channel:
    """One end of a pair. Not for two threads at once."""

    def __init__(self, end: socket) -> None:
        self._end = end

    @property
    def handle(self) -> int:
        """The descriptor."""
        return self._end.fileno()

    def close(self) -> None:
        """Hang up."""
        self._end.close()

    def send(self, head: Mapping[str, Any], body: bytes = b"") -> None:
        """Send one message.

        Raises:
            OnDeviceError: nobody is there any more.
        """
        packed = json.dumps(head).encode()
        try:
            self._end.sendall(_LENGTHS.pack(len(packed), len(body)) + packed)
            if body:
                self._end.sendall(body)
        except OSError as error:
            raise _gone(error) from error

    def receive(self, *, limit: int = 0) -> tuple[dict[str, Any], bytes]:
        """Wait for one message whose body has at most `limit` bytes.

        Raises:
            OnDeviceError: the other side hung up.
            FormatError: it sent something else than a message, or too much.
        """
        head_size, body_size = _LENGTHS.unpack(self._exactly(_LENGTHS.size))
        if head_size > _HEAD or body_size > limit:
            raise FormatError(f"a message of {head_size + body_size:,} bytes was not asked for")
        packed, body = self._exactly(head_size), self._exactly(body_size)
        try:
            head = json.loads(packed)
        except (ValueError, RecursionError) as error:
            raise FormatError("the other process sent something else than a message") from error
        if not isinstance(head, dict):
            raise FormatError("the other process sent something else than a message")
        return head, body

    def pass_handle(self, handle: int) -> None:
        """Give the other side the open file `handle`.

        Raises:
            OnDeviceError: nobody is there any more.
        """
        try:
            send_fds(self._end, [b"f"], [handle])
        except OSError as error:
            raise _gone(error) from error

    def take_handle(self) -> int:
        """Receive an open file.

        Raises:
            OnDeviceError: none came.
        """
        try:
            _, handles, _, _ = recv_fds(self._end, 1, 1)
        except OSError as error:
            raise _gone(error) from error
        if len(handles) != 1:
            raise OnDeviceError("the other process passed no file")
        os.set_inheritable(handles[0], False)  # noqa: FBT003  # the only way to call it
        return handles[0]

    def _exactly(self, count: int) -> bytes:
        parts: list[bytes] = []
        try:
            while count:
                part = self._end.recv(min(count, _CHUNK))
                if not part:
                    raise OnDeviceError("the other process has ended")
                parts.append(part)
                count -= len(part)
        except OSError as error:
            raise _gone(error) from error
        return b"".join(parts)


def pair() -> tuple[Channel, Channel]:
    """Return two connected ends."""
    one, other = socketpair()
    return Channel(one), Channel(other)


def adopt(handle: int) -> Channel:
    """Return the channel whose descriptor was inherited as `handle`."""
    return Channel(socket(fileno=handle))


def _gone(error: OSError) -> OnDeviceError:
    return OnDeviceError(f"the other process has ended ({error.strerror or error})")
