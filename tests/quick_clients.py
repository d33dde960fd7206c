"""boto3, without doing again what comes out the same for every client.

Tests build two thousand clients. Most of that time goes into data files, classes and names of
events that depend on nothing but the service.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest


@contextmanager
def clients_built_quickly() -> Iterator[None]:
    """Let botocore read its data once, make the class of a service's clients once, and so on."""
    from botocore import hooks
    from botocore.client import ClientCreator
    from botocore.loaders import create_loader

    loader = create_loader()
    classes: dict[str, type] = {}
    names: dict[str, str] = {}
    make_class: Any = vars(ClientCreator)["_create_client_class"]
    current_name: Any = vars(hooks.EventAliaser)["_alias_event_name"]

    def client_class(creator: Any, service: str, model: Any) -> type:
        if service not in classes:
            classes[service] = make_class(creator, service, model)
        return classes[service]

    def event_name(events: Any, name: str) -> str:
        if name not in names:
            names[name] = current_name(events, name)
        return names[name]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("botocore.session.create_loader", lambda *_: loader)
        patch.setattr(ClientCreator, "_create_client_class", client_class)
        patch.setattr(hooks.EventAliaser, "_alias_event_name", event_name)
        yield
