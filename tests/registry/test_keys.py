import pytest
from hypothesis import given
from hypothesis import strategies as st

from canteen.registry import keys
from canteen.registry.keys import Box, Unreadable

OLD, NEW = b"o" * 32, b"n" * 32


@given(st.binary(max_size=200))
def test_what_is_sealed_opens_again_and_never_looks_the_same(plain: bytes):
    box = Box(NEW, purpose="test")
    one, other = box.seal(plain, "row 1"), box.seal(plain, "row 1")
    assert one != other
    assert box.open(one, "row 1") == plain


def test_a_ciphertext_moved_to_another_row_does_not_open():
    box = Box(NEW, purpose="test")
    with pytest.raises(Unreadable):
        box.open(box.seal(b"x", "row 1"), "row 2")


@pytest.mark.parametrize("place", [0, 1, 5, -1])  # format, id of the key, nonce, tag
def test_an_altered_byte_does_not_open(place: int):
    box = Box(NEW, purpose="test")
    sealed = bytearray(box.seal(b"x", "row"))
    sealed[place] ^= 1
    with pytest.raises(Unreadable):
        box.open(bytes(sealed), "row")


@pytest.mark.parametrize("length", [0, 1, 4, 5, 17])
def test_what_is_cut_off_does_not_open(length: int):
    box = Box(NEW, purpose="test")
    with pytest.raises(Unreadable):
        box.open(box.seal(b"x", "row")[:length], "row")


def test_what_is_sealed_begins_with_format_and_id_of_its_key():
    box = Box(NEW, purpose="test")
    assert box.seal(b"x", "row")[:5].hex() == "01" + box.key_id


def test_old_seals_open_by_key_id_and_new_use_the_new_key():
    before = Box(OLD, purpose="test")
    now = Box(NEW, [OLD], purpose="test")
    assert now.open(before.seal(b"x", "row"), "row") == b"x"
    assert now.key_id != before.key_id
    with pytest.raises(Unreadable):
        before.open(now.seal(b"x", "row"), "row")


def test_one_secret_gives_keys_that_tell_nothing_of_each_other():
    assert keys.derive(NEW, b"s", "digest") != keys.derive(NEW, b"s", "row")
    assert keys.derive(NEW, b"s", "digest") != keys.derive(NEW, b"t", "digest")
