"""The cases of tests/cases made ready for an engine: `python -m tests.policy.told` prints them, a line of JSON each."""

from __future__ import annotations

import json

from canteen.policy import rulebook as books
from tests.policy.test_cases import case_of, scheme, told


def main() -> None:
    for one in told():
        file, case = one.values
        body = books.join([scheme(name) for name in file["books"]])
        ready = {"name": one.id, "book": body.decode(), "case": case_of(file["usual"], case), "told": case}
        print(json.dumps(ready))


if __name__ == "__main__":
    main()
