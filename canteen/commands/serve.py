"""canteen serve: the web server, and beside it the scheduler, under one command."""

from __future__ import annotations

import errno
import socket
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import click
from granian import Granian
from granian.constants import Interfaces, SSLProtocols

from canteen import clock, config, processes
from canteen.commands import incarnation, installation
from canteen.demo import access_data
from canteen.errors import Conflict

ENDING = 5.0  # seconds


class AddressTaken(Conflict):
    code = "address_taken"
    message = "这个地址不能使用，请换一个端口。"


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8000, show_default=True)
@click.option("--workers", type=click.IntRange(1, 64), help="Processes; by default 1 on SQLite, 2 on PostgreSQL.")
@click.option("--threads", type=click.IntRange(1, 64), default=8, show_default=True, help="Threads a process.")
@click.option("--scheduler/--no-scheduler", default=True, help="Run the scheduler beside the web server.")
@click.option("--certificate", type=click.Path(exists=True, dir_okay=False), help="Serve HTTPS with this certificate.")
@click.option("--key", type=click.Path(exists=True, dir_okay=False), help="The certificate's private key.")
def serve(
    host: str,
    port: int,
    workers: int | None,
    threads: int,
    *,
    scheduler: bool,
    certificate: str | None,
    key: str | None,
) -> None:
    """Serve the tablet, the desk and the API."""
    with closing(_reserve_port(host, port)):
        _serve(host, port, workers, threads, scheduler=scheduler, certificate=certificate, key=key)
    click.echo("Stopped.", err=True)


def _serve(
    host: str,
    port: int,
    workers: int | None,
    threads: int,
    *,
    scheduler: bool,
    certificate: str | None,
    key: str | None,
) -> None:
    settings = config.from_environment()
    with installation():
        pass  # asked here: a worker that refuses to begin could only be started again and again
    beside = processes.Watched([sys.executable, "-m", "canteen", "scheduler", "--tied"], _report) if scheduler else None
    if beside is not None:
        beside.start()
    address = f"{'https' if certificate else 'http'}://{host}:{port}"
    click.echo(f"Serving on {address} (tablet /pos, desk /desk)", err=True)
    _warn()
    if settings.demo:
        _welcome(address)
    server = Granian(
        "wsgi:app",
        address=host,
        port=port,
        interface=Interfaces.WSGI,
        workers=workers or (1 if settings.sqlite else 2),
        blocking_threads=threads,
        working_dir=config.ROOT,
        ssl_cert=Path(certificate) if certificate else None,
        ssl_key=Path(key) if key else None,
        ssl_protocol_min=SSLProtocols.tls12,  # browsers of street offices, and nginx's proxy_ssl, know no later one
        respawn_failed_workers=True,
        workers_kill_timeout=5,  # Ctrl-C reaches the workers twice, and one that hears it twice may not end
        log_access=False,
    )
    try:
        server.serve()
    except SystemExit:
        _report("网页服务进程接连意外退出，服务已停止。请查看上面的日志，排除原因后重新启动。")
        raise
    finally:
        if beside is not None:
            beside.stop()


def _report(said: str) -> None:
    click.echo(f"{clock.local(clock.now()):%Y-%m-%d %H:%M:%S} canteen.serve {said}", err=True)


def _reserve_port(host: str, port: int) -> socket.socket:
    """Take an address for this server alone, as long as it and its workers live. Raises AddressTaken.

    The workers share the port (SO_REUSEPORT), so the system would let a second server in beside them; and between two
    that start at once, nobody listens yet. A name that only one process can have tells them apart (Linux).
    """
    reserved = socket.socket(socket.AF_UNIX)
    try:
        _try(lambda: reserved.bind(f"\0canteen serve {host} {port}"), host, port)
        _need_free(host, port)
    except AddressTaken:
        reserved.close()
        raise
    return reserved


def _need_free(host: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    _try(lambda: socket.create_server((host, port), family=family).close(), host, port)


def _try(take: Callable[[], None], host: str, port: int) -> None:
    """Raise AddressTaken before anything is started. A server that is just ending is waited for."""
    give_up = time.monotonic() + ENDING
    while True:
        try:
            take()
        except (OSError, OverflowError) as error:
            if isinstance(error, OSError) and error.errno == errno.EADDRINUSE and time.monotonic() < give_up:
                time.sleep(0.2)
                continue
            raise AddressTaken(
                f"{host} 的端口 {port} 已被占用或不能使用：请先停掉占用它的程序，或换一个端口（make run PORT=9000）。"
            ) from error
        return


def _warn() -> None:
    """Name the tablets that know more than the database. The counters sell on: they have what they sold before."""
    with installation():
        troubles, warnings = incarnation.messages()
    for line in troubles + warnings:
        click.echo(f"WARNING {line}", err=True)


def _welcome(address: str) -> None:
    """Say how to get into the demo city; a code for a tablet lives an hour, so each start makes one."""
    with installation():
        for line in access_data.tablet(address):
            click.echo(line, err=True)
