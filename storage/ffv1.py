"""The checksums of FFV1's frames, whose mismatch FFmpeg's decoder only logs.

Source: RFC 9043, FFV1 Video Coding Format Versions 0, 1, and 3, sections 4.9 and 4.9.3; the second
initial value is that of its version 4's draft.
"""

from __future__ import annotations

import zlib

SIZE_BYTES = 3  # a slice's size, which ends the slice or stands before its status and checksum
FOOTER_BYTES = SIZE_BYTES + 1 + 4
INITIAL = 0x00000000, 0x5E31029E  # of a checksum, mirrored; a whole slice leaves it as it was

_MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def whole(packet: bytes) -> bool:
    """Whether a frame of version 3 or later is as it was written.

    Slices are found from the last one back, each by the size that its footer states. Without
    checksums: whether these sizes add up.
    """
    slices = _slices(packet, FOOTER_BYTES)
    if slices is None:
        return _slices(packet, SIZE_BYTES) is not None
    return all(any(_checksum(each, start) == start for start in INITIAL) for each in slices)


def _slices(packet: bytes, footer_bytes: int) -> list[memoryview] | None:
    """Divide a frame into slices, footers included; None where sizes do not add up."""
    rest, found = memoryview(packet), list[memoryview]()
    while len(rest) >= footer_bytes:
        size = int.from_bytes(rest[-footer_bytes:][:SIZE_BYTES]) + footer_bytes
        if size == footer_bytes or size > len(rest):
            break
        found.append(rest[-size:])
        rest = rest[:-size]
    return None if rest else found


def _checksum(part: memoryview, start: int) -> int:
    """CRC-32, highest bit first, not inverted, and mirrored: zlib's is that of mirrored bytes."""
    return zlib.crc32(bytes(part).translate(_MIRRORED), start ^ 0xFFFFFFFF) ^ 0xFFFFFFFF
