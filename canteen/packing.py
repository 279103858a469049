"""Columns packed before they are sent to the database: what tablets send and what prices were computed from (0036).

Such texts are for the greater part the same words. Deflate, given these words beforehand, leaves a third of a record and
a fifth of an input, where the databases' own compression left three fifths and nothing.

The first byte says how the rest is packed. What a number means never changes: rows written so are kept for ever. Better
words are another number.
"""

from __future__ import annotations

import zlib
from typing import Any

from sqlalchemy import LargeBinary, types
from sqlalchemy.engine import Dialect

AS_IT_IS, DEFLATED_1 = b"\0", b"\1"
WINDOW = -15  # of deflate, without header and checksum: a record has its own hash
LEVEL = 3  # higher ones take longer for one part in twenty less
WORDS_1 = """\
{"diner":{"benefits":[],"birth_day":-1,"classes":[],"enrolled":[],"hukou":["","",""],"kind":"elder","levels":{},\
"residence":["","",""],"residence_since":,"since":{},"statuses":[]},"meal":{"amount":null,"canteen":{"areas":["","",""],\
"class":"","grade":"","id":"","level":0},"day":20,"day_kind":"workday","fees":{"delivery":0,"packaging":0},"flags":[],\
"lines":[{"fen":,"item":"","qty":1,"tags":[]}],"mode":"dine_in","ordered_at":null,"period":"lunch","table":null},\
"taken":[]}{"sales":[{"id":"","canteen":"","point":null,"elder":"","credential":"","guest":null,"how":"camera",\
"mode":"dine_in","day":"20","period":"lunch","lines":[{"item":"","name":"","fen":00,"quantity":1,"tags":[""]}],\
"amount":null,"quote":{"list":00,"shares":[{"fund":"","payer":"concession","rule":"","clause":"","stage":"","fen":0,\
"label":"","reason":""},{"fund":"","payer":"subsidy","rule":"","clause":"第条第项","stage":"","fen":0,"label":"",\
"reason":""}],"passed":[{"rule":"","clause":"第条第项","why":"all","reason":"条件未全部满足"},{"rule":"",\
"clause":"第条第项","why":"beaten","reason":"另一项标准更优惠，就高不就低"},{"rule":"","clause":"第条第项","why":"age",\
"reason":"年龄不在范围内"},{"rule":"","clause":"第条","why":"no_money","reason":"价格已不高于应付价，无需再减"}],\
"uses":[{"allowance":"guard.meal","unit":"meal","scope":"person","window":"20/lunch","limit":1,"amount":1,\
"rules":[""],"day":20},{"allowance":"","unit":"meal","scope":"person","window":"20","limit":1,"amount":1,"rules":[""],\
"day":20}],"rounding":[],"checks":[{"code":"ceiling","rule":"","clause":"第条","limit":,"found":0,"breach":false}],\
"due":00},"input":{"diner":{"kind":"elder","birth_day":-1,"hukou":["","",""],"residence":["","",""],\
"residence_since":,"classes":[],"levels":{},"statuses":[],"enrolled":[],"benefits":[],"since":{}},"meal":{"day":20,\
"period":"lunch","mode":"dine_in","canteen":{"id":"","class":"","grade":"","level":0,"areas":["","",""]},\
"day_kind":"workday","lines":[{"item":"","fen":00,"qty":1,"tags":["set"]}],"amount":null,"fees":{"delivery":0,\
"packaging":0},"ordered_at":null,"table":null,"flags":[]},"taken":[]},"input_hash":"","rulebook":"","stamp":"WyJ",\
"quoted_mono":,"flags":[]}],"payment":{"id":"","due":0,"tenders":[{"kind":"mobile","fen":,"given":,"change":0,\
"reference":""}]},"cashier":"","clock":{"offset_ms":0,"boot":""".encode()


def pack(content: bytes) -> bytes:
    """Pack, or keep as it is what packing makes no smaller."""
    deflate = zlib.compressobj(LEVEL, zlib.DEFLATED, WINDOW, zlib.DEF_MEM_LEVEL, zlib.Z_DEFAULT_STRATEGY, WORDS_1)
    packed = deflate.compress(content) + deflate.flush()
    return DEFLATED_1 + packed if len(packed) < len(content) else AS_IT_IS + content


def unpack(stored: bytes) -> bytes:
    """Return what was packed. Raises ValueError for bytes that `pack` never makes."""
    how, rest = stored[:1], stored[1:]
    if how == AS_IT_IS:
        return rest
    if how != DEFLATED_1:
        raise ValueError("bytes packed in a way that is not known here")
    inflate = zlib.decompressobj(WINDOW, WORDS_1)
    try:
        content = inflate.decompress(rest) + inflate.flush()
    except zlib.error as error:
        raise ValueError("packed bytes are damaged") from error
    if not inflate.eof:
        raise ValueError("packed bytes are cut off")
    return content


class PackedBytes(types.TypeDecorator[bytes]):
    """Bytes, stored packed."""

    impl = LargeBinary
    cache_ok = True

    def process_bind_param(self, value: bytes | None, dialect: Dialect | None) -> bytes | None:
        return None if value is None else pack(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> bytes | None:
        return None if value is None else unpack(bytes(value))


class PackedText(types.TypeDecorator[str]):
    """Text, stored packed in UTF-8: no condition of SQL can look into it."""

    impl = LargeBinary
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect | None) -> bytes | None:
        return None if value is None else pack(value.encode())

    def process_result_value(self, value: Any, dialect: Dialect) -> str | None:
        return None if value is None else unpack(bytes(value)).decode()
