"""The layout of a file from outside: which row of which sheet is the heading, what its columns are, which rows are none.

Offices put titles above the heading, totals and signatures below the table, call columns by their own words and spread
one list over sheets. What is not read is reported, never passed over.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import Any, Final

from canteen.registry.imports import sheet
from canteen.registry.imports.bounds import BadFile
from canteen.registry.imports.columns import Column, Row, Template, read_row
from canteen.registry.imports.tables import SheetRows, Table
from canteen.registry.text_forms import close_up

OTHERS: Final = "+others"  # behind a file's hash: who is likely somebody known was said to be somebody else
MOVED: Final = "+moved"  # who is known in another street was said to be meant
LOOKED_AT: Final = 30  # filled rows of a sheet in which its heading is looked for
REASONS: Final = "问题和办法"  # the column that we add to rows that were refused
LEFT_OUT: Final = frozenset(
    {"序号", "编号", "序列", "NO", "NO.", "No.", "备注", "说明", "年龄", "周岁", "民族", "出生年月", REASONS}
)
"""Titles that no template asks for: left out without a question, and reported."""

_TOTAL: Final = re.compile(r"(合计|总计|小计|共计|累计|总人数)[:：]?\d*[人名]?")
_SIGNED: Final = re.compile(
    r"(填表|填报|制表|审核|复核|经办|负责人|领导|单位|盖章|公章|签字|签名|日期|备注|说明|注|联系人|联系电话)"
)
_DATA: Final = re.compile(rf"{sheet.NUMBER}|.*\d{{8}}", re.DOTALL)  # begins no title: a number, or one in a text
_SERIAL: Final = range(61, 80_001)  # days from 1 March 1900, before which the count is wrong, up to 2119


class BadHeading(BadFile):
    code = "file_heading"
    message = "表头与模板不符，请下载模板后按列填写。"


class NoSender(BadFile):
    code = "list_of_nowhere"
    message = "全量名单须选定它来自哪个区划。"


class UnknownColumns(BadHeading):
    """Columns that nobody gave a meaning.

    unknown   their titles, in the order of the file, and those of columns that mean the same as another
    missing   required columns that were not found
    """

    code = "file_columns"

    def __init__(
        self, unknown: Sequence[str], missing: Sequence[Column], template: Template, twice: Mapping[str, str]
    ) -> None:
        self.unknown, self.missing = (*unknown, *twice), tuple(missing)
        said = [f"“{title}”与另一列都是“{column}”" for title, column in twice.items()]
        if unknown:
            said.append(f"有 {len(unknown)} 列不认识：{_quoted(unknown)}")
        if missing:
            said.append(f"缺少必填的{_quoted([column.title for column in missing])}列")
        remedy = f"请逐列选定是模板的哪一列或不导入；也可下载“{template.title}”模板重新填写"
        details: dict[str, object] = {"unknown": "、".join(self.unknown)}
        details["missing"] = "、".join(column.title for column in missing)
        super().__init__(f"{'；'.join(said)}。{remedy}。", details=details)


@dataclass(frozen=True, slots=True)
class Answers:
    """What the importer said of a file.

    columns   title in the file -> key of the template's column, '' for one that is not read
    fill      key of a column that the file lacks -> the text of every row
    sender    the area that the file comes from, '' where it was not said
    others    entries that are likely somebody known are other people
    full      it has everybody of the sender's area whom it is about
    moved     people known in another street than the sender's, or the row's, are meant all the same
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    fill: Mapping[str, str] = field(default_factory=dict)
    sender: str = ""
    others: bool = False
    moved: bool = False
    full: bool = False

    @property
    def mark(self) -> str:
        """Return what stands behind a file's hash: the same file read otherwise is another one."""
        mark = ""
        if self.columns or self.fill or self.sender:
            said = json.dumps(
                [dict(self.columns), dict(self.fill), self.sender, self.full], ensure_ascii=False, sort_keys=True
            )
            mark = f"+{hashlib.sha256(said.encode()).hexdigest()[:16]}"
        return mark + (MOVED if self.moved else "") + (OTHERS if self.others else "")


def unanswered(file_hash: str) -> str:
    """Return the hash of a file as it is before questions on its people are answered."""
    return file_hash.removesuffix(OTHERS).removesuffix(MOVED)


NO_ANSWERS: Final = Answers()


@dataclass(slots=True)
class SheetLayout:
    """How a sheet is read. `why`: the reason why it is not read, '' when it is.

    heading    the number of the heading's row; lines: how many rows it takes
    places     column of the template -> positions in the file, whose texts are joined
    columns    titles in the file -> title of the template's column, '' where it is not read
    titles     title of each column of the sheet, '' where it has none
    met        titles of the heading that an answer was given for
    twice      titles of a column that another one is already -> title of the template's column
    serials    keys of columns whose every cell is the number of a day
    foot       numbers of rows that are totals, signatures or the heading again
    blank      how many rows have nothing in the columns that are read
    """

    source: SheetRows
    why: str = ""
    heading: int = 0
    lines: int = 1
    places: dict[str, list[int]] = field(default_factory=dict)
    columns: dict[str, str] = field(default_factory=dict)
    titles: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    met: set[str] = field(default_factory=set)
    twice: dict[str, str] = field(default_factory=dict)
    missing: list[Column] = field(default_factory=list)
    serials: set[str] = field(default_factory=set)
    rows: int = 0
    foot: list[int] = field(default_factory=list)
    blank: int = 0

    def doc(self) -> dict[str, Any]:
        """Return the sheet as JSON: what was read of it, or why nothing."""
        about = {"sheet": self.source.name, "read": not self.why, "reason": self.why}
        if self.why:
            return about
        rest = {"heading": self.heading, "rows": self.rows, "columns": self.columns, "left_rows": self.foot}
        return about | rest


@dataclass(slots=True)
class Layout:
    """A file that is ready to be read by a template. `hash`: of its bytes, with a mark of the answers."""

    template: Template
    hash: str
    sheets: list[SheetLayout]
    answers: Answers = NO_ANSWERS

    def rows(self) -> Iterator[Row]:
        """Yield the rows of all sheets that are read; what is left out is counted anew."""
        read = [each for each in self.sheets if not each.why]
        by_key = {column.key: column for column in self.template.every}
        for each in read:
            each.rows, each.blank, each.foot = 0, 0, []
            given, foot = frozenset([*each.places, *self.answers.fill]), _Foot(self.template, each)
            for number, cells in _below(each):
                taken = _taken(each, cells)
                if not any(text and not text.isspace() for text in taken.values()):
                    each.blank += 1
                elif foot.holds(cells, taken):
                    each.foot.append(number)
                else:
                    each.rows += 1
                    row = Row(number, {}, [], given=given, sheet=each.source.name, several=len(read) > 1, cells=cells)
                    filled = {key: text for key, text in self.answers.fill.items() if key not in taken}
                    yield read_row(row, ((by_key[key], text) for key, text in (taken | filled).items()))

    def notices(self) -> list[str]:
        """Return what the sender may not know of what was read; whole once the rows were."""
        several = sum(not each.why for each in self.sheets) > 1
        found = [line for each in self.sheets for line in _notices(each, several=several)]
        titles = {column.key: column.title for column in self.template.every}
        found += [f"文件里没有“{titles[key]}”列，整份都按 {text}。" for key, text in self.answers.fill.items()]
        if several:
            named = "、".join(f"“{each.source.name}” {each.rows} 行" for each in self.sheets if not each.why)
            found.insert(0, f"读入了几张工作表：{named}。")
        return found


def laid(table: Table, template: Template, answers: Answers = NO_ANSWERS) -> Layout:
    """Find the headings of a file. Raises BadHeading, UnknownColumns, BadFile where nothing stands below them."""
    if answers.full and not answers.sender:
        raise NoSender
    sheets = [_laid_sheet(each, template, answers) for each in table.sheets]
    met = {title for each in sheets for title in each.met}
    columns = {title: key for title, key in answers.columns.items() if _title(title) in met}
    read = [each for each in sheets if not each.why]
    if not read:
        _refuse(sheets, template)
    unknown = list(dict.fromkeys(title for each in read for title in each.unknown))
    twice = {title: column for each in read for title, column in each.twice.items()}
    if unknown or twice:
        raise UnknownColumns(unknown, (), template, twice)
    fill = {key: text for key, text in answers.fill.items() if any(key not in each.places for each in read)}
    answers = replace(answers, columns=columns, fill=fill)
    layout = Layout(template, table.hash + answers.mark, sheets, answers)
    if next(layout.rows(), None) is None:
        raise BadFile("表头下面没有数据，请填写后再试。")
    return layout


def _refuse(sheets: Sequence[SheetLayout], template: Template) -> None:
    """Raise what keeps the first sheet that might have been meant from being read."""
    shown = [each for each in sheets if each.source.filled and not each.source.hidden]
    if not shown:
        if hidden := [each.source.name for each in sheets if each.source.filled]:
            raise BadFile(f"工作表{_quoted(hidden)}是隐藏的：请取消隐藏，再上传。")
        raise BadFile("文件里没有内容，请核对后再试。")
    best = max(shown, key=lambda each: len(each.places))
    if best.missing:
        raise UnknownColumns(best.unknown, best.missing, template, best.twice)
    raise BadHeading(f"没有找到表头：请在表格上方写明各列的名称，或下载“{template.title}”模板按列填写。")


def _laid_sheet(source: SheetRows, template: Template, answers: Answers) -> SheetLayout:
    if source.hidden or not source.filled:
        return SheetLayout(source, why="隐藏的工作表" if source.filled else "没有内容")
    top = _first(source, LOOKED_AT + 1)
    if not top:
        return SheetLayout(source, why="没有内容")
    titles, answered = _titles_of(template, answers), {_title(name) for name in answers.columns}
    heads = [at for at, (_, cells) in enumerate(top) if not any(_DATA.match(cell) for cell in cells)]
    found = [_headed(source, titles, top, at, lines) for at in heads for lines in _lines(top, at)]
    if not found:
        return SheetLayout(source, why="没有认出表头")
    best = max(found, key=lambda each: (len(each.places), -each.lines))  # the first of equal ones
    if not best.places:
        best = max(found, key=lambda each: len(each.columns))
    for column in template.every:
        if column.required and column.key not in best.places and column.key not in answers.fill:
            best.missing.append(column)
    best.met = answered.intersection(best.columns)
    if best.missing:
        named = _quoted([column.title for column in best.missing])
        best.why = f"缺少{named}列" if best.places else "没有认出表头"
        return best
    best.serials = set(_serials(best, template))
    return best


def _first(source: SheetRows, most: int) -> list[tuple[int, list[str]]]:
    found = list[tuple[int, list[str]]]()
    for row in source.rows():
        found.append(row)
        if len(found) == most:
            break
    return found


def _titles_of(template: Template, answers: Answers) -> dict[str, tuple[int, Column | None]]:
    """Return title -> its rank among the titles of a column, and the column; None for one that is not read."""
    titles: dict[str, tuple[int, Column | None]] = dict.fromkeys(LEFT_OUT, (0, None))
    for column in template.every:
        titles |= {_title(name): (rank, column) for rank, name in enumerate((column.title, *column.also))}
    by_key = {column.key: column for column in template.every}
    return titles | {_title(name): (0, by_key.get(key)) for name, key in answers.columns.items()}


def _title(cell: str) -> str:
    """Return a title without what people add to it: blanks, a star, what stands in brackets."""
    title = close_up(cell).strip("*＊:：")
    return re.sub(r"[(（\[【][^()（）]*[)）\]】]$", "", title) or title


def _lines(top: Sequence[tuple[int, list[str]]], at: int) -> tuple[int, ...]:
    """Return of how many rows a heading that begins with row `at` may be: two where cells are merged."""
    upper = top[at][1]
    lower = top[at + 1][1] if at + 1 < len(top) else []
    if any(below == sheet.MERGED and above and above != below for above, below in zip(upper, lower, strict=False)):
        return (2,)  # merged downwards
    return (1, 2) if lower and sheet.MERGED in upper else (1,)


def _headed(
    source: SheetRows,
    titles: Mapping[str, tuple[int, Column | None]],
    top: Sequence[tuple[int, list[str]]],
    at: int,
    lines: int,
) -> SheetLayout:
    """Return the layout with row `at` of the top as heading, taken together with the next one where `lines` is 2."""
    number, cells = top[at]
    made = SheetLayout(source, heading=number, lines=lines)
    ranked: dict[str, list[tuple[int, int]]] = {}
    for place, names in enumerate(_named(cells, top[at + 1][1] if lines == 2 else ())):
        known = next((name for name in names if name in titles), None)
        made.titles.append(known or (names[0] if names else ""))
        if known is None:
            if names:
                made.unknown.append(names[0])
                made.columns[names[0]] = ""
            continue
        rank, column = titles[known]
        if column is not None and column.key in ranked and not column.joined:
            made.twice[known] = column.title
            continue
        made.columns[known] = column.title if column else ""
        if column is not None:
            ranked.setdefault(column.key, []).append((rank, place))
    made.places = {key: [place for _, place in sorted(found)] for key, found in ranked.items()}
    return made


def _named(upper: Sequence[str], lower: Sequence[str]) -> Iterator[list[str]]:
    """Yield the possible titles of each column of a heading of one or two rows."""
    last = ""
    for place in range(max(len(upper), len(lower))):
        above = upper[place] if place < len(upper) else ""
        below = lower[place] if place < len(lower) else ""
        last = last if above == sheet.MERGED and lower else above
        names = [_title(each) for each in (below, last) if each and not each.startswith("\0")]
        yield [name for name in (["".join(names[::-1]), *names] if len(names) == 2 else names) if name]


def _below(layout: SheetLayout) -> Iterator[tuple[int, list[str]]]:
    for number, cells in layout.source.rows():
        if number >= layout.heading + layout.lines:
            yield number, cells


def _taken(layout: SheetLayout, cells: Sequence[str]) -> dict[str, str]:
    """Return column key -> the text of its cells."""
    taken, wide = {}, len(cells)
    for key, places in layout.places.items():
        if len(places) == 1:
            text = cells[places[0]] if places[0] < wide else ""
        else:
            text = _joined([cells[place] for place in places if place < wide])
        if key in layout.serials and text.startswith(sheet.NUMBER):
            text = _day_of(int(text.removeprefix(sheet.NUMBER)), from_1904=layout.source.from_1904)
        taken[key] = text
    return taken


def _joined(texts: Sequence[str]) -> str:
    """Return cells that make one, each text once; one without its content stands for all."""
    filled = list(dict.fromkeys(text for text in texts if text.strip()))
    return next((text for text in filled if text.startswith("\0")), "".join(filled))


def _day_of(serial: int, *, from_1904: bool) -> str:
    return ((date(1904, 1, 1) if from_1904 else date(1899, 12, 30)) + timedelta(days=serial)).isoformat()


class _Foot:
    """Tells rows that are nobody's: totals, lines for signatures, the heading printed again."""

    def __init__(self, template: Template, layout: SheetLayout) -> None:
        self._titles = {
            column.key: {_title(name) for name in (column.title, *column.also)} for column in template.every
        }
        self._heads = set(layout.columns)
        self._required = [column.key for column in template.every if column.required and column.key in layout.places]

    def holds(self, cells: Sequence[str], taken: Mapping[str, str]) -> bool:
        first = next((cell for cell in cells if cell and not cell.isspace() and cell[0] != "\0"), "")
        first = close_up(first)
        if _TOTAL.fullmatch(first):
            return True
        if _SIGNED.match(first) is None and first not in self._heads:
            return False
        filled = {key: _title(text) for key, text in taken.items() if text.strip() and text[0] != "\0"}
        if filled and all(text in self._titles[key] for key, text in filled.items()):
            return True
        return 2 * sum(not taken[key].strip() for key in self._required) >= len(self._required)


def _serials(layout: SheetLayout, template: Template) -> Iterator[str]:
    """Yield the columns of days in which every filled cell is a plain number that counts days."""
    dated = {column.key for column in template.every if column.dated and column.key in layout.places}
    foot, seen = _Foot(template, layout), set[str]()
    for _, cells in _below(layout):
        if not dated:
            return
        taken = _taken(layout, cells)
        for key in [key for key in dated if taken[key].strip()]:
            if _is_serial(taken[key]):
                seen.add(key)
            elif not foot.holds(cells, taken):
                dated.discard(key)
    yield from dated & seen


def _is_serial(text: str) -> bool:
    digits = text.removeprefix(sheet.NUMBER)
    return digits != text and digits.isdecimal() and len(digits) <= 5 and int(digits) in _SERIAL


def _notices(layout: SheetLayout, *, several: bool) -> Iterator[str]:
    name = f"工作表“{layout.source.name}”" if layout.source.name else ""
    if layout.why:
        if layout.source.filled:
            yield f"{name}没有读入：{layout.why}。要导入的，请改好后再上传。"
        return
    where = name if several else ""
    if layout.heading > 1:
        yield f"{where}表头在第 {layout.heading} 行，上面的标题没有读入。"
    if left := [title for title, column in layout.columns.items() if not column]:
        yield f"{where}没有读入的列：{_quoted(left)}。"
    if layout.foot:
        numbers = "、".join(str(number) for number in layout.foot[:10]) + ("等" if len(layout.foot) > 10 else "")
        yield f"{where}第 {numbers} 行是合计、签名或重复的表头，没有读入。"
    if layout.serials:
        yield f"{where}有 {len(layout.serials)} 列日期是没有设成日期格式的数字，已换算成日期，请核对几行。"
    hidden = [f"{count} {word}" for count, word in zip(layout.source.unseen, ("行", "列"), strict=True) if count]
    if hidden:
        yield f"{where}有 {'、'.join(hidden)}是隐藏或筛掉的，也一并读入：不要导入的请删去。"


def _quoted(names: Sequence[str]) -> str:
    return "".join(f"“{name}”" for name in names)
