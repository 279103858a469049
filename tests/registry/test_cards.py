import pytest
from hypothesis import given
from hypothesis import strategies as st

from canteen.registry import cards
from canteen.registry.cards import ScanForeign, ScanMalformed

WIDE = str.maketrans("0123456789", "０１２３４５６７８９")


def test_a_code_is_26_digits_and_a_number_8():
    assert len(cards.new_code()) == 26
    assert len(cards.new_number()) == 8
    assert cards.new_code() != cards.new_code()


@pytest.mark.parametrize("form", ["{}", "{}\n", "\r\n{}\t", "]Q1{}", "{} ", "\ufeff{}"])
def test_what_scanners_and_input_methods_add_is_folded_away(form: str):
    code = cards.new_code()
    assert cards.read(form.format(code)) == cards.Code(code, "card")
    assert cards.read(form.format(code.translate(WIDE))) == cards.Code(code, "card")


def test_the_number_for_people_may_be_typed_as_printed():
    number = cards.new_number()
    assert cards.read(f"{number[:4]} {number[4:]}") == cards.Code(number, "number")


@given(st.integers(0, 25), st.integers(1, 9))
def test_a_code_with_one_wrong_digit_is_malformed(place: int, off: int):
    code = cards.new_code()
    wrong = code[:place] + str((int(code[place]) + off) % 10) + code[place + 1 :]
    with pytest.raises(ScanMalformed):
        cards.read(wrong)


@given(st.integers(0, 7), st.integers(1, 9))
def test_a_number_with_one_wrong_digit_is_malformed(place: int, off: int):
    number = cards.new_number()
    with pytest.raises(ScanMalformed):
        cards.read(number[:place] + str((int(number[place]) + off) % 10) + number[place + 1 :])


@pytest.mark.parametrize("scan", ["https://example.com/x", "姓名：李秀英", "284512345678901234", "WIFI:S:x;;"])
def test_other_codes_are_foreign(scan: str):
    with pytest.raises(ScanForeign):
        cards.read(scan)


def test_half_a_scan_is_malformed():
    for scan in ("", " \n", "1234", cards.new_code()[:25], cards.new_code() * 2):
        with pytest.raises(ScanMalformed):
            cards.read(scan)


@given(st.text(max_size=200))
def test_any_text_gives_a_code_or_a_refusal(scan: str):
    try:
        cards.read(scan)
    except (ScanMalformed, ScanForeign) as refused:
        assert refused.message  # noqa: PT017 - either answer is right
