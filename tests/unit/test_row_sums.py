"""A row's checksum is what it always was, however it is computed: files of earlier versions are read with it."""

from __future__ import annotations

import zlib

from hypothesis import given
from hypothesis import strategies as st

from hfzmq.storage.checksums import crc_of

VALUES = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary())


@given(st.lists(VALUES))
def test_it_is_the_crc_of_each_values_type_length_and_bytes(values: list[object]) -> None:
    parts = []
    for value in values:
        data = value if isinstance(value, bytes) else str(value).encode()
        parts.append(type(value).__name__[:1].encode() + str(len(data)).encode() + b":" + data)
    assert crc_of(values) == zlib.crc32(b"".join(parts))
