"""The `canteen` command: thin, each group in canteen/commands, the application built only when one runs.

Exit codes: 0 done, 1 refused (the reason on stderr), 2 wrong usage.
"""

from __future__ import annotations

import importlib
import sys

import click

from canteen.errors import Refusal

COMMANDS = {
    "init": "install",
    "doctor": "doctor",
    "serve": "serve",
    "policy": "policy",
    "user": "user",
    "tablet": "tablet",
    "incarnation": "incarnation",
    "audit": "audit",
    "roster": "roster",
    "menu": "menu",
    "points": "points",
    "cards": "cards",
    "period": "period",
    "claims": "claims",
    "changes": "changes",
    "applications": "applications",
    "payouts": "payouts",
    "scheduler": "scheduler",
    "settings": "settings",
    "backup": "backup",
    "restore": "backup",
    "keys": "install",
    "demo": "demo",
}


class Lazy(click.Group):
    """Loads a command's module only when it is named."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        module = COMMANDS.get(cmd_name)
        if module is None:
            return None
        found: click.Command = getattr(importlib.import_module(f"canteen.commands.{module}"), cmd_name)
        return found


@click.group(cls=Lazy)
def cli() -> None:
    """Run meals and subsidies of community canteens for old people."""


def main() -> None:
    """Run the command; a refusal goes to stderr as one sentence."""
    try:
        cli(prog_name="canteen", standalone_mode=False)
    except click.exceptions.Exit as done:
        sys.exit(done.exit_code)
    except click.ClickException as wrong:
        wrong.show()
        sys.exit(2)
    except click.Abort:
        sys.exit(130)
    except Refusal as refusal:
        click.echo(f"{refusal.code}: {refusal.message}", err=True)
        for name, value in refusal.details.items():
            for one in value if isinstance(value, list) else [value]:
                click.echo(f"  {name}: {one}", err=True)
        sys.exit(1)
