from importlib.resources import as_file, files

import pypdfium2
import pytest
import zxingcpp
from fontTools.ttLib import TTCollection
from sqlalchemy import select
from sqlalchemy.orm import Session

from canteen.db import transaction
from canteen.registry import card_print, cards, credentials, print_runs
from canteen.registry.card_print import Face
from canteen.registry.models import CredentialFact
from canteen.registry.print_runs import NoBatch
from tests.registry.people import an_elder, some_areas

DOTS = 200 / 72  # 200 dots an inch, as a cheap printer


def decoded(pdf: bytes) -> list[str]:
    """What a reader sees on the rasterised pages."""
    with pypdfium2.PdfDocument(pdf) as document:
        pictures = [page.render(scale=DOTS).to_pil() for page in document]
    return [found.text for picture in pictures for found in zxingcpp.read_barcodes(picture)]


def texts(pdf: bytes) -> str:
    with pypdfium2.PdfDocument(pdf) as document:
        return "".join(page.get_textpage().get_text_range() for page in document)


def test_every_printed_code_of_a_batch_reads_back_as_itself(session: Session):
    some_areas(session)
    holders = [an_elder(session, order=100 + 2 * at) for at in range(12)] + [None] * 11
    with transaction():
        made = credentials.make(session, holders, batch="b", by="p-admin")
    pages = list(card_print.sheets(print_runs.faces(session, "b"), brand="敬老餐厅助餐卡"))
    assert sorted(code for page in pages for code in decoded(page)) == sorted(card.code for card in made)


@pytest.mark.parametrize("name", ["𠮷田", "王𬭼", "买买提·艾力", "John Smith", "䶮䶮"])
def test_rare_names_are_set_with_the_fonts_own_shapes(name: str):
    pdf = card_print.sheet([Face(cards.new_code(), cards.new_number(), name)], brand="敬老餐厅")
    assert name in texts(pdf)
    assert not card_print.unprintable(name)
    with_name, without = (ink(Face("1" * 26, "12345678", each)) for each in (name, name[:1]))
    assert with_name > without


def test_a_long_name_is_set_in_lines_that_an_old_eye_reads():
    name = "阿卜杜热合曼·阿卜杜克热木·买买提吐尔逊江"
    pdf = card_print.sheet([Face(cards.new_code(), cards.new_number(), name)], brand="助餐卡")
    assert all(part in texts(pdf) for part in ("阿卜杜热合曼·", "阿卜杜克热木·", "买买提吐尔逊江"))
    with pypdfium2.PdfDocument(pdf) as document:
        page = document[0].get_textpage()
        heights = [top - bottom for _, bottom, _, top in (page.get_charbox(at) for at in range(page.count_chars()))]
    assert max(heights[6:13]) > 10  # points; in one line it would be five
    assert len(decoded(pdf)) == 1


def ink(face: Face) -> int:
    """Count the dark dots in the name's place."""
    with pypdfium2.PdfDocument(card_print.sheet([face], brand="")) as document:
        picture = document[0].render(scale=DOTS).to_pil().convert("L")
    box = [mm / 25.4 * 200 for mm in (card_print.MARGINS[0] + 4, card_print.MARGINS[1] + 12, 70, 42)]
    return sum(1 for dot in picture.crop(tuple(map(int, box))).tobytes() if dot < 128)


def test_a_name_that_the_font_lacks_leaves_a_line_to_write_on():
    name = "李\U0003134a"
    assert card_print.unprintable(name) == {"\U0003134a"}
    shown = texts(card_print.sheet([Face(cards.new_code(), cards.new_number(), name)], brand="敬老餐厅"))
    assert "李" not in shown
    assert "姓名" in shown


def test_the_card_shows_its_number_and_the_set_brand_line():
    number = cards.new_number()
    shown = texts(card_print.sheet([Face(cards.new_code(), number, "李秀英")], brand="某某市长者饭堂"))
    assert f"{number[:4]} {number[4:]}" in shown
    assert "某某市长者饭堂" in shown


def test_ten_cards_a_page_and_files_of_bounded_size(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(card_print, "FILE_LIMIT", 20)
    faces = (Face(cards.new_code(), cards.new_number()) for _ in range(41))
    counts = []
    for pdf in card_print.sheets(faces, brand=""):
        with pypdfium2.PdfDocument(pdf) as document:
            counts.append(len(document))
    assert counts == [2, 2, 1]


def test_a_code_is_version_two_25_mm_with_quiet_zone():
    assert len(card_print.matrix(cards.new_code())) == 25
    assert card_print.MODULES * card_print.MODULE >= 25
    assert card_print.CARD[1] > (card_print.MODULES + 2 * card_print.QUIET) * card_print.MODULE
    pdf = card_print.sheet([Face(cards.new_code(), cards.new_number(), "李秀英")], brand="助餐卡")
    with pypdfium2.PdfDocument(pdf) as document:
        picture = document[0].render(scale=DOTS).to_pil()
    found = zxingcpp.read_barcodes(picture)[0]
    left, right, top = found.position.top_left.x, found.position.top_right.x, found.position.top_left.y
    module = (right - left) / 25
    quiet = picture.convert("L").crop(
        (int(left - 3.8 * module), int(top), int(left - module * 0.5), int(top + 20 * module))
    )
    assert min(quiet.tobytes()) > 200


def test_the_fonts_face_is_that_of_mainland_china():
    with as_file(files(card_print._FONT[0]) / card_print._FONT[1]) as path, TTCollection(str(path), lazy=True) as fonts:
        assert fonts.fonts[card_print._SIMPLIFIED]["name"].getDebugName(4) == "Noto Sans CJK SC"


def test_a_confirmed_batch_cannot_be_printed_again(session: Session):
    some_areas(session)
    an_elder(session)
    with transaction():
        batch = credentials.blank(session, 3, "p-admin")
    assert [(each.name, each.cards, each.named) for each in print_runs.waiting(session)] == [(batch, 3, 0)]
    with transaction():
        print_runs.printed(session, batch, "p-admin")
    assert print_runs.waiting(session) == []
    assert session.execute(select(CredentialFact.kind)).scalars().all() == ["printed"] * 3
    with pytest.raises(NoBatch):
        list(print_runs.faces(session, batch))
    with pytest.raises(NoBatch), transaction():
        print_runs.printed(session, batch, "p-admin")


def test_cards_ended_before_the_print_are_left_out(session: Session):
    some_areas(session)
    li, wang = an_elder(session), an_elder(session, order=104)
    with transaction():
        first, second = credentials.make(session, [li, wang], batch="b", by="p-admin")
        credentials.report(session, first.digest, "blocked", "p-admin", "mistake")
    assert [face.number for face in print_runs.faces(session, "b")] == [second.number]
