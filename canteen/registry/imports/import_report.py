"""What a file came to: counts, faults by row, what was read and what was left, for people and programs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from canteen.registry.imports.change_lines import ChangeLine
from canteen.registry.imports.columns import Fault
from canteen.registry.imports.layouts import MOVED, OTHERS
from canteen.registry.imports.roster import LikelySame, OtherStreet

LISTED: Final = 20_000  # rows at fault that are handed back as a file
FAULTS_KEPT: Final = 1000  # of a file where every row is wrong, so many stay with the run


@dataclass(slots=True)
class ImportReport:
    """The result of a file. `run` is the import's id once applied; `already`: this very file was applied before.

    gone      entries of the area that a full list lacks and for which something ends
    lines     what each row would change, of a check; personal data, kept nowhere
    work_list an .xlsx of the rows at fault, of a check; empty where there is none, or more than LISTED
    remarks   what was not wholly taken over of rows that are good all the same
    sheets    each sheet of the file, read or not and why, with its columns
    secrets   first passwords and PINs of new staff, by login: shown once, kept nowhere
    waiting   lines that a second person must confirm; request: under this number, once applied
    """

    kind: str
    file_hash: str
    rows: int = 0
    new: int = 0
    changed: int = 0
    same: int = 0
    bad: int = 0
    gone: int = 0
    faults: list[Fault] = field(default_factory=list)
    remarks: list[Fault] = field(default_factory=list)
    lines: list[ChangeLine] = field(default_factory=list, repr=False)
    work_list: bytes = field(default=b"", repr=False)
    notices: list[str] = field(default_factory=list)
    sheets: list[dict[str, Any]] = field(default_factory=list)
    refolded: int = 0
    already: bool = False
    run: str | None = None
    secrets: dict[str, str] = field(default_factory=dict, repr=False)
    waiting: int = 0
    request: int | None = None

    def doc(self, faults: int | None = None) -> dict[str, Any]:
        """Return the report as JSON for commands and for the stored run, with so many faults; without secrets."""
        counts = {name: getattr(self, name) for name in ("rows", "new", "changed", "same", "bad", "gone", "waiting")}
        named = [fault.doc() for fault in self.faults[:faults]]
        remarks = [remark.doc() for remark in self.remarks[:faults]]
        rest = {"already": self.already, "sheets": self.sheets, "notices": self.messages()}
        rest |= {"faults": named, "remarks": remarks}
        return {"kind": self.kind, "file": self.file_hash, **counts, **rest}

    @property
    def likely(self) -> bool:
        """Return whether rows were left out as likely somebody known."""
        return any(fault.code == LikelySame.code for fault in self.faults)

    @property
    def others(self) -> bool:
        """Return whether the importer said that these are other people."""
        return OTHERS in self.file_hash

    @property
    def elsewhere(self) -> bool:
        """Return whether rows were left out as people of another street."""
        return any(fault.code == OtherStreet.code for fault in self.faults)

    @property
    def moved(self) -> bool:
        """Return whether the importer said that people of another street are meant."""
        return MOVED in self.file_hash

    @property
    def changing(self) -> int:
        """Return of how many entries something changes."""
        return self.new + self.changed + self.gone

    @property
    def changes(self) -> list[ChangeLine]:
        """Return the lines of entries known before that change, or that a full list lacks."""
        return [line for line in self.lines if line.kind != "new"]

    def messages(self) -> list[str]:
        """Return what the uploader may not know: sheets not read, hidden rows, characters replaced by the usual ones."""
        folded = f"{self.refolded} 行里有部首字（外形与汉字相同、编码不同），已改为通常的汉字。"
        return self.notices + ([folded] if self.refolded else [])
