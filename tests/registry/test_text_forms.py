import pytest

from canteen.registry.text_forms import BadName, close_up, name_of
from canteen.registry.titles import surname_of, title_of

from datetime import date  # isort: skip


@pytest.mark.parametrize(
    ("typed", "stored"),
    [
        ("李 秀 英", "李秀英"),
        ("　李秀英 ", "李秀英"),
        ("买买提•艾力", "买买提·艾力"),
        ("买买提．艾力", "买买提·艾力"),
        ("𠮷田\u200b", "𠮷田"),
        ("John  Smith", "John Smith"),
        ("Ｊｏｈｎ Smith", "John Smith"),
    ],
)
def test_a_name_has_one_form(typed: str, stored: str):
    assert name_of(typed) == stored


@pytest.mark.parametrize("typed", ["", " ", "李\ue000英", "李秀英1", "李" * 61, "李\x00英"])
def test_a_name_no_other_computer_could_show_is_refused(typed: str):
    with pytest.raises(BadName):
        name_of(typed)


@pytest.mark.parametrize("char", ["𠮷", "\U0002ebf0", "\U000323af", "䶮"])
def test_every_han_character_may_be_in_a_name(char: str):
    assert name_of(f"李{char}") == f"李{char}"


def test_full_width_digits_are_narrowed():
    assert close_up("１２３\u3000４５６\n") == "123456"


@pytest.mark.parametrize(
    ("name", "surname"),
    [
        ("李秀英", "李"),
        ("欧阳修", "欧阳"),
        ("欧阳", "欧"),
        ("买买提·艾力", "买买提"),
        ("𠮷田", "𠮷"),
        ("John Smith", "John"),
    ],
)
def test_surnames(name: str, surname: str):
    assert surname_of(name) == surname


def test_elders_are_called_as_elders_and_younger_people_are_not():
    on = date(2026, 11, 22)
    assert title_of("李秀英", "f", date(1946, 3, 5), on).surname_title == "李奶奶"
    assert title_of("李建国", "m", date(1946, 3, 5), on).surname_title == "李爷爷"
    assert title_of("李静", "f", date(1966, 11, 23), on).surname_title == "李女士"
    assert title_of("李静", "f", date(1966, 11, 22), on).surname_title == "李奶奶"
    assert title_of("李静", None, None, on).surname_title == "李老"
    assert "静" not in repr(title_of("李静", None, None, on))
