from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canteen.registry import documents
from canteen.registry.documents import BadBirth, BadCheckDigit, BadNumber, OldNumber, RoundedNumber
from tests.registry.people import number

TODAY = date(2026, 11, 22)


def test_a_number_of_a_region_nobody_has_tells_birth_and_sex():
    document = documents.parse("resident", number("19460305", 102), today=TODAY)
    assert (document.birth, document.sex) == (date(1946, 3, 5), "f")
    assert documents.parse("resident", number("19460305", 103), today=TODAY).sex == "m"


def test_the_check_digit_is_that_of_the_standards_own_example():
    assert documents.check_digit("11010519491231002") == "X"


@pytest.mark.parametrize("form", ["{}", " {} ", "{}\n"])
def test_width_and_blanks_do_not_matter(form: str):
    resident = number()
    wide = "".join(chr(ord(char) + 0xFEE0) for char in resident.lower())
    assert documents.parse("resident", form.format(wide), today=TODAY).number == resident


@given(st.integers(0, 17), st.integers(1, 9))
def test_any_single_wrong_digit_is_found(place: int, off: int):
    right = number()
    digit = "0123456789X".index(right[place])
    wrong = "0123456789X"[(digit + off) % (11 if place == 17 else 10)]
    with pytest.raises(BadNumber):
        documents.parse("resident", right[:place] + wrong + right[place + 1 :], today=TODAY)


@given(st.integers(0, 16))
def test_neighbours_swapped_are_found(place: int):
    right = number("19471208", 365)
    if right[place] == right[place + 1]:
        return
    swapped = right[:place] + right[place + 1] + right[place] + right[place + 2 :]
    with pytest.raises(BadNumber):
        documents.parse("resident", swapped, today=TODAY)


def test_fifteen_digits_are_refused_with_the_remedy():
    with pytest.raises(OldNumber, match="18 位"):
        documents.parse("resident", "229901460305102", today=TODAY)


@pytest.mark.parametrize("cell", ["2.29901194603051E+17", "2.29901E17", "229901194603051000.0"])
def test_a_number_made_a_float_is_refused_with_the_remedy(cell: str):
    with pytest.raises(RoundedNumber, match="文本"):
        documents.parse("resident", cell, today=TODAY)


def test_digits_lost_in_a_spreadsheet_differ_from_a_slip():
    rounded = number()[:15] + "000"
    with pytest.raises(RoundedNumber):
        documents.parse("resident", rounded, today=TODAY)
    with pytest.raises(BadCheckDigit):
        documents.parse("resident", number()[:17] + "0", today=TODAY)


@pytest.mark.parametrize("born", ["19460230", "18000101", "20261123"])
def test_a_birth_date_that_cannot_be_is_refused(born: str):
    with pytest.raises(BadBirth):
        documents.parse("resident", number(born), today=TODAY)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("hmt", number(region="810000")),
        ("hmt", "H1234567800"),
        ("hmt", "M12345678"),
        ("hmt", "12345678"),
        ("foreign", number(region="911562")),
        ("foreign", "FRA110000450130"),
        ("foreign", "E12345678"),
    ],
)
def test_permits_are_typed_kinds(kind: str, text: str):
    assert documents.parse(kind, text, today=TODAY).kind == kind


def test_a_permit_filed_as_a_resident_number_is_refused_by_name():
    with pytest.raises(BadNumber, match="港澳台"):
        documents.parse("resident", number(region="830000"), today=TODAY)


def test_equal_digits_of_two_kinds_are_two_keys():
    assert documents.parse("hmt", "12345678").key != documents.parse("foreign", "12345678").key


def test_displays_and_errors_never_contain_the_number():
    document = documents.parse("resident", number(), today=TODAY)
    assert document.masked == f"2299{'*' * 10}{number()[-4:]}"
    assert number() not in repr(document)
    wrong = number()[:17] + ("1" if number()[17] != "1" else "2")
    with pytest.raises(BadNumber) as refused:
        documents.parse("resident", wrong, today=TODAY)
    assert wrong[6:14] not in str(refused.value) + refused.value.message
