#!/usr/bin/env bash
# python-calamine 0.9.1 reads an error cell (#N/A) of an old workbook (.xls) as an empty one.
#
# Offices look classes and dates up by formula; where the lookup fails, the cell shows #N/A. In an .xls both an empty cell
# and an error come back as '', so an importer for which an empty cell means "leave as it is" passes the fault over. xlrd
# 2.0.2 tells them apart by the cell's type, and knows hidden rows and the date system besides. The table is made up.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check python-calamine==0.9.1 xlrd==2.0.2 xlwt==1.3.0
"$folder/venv/bin/python" - "$folder/a.xls" <<'PY'
import io, sys
import xlrd, xlwt
from python_calamine import CalamineWorkbook

book = xlwt.Workbook()
sheet = book.add_sheet("a")
for column, title in enumerate(("name", "class", "none")):
    sheet.write(0, column, title)
sheet.write(1, 0, "x")
sheet.row(1).set_cell_error(1, 0x2A)  # #N/A
out = io.BytesIO()
book.save(out)

seen = CalamineWorkbook.from_filelike(io.BytesIO(out.getvalue())).get_sheet_by_index(0).to_python()[1]
kind = xlrd.open_workbook(file_contents=out.getvalue()).sheet_by_index(0).cell_type(1, 1)
print("calamine:", seen, "xlrd: type", kind)
assert seen == ["x", "", ""], "the library changed"
assert kind == xlrd.XL_CELL_ERROR
PY
echo "seen: python-calamine 0.9.1 gives '' for #N/A in an .xls; xlrd 2.0.2 gives an error cell"
