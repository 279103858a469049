#!/usr/bin/env bash
# pyrage 1.4.0 reports a damaged age file by two unrelated errors: DecryptError for its beginning, a bare OSError for later pieces.
#
# A backup that is cut at its end fails as the disk would, but the OSError has no errno, no strerror and no file name. A program that
# catches DecryptError alone ends with a traceback, and one that takes every OSError for the disk gives the wrong advice.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pyrage==1.4.0
"$folder/venv/bin/python" <<'PY'
import io
import pyrage

identity = pyrage.x25519.Identity.generate()
sealed = io.BytesIO()
pyrage.encrypt_io(io.BytesIO(b"x" * 200_000), sealed, [identity.to_public()])
whole = sealed.getvalue()


def error_of(content):
    try:
        pyrage.decrypt_io(io.BytesIO(content), io.BytesIO(), [identity])
    except Exception as error:
        return error


early, late = error_of(whole[:50]), error_of(whole[:-1])
print("cut in the head:", repr(early), "cut at the end:", repr(late))
assert type(early) is pyrage.DecryptError, "the library changed"
assert type(late) is OSError and late.errno is None, "the library changed"
assert not issubclass(pyrage.DecryptError, OSError)
PY
echo "seen: pyrage 1.4.0 raises DecryptError for a head that is cut, OSError without a number for an end that is"
