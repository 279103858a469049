"""Canonical JSON: one document, one sequence of bytes, in Python and in JavaScript.

Objects with sorted ASCII keys, arrays, strings, whole numbers no larger than 2^53 - 1 either way, true, false, null.
No spaces; in strings only `"`, `\\` and control characters are escaped, the short way where there is one;
lone surrogates are refused. So the bytes can be hashed, stored, shipped, and compared.
"""

from __future__ import annotations

import hashlib
import json
from typing import TypeAlias

from canteen.policy.refusals import Problem, Refused, shown

Document: TypeAlias = dict[str, object]

LARGEST = 2**53 - 1
_DEEPEST = 60
_write = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False).encode


def canonical(document: object) -> bytes:
    """Return the bytes of a document. Raises Refused `not_canonical` for what the form cannot express."""
    if not _is_plain(document, _DEEPEST):
        _check(document, "", 0)
    try:
        return _write(document).encode()
    except UnicodeEncodeError:
        _check(document, "", 0)
        raise


def digest(body: bytes) -> str:
    """Return the name of a document: SHA-256 of its canonical bytes, in hex."""
    return hashlib.sha256(body).hexdigest()


def parse(body: bytes) -> object:
    """Read a document from canonical bytes. Raises Refused `not_canonical` for any other encoding of it."""
    try:
        document = json.loads(body.decode(), parse_float=_no_number, parse_constant=_no_number)
        same = canonical(document) == body
    except (ValueError, RecursionError) as error:
        if isinstance(error, Refused):
            raise
        raise Refused(Problem("not_canonical", "", "不是规范的 JSON 文本")) from error
    if not same:
        raise Refused(Problem("not_canonical", "", "不是规范的 JSON 写法，内容可能被改动过"))
    return document


def _no_number(text: str) -> object:
    raise Refused(Problem("not_canonical", "", "只接受整数", shown(text)))


def _is_plain(value: object, left: int) -> bool:
    """Tell at a quick look that the form can express a value, texts aside; False asks `_check`, which names what is wrong.

    left    how much deeper it may nest
    """
    kind = type(value)
    if left <= 0:
        return False
    if kind is dict:
        for key, inner in value.items():  # type: ignore[attr-defined]
            if type(key) is not str or not key.isascii():
                return False
            if inner is not None and type(inner) is not str and not _is_plain(inner, left - 1):
                return False
        return True
    if kind is list:
        return all(type(inner) is str or _is_plain(inner, left - 1) for inner in value)  # type: ignore[attr-defined]
    return value is None or kind is bool or kind is str or (kind is int and -LARGEST <= value <= LARGEST)  # type: ignore[operator]


def _check(value: object, path: str, depth: int) -> None:
    """Refuse what the form cannot express, naming where."""
    if depth > _DEEPEST:
        raise Refused(Problem("not_canonical", path, "嵌套过深"))
    if isinstance(value, str):
        _check_text(value, path)
    elif isinstance(value, dict):
        for key, inner in value.items():
            if not isinstance(key, str) or not key.isascii():
                raise Refused(Problem("not_canonical", path, "字段名只能用 ASCII 字符", shown(key)))
            _check(inner, f"{path}.{key}" if path else key, depth + 1)
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            _check(inner, f"{path}[{place}]", depth + 1)
    elif value is None or isinstance(value, bool):
        return
    elif type(value) is not int or not -LARGEST <= value <= LARGEST:
        raise Refused(Problem("not_canonical", path, "只接受整数，且不超过 2 的 53 次方", shown(value)))


def _check_text(text: str, path: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise Refused(Problem("not_canonical", path, "文字里有残缺的字符（孤立代理项）")) from error
