"""A running switch, watched from a terminal."""

from __future__ import annotations

import ssl
from pathlib import Path

import click

from switch.commands.base import Refusal, config_option, main, settings_of
from switch.operate.admin_error import AdminError


@main.command()
@click.argument("url", required=False)
@click.option("--token-file", type=click.Path(path_type=Path), help="File of the port's token.")
@click.option("--ca", type=click.Path(path_type=Path), help="File of the CA of its certificate.")
@config_option
def top(url: str | None, token_file: Path | None, ca: Path | None, config: Path | None) -> None:
    """Watch a running switch: rate, latency, approvals, links, HSM, database, each second.

    URL is that of its admin port; without one, that of the settings. q ends it, the space bar
    holds the screen.

    Example: switch top http://127.0.0.1:8580
    """
    try:
        from switch.operate.top.screen import Top
    except ImportError:
        raise Refusal("top needs textual: make setup brings it, or pip install textual") from None
    from switch.operate.admin.guard import read_token
    from switch.operate.top.client import figures

    if url is None:
        admin = settings_of(config).admin
        if admin.listen is None:
            raise Refusal("admin.listen is empty in these settings: give the URL of an admin port")
        url = f"{'http' if admin.tls.certificate is None else 'https'}://{admin.listen}"
        token_file = token_file or admin.token_file
    if not url.startswith(("http://", "https://")):
        raise Refusal("the URL must begin with http:// or https://, as http://127.0.0.1:8580")
    try:
        token = read_token(token_file)
    except AdminError as error:
        raise Refusal(str(error).replace("admin.token_file", "--token-file")) from None
    told = figures(
        url.rstrip("/"), token=token.decode("ascii") if token else None, tls=_context(ca)
    )
    Top(told).run()


def _context(ca: Path | None) -> ssl.SSLContext | None:
    if ca is None:
        return None
    try:
        return ssl.create_default_context(cafile=ca)
    except (OSError, ssl.SSLError):
        raise Refusal("--ca: has no certificate that can be read (PEM)") from None
