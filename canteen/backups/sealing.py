"""The file of a backup: a compressed tar archive under age, to a key made of the secret `backup`.

Whoever has the folder of keys reads it; the host that writes it could do with the public half. age encrypts and
authenticates in pieces, so a file of any size needs no memory, and one that was cut or changed is refused.
"""

from __future__ import annotations

import gzip
import os
import tarfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final

import pyrage
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from canteen.errors import Invalid

LEVEL: Final = 6  # of gzip: the database's text shrinks to a tenth, and a processor's minute goes far


class BadBackup(Invalid):
    """The file is no backup, is cut or changed, or was made under other keys."""

    code = "backup_unreadable"
    message = "读不出这个备份：文件不是本系统的备份、不完整、被改动过，或不是用现在的密钥（backup.key）做的。请换一份备份，或放回原来的密钥再试。"


def write(path: Path, files: Sequence[Path], secret: bytes) -> int:
    """Write `files` by their names as one backup at `path`, which appears only whole; return its size in bytes."""
    part = path.with_name(f".{path.name}.part")
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(handle, "wb") as out, _packed(files) as packed:
            pyrage.encrypt_io(packed, out, [_recipient(secret)])
            out.flush()
            os.fsync(out.fileno())
        part.rename(path)
    finally:
        part.unlink(missing_ok=True)
    _sync(path.parent)
    return path.stat().st_size


def read(path: Path, folder: Path, secret: bytes) -> None:
    """Write the files of the backup at `path` into `folder`. Raises BadBackup, or OSError where it cannot be opened."""
    packed = folder / ".packed"
    try:
        with path.open("rb") as source, packed.open("wb") as out:
            _decrypt(source, out, secret)
        with gzip.open(packed) as plain, tarfile.open(fileobj=plain, mode="r|") as archive:
            archive.extractall(folder, filter="data")
    except (tarfile.TarError, EOFError, gzip.BadGzipFile) as error:
        raise BadBackup from error
    finally:
        packed.unlink(missing_ok=True)


def _decrypt(source: BinaryIO, out: BinaryIO, secret: bytes) -> None:
    try:
        pyrage.decrypt_io(source, out, [_identity(secret)])
    except pyrage.DecryptError as error:  # of the beginning: another key, or no age file
        raise BadBackup from error
    except OSError as error:  # of a later piece: without a number, unlike an error of the disk
        if error.errno is not None:
            raise
        raise BadBackup from error


@contextmanager
def _packed(files: Sequence[Path]) -> Iterator[Any]:
    """Yield a stream of the compressed archive, made in a thread as it is read."""
    source, sink = os.pipe()
    failed: list[BaseException] = []

    def pack() -> None:
        try:
            with (
                os.fdopen(sink, "wb") as out,
                gzip.GzipFile(fileobj=out, mode="wb", compresslevel=LEVEL, mtime=0) as packed,
                tarfile.open(fileobj=packed, mode="w|") as archive,
            ):
                for file in files:
                    archive.add(file, arcname=file.name)
        except OSError as error:  # the reader gave up, or a file cannot be read
            failed.append(error)

    packing = threading.Thread(target=pack, name="backup")
    packing.start()
    with os.fdopen(source, "rb") as stream:
        yield stream
    packing.join()
    if failed:
        raise failed[0]


def _identity(secret: bytes) -> pyrage.ssh.Identity:
    key = Ed25519PrivateKey.from_private_bytes(secret)
    return pyrage.ssh.Identity.from_buffer(key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))


def _recipient(secret: bytes) -> pyrage.ssh.Recipient:
    key = Ed25519PrivateKey.from_private_bytes(secret).public_key()
    return pyrage.ssh.Recipient.from_str(key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode())


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
