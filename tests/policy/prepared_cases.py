"""Print the cases of tests/cases as an engine reads them, a line of JSON each: `python -m tests.policy.prepared_cases`."""

from __future__ import annotations

import json

from canteen.policy import rulebook as books
from tests.policy.test_cases import case_of, file_cases, scheme


def main() -> None:
    for one in file_cases():
        file, case = one.values
        body = books.join([scheme(name) for name in file["books"]])
        ready = {"name": one.id, "book": body.decode(), "case": case_of(file["usual"], case), "expected": case}
        print(json.dumps(ready))


if __name__ == "__main__":
    main()
