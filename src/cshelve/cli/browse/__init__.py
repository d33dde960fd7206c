"""`cshelve browse`: a web page on this machine to walk through a shelf.

A request passes through `server` (who may ask), `pages` (what an address answers), and `listing`
or `values` (what the shelf contains). `html` escapes all of it.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

import cshelve
from cshelve.cli.shelves import (
    opened,
    program_options,
    shelf_argument,
    unpickle_option,
    without_code,
)

if TYPE_CHECKING:
    from cshelve.cli.browse.pages import Site
    from cshelve.cli.browse.server import Server

__all__ = ["browse"]

Shelf = cshelve.CloudShelf[Any]


@click.command()
@shelf_argument
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    metavar="N",
    help="The port of the page; by default one that is free.",
)
@click.option("--no-open", is_flag=True, help="Only print the address, and open no browser.")
@unpickle_option
@program_options
def browse(name: str, port: int, no_open: bool, unpickle: bool) -> None:
    """Show a shelf in a browser: folders, sizes, dates, and values.

    Prints the address of a web page that only this machine can reach, and opens it in a browser.
    The address has a token: whoever has it can read the shelf until you press Ctrl-C. Nothing can
    be changed.

    Pickles that consist of plain data are shown. Of a pickle that needs a class, the instructions
    are shown, because reading it can run code, unless the shelf is signed, encrypted, or lists the
    class in `unpickle_only`. Pass --unpickle if you trust everyone who can write to the shelf.
    """
    with opened(name, "r") as db:
        if not unpickle:
            without_code(db)

        @contextmanager
        def shelf() -> Iterator[Shelf]:
            """Return the shelf for one request, in whose thread a local shelf has to be opened."""
            if not db.provider.like_shelve:
                yield db
                return
            with cshelve.open(name, "r") as local:
                if not unpickle:
                    without_code(local)
                yield local

        from cshelve.cli.browse.pages import Site  # Slow imports, which no other command needs.

        with _server(Site(db.provider.location, shelf), port) as server:
            _serve(server, opens_browser=not no_open)


def _server(site: Site, port: int) -> Server:
    from cshelve.cli.browse.server import Server

    try:
        return Server(site, port)
    except OSError as error:
        raise click.ClickException(
            f"port {port} of this machine cannot be used ({error.strerror}): "
            "choose another --port, or leave it out for one that is free."
        ) from error


def _serve(server: Server, *, opens_browser: bool) -> None:
    """Announce the address, and serve until Ctrl-C, whenever that comes."""
    try:
        click.echo(server.address)
        sys.stdout.flush()
        click.echo("cshelve: press Ctrl-C to stop", err=True)
        if opens_browser and _has_browser():
            _open_browser(server.address_to_open)
        server.serve_forever()
    except KeyboardInterrupt:
        click.echo("cshelve: stopped", err=True)


def _open_browser(address: str) -> None:
    import webbrowser

    # In a thread, since some browsers are waited for, and need the server meanwhile.
    threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()


def _has_browser() -> bool:
    """Return whether a browser would open a window, and not take over the terminal."""
    has_windows = sys.platform in ("darwin", "win32")
    return has_windows or any(map(os.environ.get, ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")))
